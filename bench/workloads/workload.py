"""A workload: what every trainer is measured on. Model, data, loss, score and target, fixed for all."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from paceline.bench.workloads.data import Samples
from paceline.bench.workloads.random_state import seeded
from paceline.trainers.task import Task

# Held-out samples go through the model so many at a time at most.
SCORED_AT_ONCE = 2048


def per_sample_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy, in nats, of each sample: ``(logits [B, C], classes [B]) -> [B]``."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def per_sample_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each sample, its mean over outputs: ``([B, ...], [B, ...]) -> [B]``.

    Raises:
        ValueError: if the two differ in shape: torch would set every output against every target.
    """
    if outputs.shape != targets.shape:
        raise ValueError(
            f"squared error needs outputs and targets of one shape, got {list(outputs.shape)} and "
            f"{list(targets.shape)}: reshape the targets in data(), or the outputs in the model"
        )
    errors = nn.functional.mse_loss(outputs, targets, reduction="none")
    return errors.flatten(1).mean(dim=1) if errors.dim() > 1 else errors


Score = TypeVar("Score", bound=Callable[[Tensor, Tensor], float])


def mean_over_samples(score: Score) -> Score:
    """Mark ``score`` as a mean over samples: it is then taken part by part, and not all outputs are kept.

    Needed where they take much memory: 1,000 sequences of 128 tokens, of 50,000 logits each, are 26 GB.
    """
    score.mean_over_samples = True  # type: ignore[attr-defined]
    return score


@mean_over_samples
def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Return the share, in ``0..1``, of targets whose logit is the largest: ``([M, C, ...], [M, ...])``.

    Raises:
        ValueError: if there is one logit only, which is always the largest, or there is not one target for each C.
    """
    if outputs.dim() < 2 or outputs.shape[1] < 2 or outputs.select(1, 0).shape != targets.shape:
        raise ValueError(
            f"accuracy needs logits [M, C] of C >= 2 classes and targets [M], got {list(outputs.shape)} and "
            f"{list(targets.shape)}: reshape the targets in data(), or give the workload a score= of its own"
        )
    return (outputs.argmax(dim=1) == targets).double().mean().item()


@mean_over_samples
def mean_squared_error(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean squared error over samples and outputs: ``([M, ...], [M, ...])``.

    Raises:
        ValueError: if the two differ in shape.
    """
    return per_sample_squared_error(outputs, targets).double().mean().item()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Have ``model`` in evaluation mode for a while, then each part of it in the mode it was found in.

    A part may be kept in evaluation mode on purpose: a frozen backbone's batch statistics, say.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training problem with a finish line. The defaults fit classification.

    Attributes:
        name: identifies the workload in records.
        model: builds the model, ``() -> nn.Module``; called under the trial's seed.
        data: builds the samples on the CPU, ``() -> (x [N, ...], y [N, ...], held-out x [M, ...],
            held-out y [M, ...])``. Called once, not once a trial. Half of the held-out ones, drawn at random, become
            validation samples, the others test samples (``data.Data``); to draw them differently return six tensors:
            ``x, y, validation x, validation y, test x, test y``.
        target: the score at which training is done.
        loss: per-sample losses, ``(outputs [B, ...], targets [B, ...]) -> [B]``, never reduced.
        score: held-out quality, ``(outputs [M, ...], targets [M, ...]) -> float``. ``@mean_over_samples`` above one
            that is a mean over samples saves memory.
        higher_is_better: whether a higher score is a better one.
        settings: what torch is set to wherever this workload is built, checked and trained (``torch_settings``),
            beyond what the process has set that asks for it. A workload of a file has what its file sets.
    """

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, ...]]
    target: float
    loss: Callable[[Tensor, Tensor], Tensor] = per_sample_cross_entropy
    score: Callable[[Tensor, Tensor], float] = accuracy
    higher_is_better: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def reached(self, score: float) -> bool:
        """Return whether ``score`` is at the target or better; False for NaN."""
        return score >= self.target if self.higher_is_better else score <= self.target

    def task(self, train: Samples, seed: int, device: torch.device) -> Task:
        """Return what a trainer may see: everything but the held-out data and the target."""

        def model() -> nn.Module:
            with seeded(seed, device):
                built = self.model().to(device)
                if any(map(is_lazy, built.parameters())):
                    with torch.no_grad(), evaluating(built):
                        built(x[:1])  # lazy layers learn their sizes, and draw their weights by this seed
                return built

        x, y = train.to(device)
        return Task(model, x, y, self.loss, seed, device)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, x: Tensor, y: Tensor, at_once: int = SCORED_AT_ONCE) -> float:
        """Return the score of ``model`` on ``(x [M, ...], y [M, ...])``, ``at_once`` samples at a time.

        The model's mode is left as found.
        """
        parts = list(zip(x.split(at_once), y.split(at_once), strict=True))
        with evaluating(model):
            if len(parts) > 1 and getattr(self.score, "mean_over_samples", False):
                sums = [float(self.score(model(some_x), some_y)) * len(some_x) for some_x, some_y in parts]
                return float(f"{math.fsum(sums) / len(x):.14g}")  # as the mean of all in one, whatever the parts are
            outputs = torch.cat([model(some_x) for some_x, _ in parts])
        return float(self.score(outputs, y))

    @torch.no_grad()
    def mean_loss(self, model: nn.Module, x: Tensor, y: Tensor, at_once: int = SCORED_AT_ONCE) -> float:
        """Return the mean per-sample loss of ``model`` on ``(x [M, ...], y [M, ...])``; its mode is left as found."""
        parts = zip(x.split(at_once), y.split(at_once), strict=True)
        with evaluating(model):
            losses = torch.cat([self.loss(model(some_x), some_y) for some_x, some_y in parts])
        return losses.double().mean().item()

    def without_data(self) -> "Workload":
        """Return what a trial needs of this: its samples are in a file, and what builds them stays behind."""
        return replace(self, data=_left_behind)


def _left_behind() -> tuple[Tensor, ...]:
    raise RuntimeError("a trial reads its workload's samples from the file they were prepared in")
