"""Fashion-MNIST read while training: from a mapped file of pixels, and as a ``Dataset`` that workers augment.

The published files are compressed. Their pixels are written once to a file that can be mapped: in ``PACELINE_DATA``,
else where temporary files go. Files that are missing are told of as ``fashion_mnist.clothes`` does.
"""

import os
import tempfile
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from paceline.bench.workloads.cnn import small_cnn
from paceline.bench.workloads.fashion_mnist import MEAN, STD, VALIDATION, compressed
from paceline.bench.workloads.mnist5k import mlp
from paceline.bench.workloads.workload import Workload

MOST = 2  # pixels by which augmentation moves an image


def folder_of_pixels() -> Path:
    """Return where the pixels are written to."""
    return Path(os.environ.get("PACELINE_DATA", tempfile.gettempdir())) / "paceline-fashion-mnist"


def mapped_pixels(folder: Path) -> np.ndarray:
    """Return the pixels of the published training images, mapped: uint8 ``[60_000, 784]``."""
    file, new = folder / "train-images.npy", folder / f"{os.getpid()}-train-images.npy"
    if not file.exists():
        pixels = compressed("train-images-idx3-ubyte").flatten(1).numpy()
        folder.mkdir(parents=True, exist_ok=True)
        np.save(new, pixels)
        new.replace(file)  # it has its name only when it is whole
    pixels_there: np.ndarray = np.load(file, mmap_mode="c")
    return pixels_there


def _test_and_labels() -> tuple[Tensor, Tensor, Tensor]:
    """Return the test images, uint8 ``[10_000, 784]``, their labels, and those of the training images, int64."""
    test_y, y = (compressed(f"{part}-labels-idx1-ubyte").long() for part in ("t10k", "train"))
    return compressed("t10k-images-idx3-ubyte").flatten(1), test_y, y


def files() -> tuple[np.ndarray | Tensor, ...]:
    """Return pixels, uint8 ``[N, 784]``, those for training mapped from their file, and labels, int64 ``[N]``."""
    pixels, (test_x, test_y, y) = mapped_pixels(folder_of_pixels()), _test_and_labels()
    n = len(y) - VALIDATION
    return pixels[:n], y[:n], torch.tensor(pixels[n:]), y[n:], test_x, test_y


class Standardized(nn.Module):
    """Pixels of 0 to 255, of any type, with mean 0 and standard deviation 1; shapes stay."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Return them so."""
        return (pixels.float() / 255 - MEAN) / STD


class Clothes(Dataset[tuple[Tensor, Tensor]]):
    """The first ``n`` images, each time mirrored or not and moved by up to two pixels: float32 ``[784]``, int64.

    What is drawn is torch's, which each worker has seeded for itself.
    """

    def __init__(self, labels: Tensor) -> None:
        """Take the labels of the first images; the pixels stay in their file, which each process maps for itself."""
        self.labels, self.folder = labels, folder_of_pixels()  # where this process has it: others are told

    @cached_property
    def pixels(self) -> np.ndarray:
        """The pixels of all images."""
        return mapped_pixels(self.folder)

    def __getstate__(self) -> dict[str, object]:
        """Return what another process needs: not the pixels."""
        return {"labels": self.labels, "folder": self.folder}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image and its label."""
        image = torch.tensor(self.pixels[index]).view(28, 28)
        mirrored, down, right = torch.randint(2 * (2 * MOST + 1), (3,)).tolist()
        image = image.flip(1) if mirrored % 2 else image
        padded = nn.functional.pad(image, (MOST,) * 4)
        down, right = down % (2 * MOST + 1), right % (2 * MOST + 1)
        moved = padded[down : down + 28, right : right + 28]
        return (moved.flatten().float() / 255 - MEAN) / STD, self.labels[index]


def augmented() -> tuple[object, ...]:
    """Return the training images as a ``Dataset``, and the others as they are, float32 ``[N, 784]`` standardized."""
    pixels, (test_x, test_y, y) = mapped_pixels(folder_of_pixels()), _test_and_labels()
    n = len(y) - VALIDATION
    validation_x, test_x = (Standardized()(part) for part in (torch.tensor(pixels[n:]), test_x))
    return Clothes(y[:n]), validation_x, y[n:], test_x, test_y


def _network() -> nn.Module:
    return nn.Sequential(Standardized(), mlp(784, 128, 10))


FASHION_FILES = Workload(name="fashion-files", model=_network, data=files, target=0.80)
FASHION_CNN = Workload(name="fashion-cnn", model=small_cnn, data=augmented, target=0.80, workers=2)
