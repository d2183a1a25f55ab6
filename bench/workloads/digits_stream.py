"""An endless stream of digits that drifts: they turn, and now and then two of them swap names.

What is learned at the start is wrong later on: the images are turned by a degree more every 200 samples, and every
5,000 samples two labels, drawn at random, are swapped for good. The stream is a generator, the same at each start.

The workload's own stops to drift after 20,000 samples, and goes on with the last concept: 100 degrees, three swaps
(the fourth is due with the next sample). Its held-out digits, never in the stream, are of that concept, so that the
target says who has followed it there; what is learned early on counts for little. Who asks how well a stream is
followed all along scores each of its samples before training on it, and takes ``drifting_digits()``, which never rests.
"""

import itertools
import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from paceline.bench.workloads.mnist5k import MEAN, STD, digits, mlp
from paceline.bench.workloads.workload import Workload

DEGREES_PER_SAMPLE = 1 / 200
SWAPPED_EVERY = 5_000  # samples
DRIFT_ENDS = 20_000  # samples, of the workload's stream
BACKGROUND = (0 - MEAN) / STD  # a pixel of 0, standardized
SIDE = 28  # pixels
MADE_AT_ONCE = 64  # samples: one by one takes 8 times as long


def drifting_digits(drift_ends: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield digits and labels without end, float32 ``[784]`` and int64 0-d, drawn at random from the training digits.

    Args:
        drift_ends: samples after which the concept stays as it is; None has it change forever.
    """
    x, y, *_ = digits()
    generator = torch.Generator().manual_seed(0)
    for begins in itertools.count(0, MADE_AT_ONCE):
        drawn = torch.randint(len(x), (MADE_AT_ONCE,), generator=generator)
        times = torch.arange(begins, begins + MADE_AT_ONCE)
        if drift_ends is not None:
            times = times.clamp(max=drift_ends - 1)
        yield from zip(turned(x[drawn], times * DEGREES_PER_SAMPLE), _named(y[drawn], times), strict=True)


def turned(images: Tensor, degrees: Tensor) -> Tensor:
    """Return ``images``, ``[B, 784]``, turned counterclockwise about their middle by ``degrees``, ``[B]``."""
    angles = degrees * (math.pi / 180)
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros(len(angles))
    # Where each pixel of the result comes from; rows run downwards.
    back = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    whole = (images - BACKGROUND).view(-1, 1, SIDE, SIDE)
    grid = nn.functional.affine_grid(back, list(whole.shape), align_corners=False)
    return nn.functional.grid_sample(whole, grid, align_corners=False).flatten(1) + BACKGROUND


def names_at(time: int) -> Tensor:
    """Return what each digit is called at sample ``time``: a permutation of the ten classes, int64 ``[10]``."""
    names, generator = torch.arange(10), torch.Generator().manual_seed(1)
    for _ in range(time // SWAPPED_EVERY):
        pair = torch.randperm(10, generator=generator)[:2]
        names[pair] = names[pair.flip(0)]
    return names


def _named(y: Tensor, times: Tensor) -> Tensor:
    spans = times // SWAPPED_EVERY
    return torch.where(spans == spans[0], names_at(int(times[0]))[y], names_at(int(times[-1]))[y])


def stream_and_held_out() -> tuple[object, ...]:
    """Return the stream's beginner, and 500 validation and 500 test digits of the last concept, ``[500, 784]``."""
    _, _, *held_out = digits()
    last = torch.full((500,), DRIFT_ENDS - 1)
    (x, y), (test_x, test_y) = (
        (turned(x, last * DEGREES_PER_SAMPLE), _named(y, last)) for x, y in (held_out[:2], held_out[2:])
    )
    return partial(drifting_digits, DRIFT_ENDS), x, y, test_x, test_y


DIGITS_STREAM = Workload(name="digits-stream", model=partial(mlp, 784, 128, 10), data=stream_and_held_out, target=0.92)
