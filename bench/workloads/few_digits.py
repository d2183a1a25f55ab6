"""Few enough real digits that a network learns them by heart: where regularization has something to do.

Dropout and augmentation are a part of the model here, active while it trains and not while it is scored, so that no
trainer knows of them.
"""

from functools import partial

import torch
from torch import Tensor, nn

from paceline.bench.workloads.mnist5k import digits, mlp
from paceline.bench.workloads.workload import Workload

SAMPLES = 500
SIDE = 28  # pixels


def few_digits() -> tuple[Tensor, ...]:
    """Return 500 training digits, 50 of each class, and ``mnist5k``'s other two parts: float32 ``[N, 784]``."""
    x, y, *held_out = digits()
    kept = torch.cat([(y == digit).nonzero().flatten()[: SAMPLES // 10] for digit in range(10)])
    kept = kept.sort().values  # in the order of the whole, which is not sorted by class
    return x[kept], y[kept], *held_out


class Shift(nn.Module):
    """Move each image by up to ``most`` pixels in either direction, at random, while training: ``[B, 784]`` both ways.

    What comes in from beyond the edge has the value of the image's first pixel, which is background.
    """

    def __init__(self, most: int) -> None:
        """Take the largest shift, in pixels."""
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        """Return the shifted images; those given, where the model is scored."""
        if not self.training:
            return x
        most, batch = self.most, len(x)
        images = x.view(batch, SIDE, SIDE)
        background = images[:, :1, :1]
        padded = nn.functional.pad(images - background, (most,) * 4) + background
        down, right = torch.randint(2 * most + 1, (2, batch, 1), device=x.device)
        pixels = torch.arange(SIDE, device=x.device)
        rows, columns = (pixels + down)[:, :, None], (pixels + right)[:, None, :]  # [B, 28, 1], [B, 1, 28]
        return padded[torch.arange(batch, device=x.device)[:, None, None], rows, columns].flatten(1)


def with_dropout(share: float) -> nn.Module:
    """Build 784-256-10 that drops this ``share`` of its hidden units while training."""
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Dropout(share), nn.Linear(256, 10))


def shifted(most: int) -> nn.Module:
    """Build 784-256-10 behind a ``Shift``."""
    return nn.Sequential(Shift(most), mlp(784, 256, 10))


FEW_DIGITS = Workload(name="few-digits", model=partial(mlp, 784, 256, 10), data=few_digits, target=0.88)
FEW_DIGITS_DROPOUT = Workload(
    name="few-digits-dropout", model=partial(with_dropout, 0.5), data=few_digits, target=FEW_DIGITS.target
)
FEW_DIGITS_SHIFTED = Workload(
    name="few-digits-shifted", model=partial(shifted, 2), data=few_digits, target=FEW_DIGITS.target
)
