"""Samples that arrive by the clock, each predicted before it is learned from.

A stream as a trainer meets it in life: samples come at a rate that is not the trainer's, and wait where it is too slow.
What is observed of each is its target, what was predicted, the loss, and the seconds until the model had learned it.

To predict is part of serving a stream, and takes its time. Making the samples is not: they are drawn beforehand.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from paceline.bench.records.record import STREAM
from paceline.bench.workloads.workload import evaluating
from paceline.trainers.samples import Index, Stream, Tree, moved
from paceline.trainers.task import Task

# Where training has been interrupted, the next step finds caches cold, and takes some 0.2 ms longer: of so many steps
# between two takings that is no part that counts.
MANY_STEPS = 10

# To sleep takes up to so long longer than was asked for: the last stretch is waited for awake.
OVERSLEPT = 5e-4  # seconds


@dataclass(frozen=True)
class Arrivals:
    """How the samples of a stream arrive.

    Attributes:
        samples: how many; then the stream ends.
        per_second: at which rate; None has each there when it is asked for.
    """

    samples: int
    per_second: float | None = None


@dataclass
class Arriving(Stream):
    """The first samples of a stream, released by the clock. While ``held`` the clock stands still.

    Attributes:
        stream: whose samples.
        arrivals: how many, and at which rate.
        loss: of each sample, as a workload has it.
        model: by which the next ones are predicted.
        seconds: after so many of its own seconds the stream ends, however many samples are left.
        device: where samples are needed.
    """

    stream: Stream
    arrivals: Arrivals
    loss: Callable[[Tensor, Tree], Tensor]
    model: nn.Module
    device: torch.device
    seconds: float = math.inf
    clock: Callable[[], float] = time.perf_counter
    waited: float = 0.0
    taken: int = 0
    ended: bool = False
    _label: list[int] = field(default_factory=list)
    _predicted: list[int] = field(default_factory=list)
    _loss: list[float] = field(default_factory=list)
    _latency: list[float | None] = field(default_factory=list)
    _began: float | None = None
    _held_since: float | None = None
    _held: float = 0.0
    _disturbed: bool = True
    _steps: int = 0

    @classmethod
    def of(cls, task: Task, arrivals: Arrivals, seconds: float) -> "Arriving":
        """Return the stream of ``task``, to arrive like that; the first samples are predicted by a model as built."""
        stream = task.samples
        assert isinstance(stream, Stream), "checked before: arrivals are those of a stream"
        return cls(stream, arrivals, task.loss, task.model(), task.device, seconds)

    def __post_init__(self) -> None:
        """Draw the samples."""
        self._drawn = list(itertools.islice(self.stream.begin(), self.arrivals.samples))

    def __getitem__(self, index: Index) -> tuple[Tree, Tree]:
        """Return as many samples as ``index`` has, from the beginning, whenever they arrive."""
        return self.stream[index]

    def follow(self, model: nn.Module) -> None:
        """Predict by ``model`` from now on: a step has just been made."""
        self.model = model
        self._steps += 1

    def hold(self) -> None:
        """Stop the clock: what follows is no part of training."""
        self._held_since = self.clock()

    def go_on(self) -> None:
        """Start it again. The latency of what is learned next is not that of others."""
        if self._held_since is not None:
            self._held += self.clock() - self._held_since
        self._held_since, self._disturbed = None, True

    def now(self) -> float:
        """Return the seconds since the first sample was asked for, those on hold left out."""
        if self._began is None:
            self._began, self._held = self.clock(), 0.0
        return self.clock() - self._began - self._held

    def fetch(self, order: Iterable[Index], ahead: bool) -> Iterator[tuple[Tree, Tree]]:
        """Yield as many samples as each index has, predicted, when the last of them has arrived."""
        first = len(self._loss)
        for index in order:
            taken = len(self._loss)
            if taken > first:
                self._learned()
            if isinstance(index, slice) and index.stop is None:
                raise ValueError("a stream has no whole that a step could take in: full batch needs samples that stay")
            wanted = len(index) if isinstance(index, Tensor) else index.stop - (index.start or 0)
            samples = self._drawn[taken : taken + wanted]
            # The first ones are there for everybody: a trial without a step would tell nothing.
            self.taken, self.ended = taken, not samples or (taken > first and self.now() >= self.seconds)
            if self.ended:
                return
            self._wait(self._arrival(taken + len(samples) - 1))
            x, y = moved(self.stream.collate(samples), self.device)
            self._predict(x, y)
            yield x, y

    def observed(self) -> dict[str, list[Any]]:
        """Return a column an observation, a row a sample that was learned from: ``records.record.STREAM``."""
        n = len(self._latency)
        columns: list[list[Any]] = [self._label, self._predicted, self._loss, self._latency]
        return {name: column[:n] for name, column in zip(STREAM, columns, strict=True)}

    def _arrival(self, number: int) -> float:
        """Return when sample ``number`` arrives; where there is no rate all have."""
        return 0.0 if self.arrivals.per_second is None else number / self.arrivals.per_second

    def _wait(self, until: float) -> None:
        began = self.now()
        if until > began + OVERSLEPT:
            time.sleep(until - began - OVERSLEPT)
        while self.now() < until:
            pass
        self.waited += self.now() - began

    def _learned(self) -> None:
        """Take note that all samples taken so far are in the model: the trainer has come back for more."""
        now, rate = self.now(), self.arrivals.per_second
        for number in range(len(self._latency), len(self._loss)):
            known = rate is not None and (not self._disturbed or self._steps > MANY_STEPS)
            self._latency.append(round(now - self._arrival(number), 6) if known else None)
        self._disturbed, self._steps = False, 0

    @torch.no_grad()
    def _predict(self, x: Tree, y: Tree) -> None:
        with evaluating(self.model):
            outputs = self.model(x)
        self._loss += [float(f"{loss:.3g}") for loss in self.loss(outputs, y).tolist()]
        if isinstance(y, Tensor) and y.dim() == 1 and not y.is_floating_point() and outputs.dim() == 2:
            self._label += y.tolist()
            self._predicted += outputs.argmax(dim=1).tolist()
