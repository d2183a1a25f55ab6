"""The vocabulary every trainer shares: what it is given and what it yields.

A trainer is a generator. It builds its own model and optimizer, loops in the open, and
yields once per parameter update. Its state is its local variables. It does not time, log,
evaluate, checkpoint or decide when to stop: whoever iterates it does.

A trainer that needs the held-out score says ``listens = True`` and writes ``score = yield Step(...)``: it is sent
the score of each evaluation, larger is better, and None after a step that no evaluation followed.
"""

import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import Field, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Task:
    """A learning problem as a trainer sees it: no held-out data, no target, no clock.

    Attributes:
        model: builds the model on ``device``, with the same initial parameters at every call.
        x: training inputs ``[N, ...]``, on ``device``.
        y: training targets ``[N, ...]``, on ``device``.
        loss: per-sample losses, ``(outputs [B, ...], targets [B, ...]) -> [B]``. Never reduced, so
            that each trainer shows what it averages over.
        seed: fixes the initial parameters and the order in which samples are visited.
        device: where the model and the data live.
    """

    model: Callable[[], nn.Module]
    x: Tensor
    y: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    seed: int
    device: torch.device

    def __len__(self) -> int:
        """Return the number of training samples."""
        return len(self.x)

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of the samples at ``index``, int64 ``[B]``."""
        return self.x[index], self.y[index]


class Step(NamedTuple):
    """One parameter update, just made.

    Attributes:
        model: the model as updated. The caller may read it, and must not change it.
        loss: 0-d, detached: the mean training loss of this step **before** its update. Under
            distributed training the mean over ranks is the mean over the batch. Still on its
            device: reading it is a synchronization, and the caller's choice.
        samples: training samples this step consumed, summed over ranks.
        updates: parameter updates this step stands for; 1 unless the trainer says otherwise, 0 where it was left out.
    """

    model: nn.Module
    loss: Tensor
    samples: int
    updates: int = 1


# What a trainer yields, what it may be sent (a score, larger is better, or None), and what it returns.
Steps = Generator[Step, float | None, None]


class Trainer(Protocol):
    """A training strategy: a frozen dataclass whose fields are its hyperparameters."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __call__(self, task: Task) -> Steps:
        """Train on ``task``, yielding once per parameter update."""
        ...


def shuffled(
    n: int, batch_size: int | Callable[[], int], seed: int, device: torch.device, epochs: int | None = None
) -> Iterator[Tensor]:
    """Yield index batches, int64 ``[batch_size]``: each epoch a new permutation of ``range(n)``.

    Every epoch visits every sample exactly once, so its last batch is smaller where
    ``batch_size`` does not divide ``n``. The order depends on ``seed`` alone, not on ``device``.

    Args:
        n: number of samples.
        batch_size: samples per batch, in ``1..n``; where it varies, a function that is asked before each batch.
        seed: fixes every permutation.
        device: where the indices are needed; moved once an epoch, not once a batch.
        epochs: how many epochs to yield; None goes on forever.

    Raises:
        ValueError: if ``batch_size`` is not in ``1..n``.
    """
    size_of_next = batch_size if callable(batch_size) else lambda: batch_size
    generator = torch.Generator().manual_seed(seed)
    for _ in itertools.count() if epochs is None else range(epochs):
        order = torch.randperm(n, generator=generator).to(device)
        start = 0
        while start < n:  # one at a time: a split into n batches of one takes 2 MB at n = 4000
            size = size_of_next()
            if not 1 <= size <= n:
                raise ValueError(f"batch_size must be in 1..{n} (the number of training samples), got {size}")
            yield order[start : start + size]
            start += size
