"""More samples than a trial's memory holds: made once, kept in files that are mapped, and learned batch by batch.

Ten classes that a linear rule with noise tells apart, so that a small network learns them and the reading is what
counts. A trial's memory limit should lie below ``megabytes``: whoever takes all samples at once ends there.
"""

import os
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from paceline.bench.workloads.mnist5k import mlp
from paceline.bench.workloads.workload import Workload

FEATURES, CLASSES = 48, 10
SAMPLE_BYTES = 4 * FEATURES
NOISE = 1.0  # standard deviation added to each class's score, which has one of sqrt(48) = 6.9 itself
HELD_OUT = 2_000  # samples each for validation and for testing
WRITTEN_AT_ONCE = 10_000  # samples: making them must not take the memory that the files do without


def folder() -> Path:
    """Return where the files are kept, from run to run: in ``PACELINE_DATA``, else where temporary files go."""
    return Path(os.environ.get("PACELINE_DATA", tempfile.gettempdir())) / "paceline-larger-than-memory"


@cache
def rule() -> Tensor:
    """Return what tells the classes apart, float32 ``[48, 10]``."""
    return torch.randn(FEATURES, CLASSES, generator=torch.Generator().manual_seed(0))


def drawn(samples: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return inputs, float32 ``[samples, 48]``, and their classes, int64 ``[samples]``."""
    x = torch.randn(samples, FEATURES, generator=generator)
    scores = x @ rule() + NOISE * torch.randn(samples, CLASSES, generator=generator)
    return x, scores.argmax(dim=1)


def mapped_samples(megabytes: int) -> tuple[np.ndarray | Tensor, ...]:
    """Return ``megabytes`` of mapped training inputs ``[N, 48]`` with classes ``[N]``, and those held out, in memory.

    The files of an earlier call are taken where they are whole.
    """
    samples = megabytes * 1_000_000 // SAMPLE_BYTES
    files = [folder() / f"{part}-{megabytes}.npy" for part in ("x", "y")]
    if not all(file.exists() for file in files):
        _write(samples, files)
    x, y = (np.load(file, mmap_mode="c") for file in files)
    generator = torch.Generator().manual_seed(2)
    return x, y, *drawn(HELD_OUT, generator), *drawn(HELD_OUT, generator)


def _write(samples: int, files: list[Path]) -> None:
    """Write the training samples; a file has its name only when it is whole."""
    folder().mkdir(parents=True, exist_ok=True)
    new = [file.with_name(f"{os.getpid()}-{file.name}") for file in files]
    shapes: tuple[tuple[int, ...], ...] = (samples, FEATURES), (samples,)
    try:
        x, y = (
            np.lib.format.open_memmap(file, "w+", dtype, shape)
            for file, dtype, shape in zip(new, (np.float32, np.int64), shapes, strict=True)
        )
        generator = torch.Generator().manual_seed(1)
        for start in range(0, samples, WRITTEN_AT_ONCE):
            part = slice(start, min(start + WRITTEN_AT_ONCE, samples))
            x[part], y[part] = (tensor.numpy() for tensor in drawn(part.stop - start, generator))
        for array, at, file in zip((x, y), new, files, strict=True):
            array.flush()
            at.replace(file)
    finally:
        for at in new:
            at.unlink(missing_ok=True)


def larger_than_memory(megabytes: int = 192, name: str = "larger-than-memory") -> Workload:
    """Return the workload with ``megabytes`` of training inputs: by default those of a million samples."""
    return Workload(
        name=name, model=partial(mlp, FEATURES, 64, CLASSES), data=partial(mapped_samples, megabytes), target=0.80
    )


LARGER_THAN_MEMORY = larger_than_memory()
