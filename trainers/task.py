"""The vocabulary every trainer shares: what it is given and what it yields.

A trainer is a generator. It builds its own model and optimizer, loops in the open, and
yields once per parameter update. Its state is its local variables. It does not time, log,
evaluate, checkpoint or decide when to stop: whoever iterates it does.

A trainer that needs the held-out score says ``listens = True`` and writes ``score = yield Step(...)``: it is sent
the score of each evaluation, larger is better, and None after a step that no evaluation followed.
"""

import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import Field, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from paceline.trainers.samples import Batch, InMemory, Picked, Source, Stream, Tree, at, length, together


@dataclass(frozen=True)
class Task:
    """A learning problem as a trainer sees it: no held-out data, no target, no clock.

    Attributes:
        model: builds the model on ``device``, with the same initial parameters at every call.
        x: training inputs, a tensor ``[N, ...]`` or a tree of such; None where a ``source`` holds the samples.
        y: training targets, likewise.
        loss: per-sample losses, ``(outputs [B, ...], targets [B, ...]) -> [B]``. Never reduced, so
            that each trainer shows what it averages over: ``mean_loss``, or ``summed_loss`` by what. Where samples
            weigh, each one's weighted *sum*.
        seed: fixes the initial parameters and the order in which samples are visited.
        device: where the model is, and the batches.
        weight: how much each sample weighs, ``targets [B, ...] -> [B]``: its tokens that are not padding, say. What is
            minimized is the sum of losses over the sum of weights. None: every sample weighs 1.
        source: where samples come from that are not in memory.
    """

    model: Callable[[], nn.Module]
    x: Tree
    y: Tree
    loss: Callable[[Tensor, Tree], Tensor]
    seed: int
    device: torch.device
    weight: Callable[[Tree], Tensor] | None = None
    source: Source | None = None

    @cached_property
    def samples(self) -> Source:
        """Where samples come from."""
        return InMemory(self.x, self.y, self.device) if self.source is None else self.source

    def __len__(self) -> int:
        """Return the number of training samples.

        Raises:
            TypeError: of a stream.
        """
        return len(self.samples)

    def __getitem__(self, index: Tensor | slice) -> tuple[Tree, Tree]:
        """Return inputs and targets of the samples at ``index``, int64 ``[B]`` or a slice."""
        return self.samples[index]

    def batches(
        self,
        batch_size: int | Callable[[], int],
        epochs: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> Iterator[Batch]:
        """Yield batches in random order, each epoch every sample once (``shuffled``); a stream's, as they come.

        Args:
            batch_size: samples per batch, over all ranks; where it varies, a function that is asked before each batch.
            epochs: how many to yield; None goes on forever. A stream is one.
            rank: of all ranks, whose share is wanted: every ``world_size``-th sample.
            world_size: how many ranks share a batch.
        """
        order: Iterator[Tensor | slice]
        if isinstance(self.samples, Stream):
            order = as_they_come(batch_size)
        else:
            order = shuffled(len(self), batch_size, self.seed, epochs=epochs)
        # What a batch's size depends on may be the step before it: such are not read ahead.
        return self.fetch(order, rank, world_size, ahead=not callable(batch_size))

    def whole(self) -> Iterator[Batch]:
        """Yield the whole training set as one batch, in order, again and again."""
        return self.fetch(itertools.repeat(slice(None)))

    def fetch(self, order: Iterable[Any], rank: int = 0, world_size: int = 1, ahead: bool = True) -> Iterator[Batch]:
        """Yield the batch at each index of ``order``, from wherever the samples live: for an order of one's own.

        Args:
            order: int64 ``[B]`` on the CPU, or slices: ``slice(None)`` is the whole training set.
            rank: whose share of each batch is wanted.
            world_size: how many ranks share it.
            ahead: whether the order may be drawn ahead of the steps, and samples be read meanwhile.
        """
        if world_size == 1 and isinstance(self.samples, InMemory):
            for index in order:
                if isinstance(index, Tensor):
                    yield Picked(self.samples, index, self.weight)
                else:
                    x, y = self.samples[index]
                    yield Batch(x, y, length(y), self.weight)
            return
        if world_size == 1:
            for x, y in self.samples.fetch(order, ahead):
                yield Batch(x, y, length(y), self.weight)
            return
        order, wholes = itertools.tee(order)
        if isinstance(self.samples, Stream):  # every rank has one of its own, and passes over what others take
            for x, y in self.samples.fetch(order, ahead):
                share = slice(rank, None, world_size)
                yield Batch(at(x, share), at(y, share), length(y), self.weight, world_size)
            return
        # Of a batch with fewer samples than ranks some have none: what puts samples together needs one for their form.
        shares = (index[min(rank, len(index) - 1) :: world_size] for index in order)
        for whole, (x, y) in zip(wholes, self.samples.fetch(shares, ahead), strict=False):
            own = slice(None if rank < len(whole) else 0)
            yield Batch(at(x, own), at(y, own), len(whole), self.weight, world_size)

    def mean_loss(self, outputs: Tensor, y: Tree) -> Tensor:
        """Return the mean loss of a whole batch, over samples or by weight, 0-d."""
        if self.weight is not None:
            return self.summed_loss(outputs, y) / self.weight_of(y)
        return self._reduced(outputs, y, "mean") if self._reduced else self.loss(outputs, y).mean()

    def summed_loss(self, outputs: Tensor, y: Tree) -> Tensor:
        """Return the sum of the losses, 0-d: of a part of a batch, to be divided by the weight of the whole."""
        return self._reduced(outputs, y, "sum") if self._reduced else self.loss(outputs, y).sum()

    def weight_of(self, y: Tree) -> Tensor | int:
        """Return what samples with targets ``y`` weigh together, 0-d: their number, unless the task weighs them."""
        return length(y) if self.weight is None else self.weight(y).sum()

    @cached_property
    def _reduced(self) -> Callable[[Tensor, Tree, str], Tensor] | None:
        """What gives the mean or the sum of the losses in one go, for losses that know such.

        For a step of a 784-128-10 network on one sample cross-entropy took 23 us so, and 37 us by way of each loss.
        """
        return getattr(self.loss, "reduced", None)

    def first(self, count: int) -> "Task":
        """Return the task whose training set is the first ``count`` samples of this one."""
        x, y = self[slice(0, count)]
        return replace(self, x=x, y=y, source=None)

    def of(self, batches: Iterable[Batch]) -> "Task":
        """Return the task whose training set is the samples of ``batches``, kept in memory."""
        x, y = together([tuple(batch) for batch in batches])
        return replace(self, x=x, y=y, source=None)


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
    n: int,
    batch_size: int | Callable[[], int],
    seed: int,
    device: torch.device | None = None,
    epochs: int | None = None,
) -> Iterator[Tensor]:
    """Yield index batches, int64 ``[batch_size]``: each epoch a new permutation of ``range(n)``.

    Every epoch visits every sample exactly once, so its last batch is smaller where
    ``batch_size`` does not divide ``n``. The order depends on ``seed`` alone, not on ``device``.

    Args:
        n: number of samples.
        batch_size: samples per batch, in ``1..n``; where it varies, a function that is asked before each batch.
        seed: fixes every permutation.
        device: where the indices are needed; moved once an epoch, not once a batch. None leaves them on the CPU.
        epochs: how many epochs to yield; None goes on forever.

    Raises:
        ValueError: if ``batch_size`` is not in ``1..n``.
    """
    size_of_next = batch_size if callable(batch_size) else lambda: batch_size
    generator = torch.Generator().manual_seed(seed)
    for _ in itertools.count() if epochs is None else range(epochs):
        order = torch.randperm(n, generator=generator)
        order = order if device is None else order.to(device)
        start = 0
        while start < n:  # one at a time: a split into n batches of one takes 2 MB at n = 4000
            size = size_of_next()
            if not 1 <= size <= n:
                raise ValueError(f"batch_size must be in 1..{n} (the number of training samples), got {size}")
            yield order[start : start + size]
            start += size


def as_they_come(batch_size: int | Callable[[], int]) -> Iterator[slice]:
    """Yield batches of a stream: the next ``batch_size`` samples, and again."""
    start = 0
    while True:
        size = batch_size() if callable(batch_size) else batch_size
        yield slice(start, start + size)
        start += size
