"""A workload's samples, in three parts: those trained on, those that decide, and those that judge."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor


def at_random(n: int, count: int) -> Tensor:
    """Return the indices of ``count`` of ``n`` samples at random, always the same; of all where there are fewer."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:count].sort().values


class Samples(NamedTuple):
    """Some of a workload's samples: inputs ``x [N, ...]`` and targets ``y [N, ...]``."""

    x: Tensor
    y: Tensor

    def to(self, device: torch.device) -> "Samples":
        """Return them on ``device``."""
        return Samples(self.x.to(device), self.y.to(device))

    def at(self, index: Tensor | slice) -> "Samples":
        """Return those at ``index``."""
        return Samples(self.x[index], self.y[index])


class Data(NamedTuple):
    """A workload's samples in three parts, so that what was chosen is not judged on what chose it.

    Attributes:
        train: what trainers see.
        validation: what decides: when a target is reached, when to stop, which learning rate is best.
        test: what a trained model's reported score is taken on, once, at its end.
    """

    train: Samples
    validation: Samples
    test: Samples

    @classmethod
    def of(cls, built: Sequence[Tensor]) -> "Data":
        """Return the parts of what ``Workload.data`` returned: six tensors, or four whose held-out ones it halves.

        The halves are drawn at random, always the same: the seeds of a search and those of a comparison must not share
        a sample between what chooses and what judges.
        """
        train, *held_out = map(Samples, built[::2], built[1::2])
        if len(held_out) == 1:
            n = len(held_out[0].x)
            drawn = torch.zeros(n, dtype=torch.bool)
            drawn[at_random(n, n // 2)] = True
            held_out = [held_out[0].at(drawn), held_out[0].at(~drawn)]
        return cls(train, *held_out)

    def save(self, file: Path) -> None:
        """Write the parts to ``file``."""
        torch.save([tuple(part) for part in self], file)

    @classmethod
    def load(cls, file: str | Path, mmap: bool = False) -> "Data":
        """Return what ``save`` wrote to ``file``; nothing in it is executed."""
        return cls(*(Samples(*part) for part in torch.load(file, weights_only=True, mmap=mmap)))
