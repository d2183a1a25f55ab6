"""Real handwritten digits, each turned and shifted at random as it is read: where reading samples takes time."""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from paceline.bench.workloads.mnist5k import MEAN, STD, digits, mlp
from paceline.bench.workloads.workload import Workload

SIDE = 28  # pixels
DEGREES, PIXELS = 15.0, 2.0  # at most, either way
BACKGROUND = -MEAN / STD


class AugmentedDigits(Dataset[tuple[Tensor, Tensor]]):
    """Digits ``[N, 784]`` and their classes ``[N]``, one at a time, each time turned and shifted anew."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        """Take the digits as they were written."""
        self.x, self.y = x, y

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one, turned and shifted: float32 ``[784]``, int64 0-d."""
        turn, right, down = (2 * torch.rand(3) - 1).tolist()
        image = turned(self.x[index].view(SIDE, SIDE), DEGREES * turn, PIXELS * right, PIXELS * down)
        return image.flatten(), self.y[index]


def turned(image: Tensor, degrees: float, right: float, down: float) -> Tensor:
    """Return ``image`` ``[28, 28]`` turned about its middle, then moved so many pixels; what comes in is background."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = -2 * right / SIDE, -2 * down / SIDE  # of an image that is 2 wide, from where each pixel is taken
    back = torch.tensor([[[cos, sin, cos * x + sin * y], [-sin, cos, cos * y - sin * x]]])
    grid = nn.functional.affine_grid(back, [1, 1, SIDE, SIDE], align_corners=False)
    ink = (image - BACKGROUND)[None, None]
    return nn.functional.grid_sample(ink, grid, align_corners=False)[0, 0] + BACKGROUND


def augmented_digits() -> tuple[AugmentedDigits, Tensor, Tensor, Tensor, Tensor]:
    """Return ``mnist5k``'s 4,000 training digits to be read one by one, and its other two parts as they are."""
    x, y, *held_out = digits()
    return AugmentedDigits(x, y), *held_out  # type: ignore[return-value]  # four tensors


AUGMENTED_DIGITS = Workload(
    name="augmented-digits", model=partial(mlp, 784, 128, 10), data=augmented_digits, target=0.9
)
