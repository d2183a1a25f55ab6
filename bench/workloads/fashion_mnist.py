"""Fashion-MNIST, 60,000 + 10,000 images of clothes, read from the original IDX files where they are found."""

import gzip
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from paceline.bench.workloads.mnist5k import mlp
from paceline.bench.workloads.workload import Workload

# Mean and standard deviation of the training images' pixels in 0..1.
MEAN, STD = 0.28604, 0.35302
VALIDATION = 5_000  # images

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def clothes() -> tuple[Tensor, ...]:
    """Return 55,000 training, 5,000 validation, 10,000 test images: float32 ``[N, 784]`` standardized, int64 ``[N]``.

    The validation images are the last of the published training set; the test images are the published ones.

    Raises:
        FileNotFoundError: if a file is missing; says how to get it.

    Source: Xiao et al. 2017, arXiv 1708.07747 (MIT licence).
    """
    x, test_x = (
        ((compressed(f"{part}-images-idx3-ubyte").float() / 255 - MEAN) / STD).flatten(1) for part in ("train", "t10k")
    )
    y, test_y = (compressed(f"{part}-labels-idx1-ubyte").long() for part in ("train", "t10k"))
    return x[:-VALIDATION], y[:-VALIDATION], x[-VALIDATION:], y[-VALIDATION:], test_x, test_y


def compressed(name: str) -> Tensor:
    """Return what the published file ``name`` holds, as uint8, from ``PACELINE_DATA`` or where Debian has it.

    Raises:
        FileNotFoundError: if it is missing; says how to get it.
    """
    return _idx(Path(os.environ.get("PACELINE_DATA", DEBIAN)) / f"{name}.gz")


def _idx(path: Path) -> Tensor:
    """Return the uint8 array that an IDX file holds, in its shape.

    Source: the format's description at LeCun's MNIST page: two zero bytes, a type code (8: unsigned
    byte), the number of dimensions, each dimension as a big-endian int32, then the data.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: on Debian and Ubuntu run 'apt-get install dataset-fashion-mnist', elsewhere put "
            "the four .gz files of Fashion-MNIST in a folder and name it in the environment variable PACELINE_DATA"
        )
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start], dtype=">i4")
    return torch.from_numpy(np.frombuffer(content[start:], dtype=np.uint8).reshape(shape).copy())


def _network() -> torch.nn.Module:
    return mlp(784, 128, 10)


FASHION_MNIST = Workload(name="fashion-mnist", model=_network, data=clothes, target=0.80)

# 14.5 % validation error, the target of the batch-size sweep in ``analysis.reproductions``.
FASHION_MNIST_VALIDATION = Workload(name="fashion-mnist-validation", model=_network, data=clothes, target=0.855)
