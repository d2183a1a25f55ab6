"""A workload: what every trainer is measured on. Model, data, loss, score and target, fixed for all."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from paceline.bench.workloads.data import OfDataset, Samples, Train
from paceline.bench.workloads.random_state import seeded
from paceline.trainers.samples import InMemory, Tree, tensors, together
from paceline.trainers.task import Task

# Held-out samples go through the model so many at a time at most.
SCORED_AT_ONCE = 2048


def per_sample_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy, in nats, of each sample: ``(logits [B, C], classes [B]) -> [B]``."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def _reduced_cross_entropy(outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction=reduction)


per_sample_cross_entropy.reduced = _reduced_cross_entropy  # type: ignore[attr-defined]


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
            validation samples, the others test samples (``data.Data``); to draw them differently return
            ``x, y, validation x, validation y, test x, test y``. Each is a tensor, an array (mapped from a file larger
            than memory too), or a dict, list or tuple of such. In place of the first two may stand a
            ``torch.utils.data.Dataset`` of ``(x, y)``, or a stream: a function that begins an iterable of ``(x, y)``.
            Held-out samples may be ``Dataset``s likewise, one or two.
        target: the score at which training is done.
        loss: per-sample losses, ``(outputs [B, ...], targets [B, ...]) -> [B]``, never reduced. Where samples weigh,
            each one's weighted sum.
        score: held-out quality, ``(outputs [M, ...], targets [M, ...]) -> float``. ``@mean_over_samples`` above one
            that is a mean over samples saves memory.
        higher_is_better: whether a higher score is a better one.
        weight: how much each sample weighs, ``targets [B, ...] -> [B]``: how many of its tokens are not padding, say.
            What is minimized is the sum of losses over the sum of weights, of a whole batch over micro-batches and
            ranks. None: every sample weighs 1.
        collate: makes ``(x, y)`` of a list of samples of a ``Dataset`` or stream; None is torch's ``default_collate``.
        workers: processes that read a ``Dataset`` ahead of training, a rank; 0 reads in the trial's own.
        tokens: how many tokens each sample has, padding left out, ``inputs [B, ...] -> [B]``: throughput is then told
            in tokens too. None: samples have none.
        settings: what torch is set to wherever this workload is built, checked and trained (``torch_settings``),
            beyond what the process has set that asks for it. A workload of a file has what its file sets.
    """

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[], tuple[Any, ...]]
    target: float
    loss: Callable[[Any, Any], Tensor] = per_sample_cross_entropy
    score: Callable[[Any, Any], float] = accuracy
    higher_is_better: bool = True
    weight: Callable[[Any], Tensor] | None = None
    collate: Callable[[list[Any]], tuple[Any, Any]] | None = None
    workers: int = 0
    tokens: Callable[[Any], Tensor] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def reached(self, score: float) -> bool:
        """Return whether ``score`` is at the target or better; False for NaN."""
        return score >= self.target if self.higher_is_better else score <= self.target

    def task(self, train: Train, seed: int, device: torch.device) -> Task:
        """Return what a trainer may see: everything but the held-out data and the target."""

        def model() -> nn.Module:
            with seeded(seed, device):
                built = self.model().to(device)
                if any(map(is_lazy, built.parameters())):
                    with torch.no_grad(), evaluating(built):
                        built(source[slice(0, 1)][0])  # lazy layers learn their sizes, and draw by this seed
                return built

        if isinstance(train, OfDataset):  # the file of samples is that of the workload with however many workers
            train = replace(train, workers=self.workers)
        source = train.source(device)
        if isinstance(source, InMemory):
            return Task(model, source.x, source.y, self.loss, seed, device, self.weight)
        return Task(model, None, None, self.loss, seed, device, self.weight, source)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, *parts: Samples, at_once: int = SCORED_AT_ONCE) -> float:
        """Return the score of ``model`` on ``parts``, ``at_once`` samples at a time; its mode is left as found.

        Raises:
            ValueError: if the score needs all outputs at once and they are not of one shape; one line.
        """
        pieces = [piece for part in parts for piece in part.split(at_once)]
        with evaluating(model):
            if len(pieces) > 1 and getattr(self.score, "mean_over_samples", False):
                weights = [float(self._weight(piece)) for piece in pieces]
                scores = [float(self.score(model(x), y)) for x, y in pieces]
                sums = [score * weight for score, weight in zip(scores, weights, strict=True)]
                # As the mean of all in one, whatever the pieces are.
                return float(f"{math.fsum(sums) / math.fsum(weights):.14g}")
            outputs = [model(x) for x, _ in pieces]
        return float(self.score(_joined(outputs), _joined([y for _, y in pieces])))

    @torch.no_grad()
    def mean_loss(self, model: nn.Module, *parts: Samples, at_once: int = SCORED_AT_ONCE) -> float:
        """Return the mean loss of ``model`` on ``parts``, by weight; its mode is left as found."""
        pieces = [piece for part in parts for piece in part.split(at_once)]
        with evaluating(model):
            losses = torch.cat([self.loss(model(x), y) for x, y in pieces])
        if self.weight is None:
            return losses.double().mean().item()
        return losses.double().sum().item() / math.fsum(self._weight(piece) for piece in pieces)

    def _weight(self, samples: Samples) -> float:
        return samples.n if self.weight is None else self.weight(samples.y).double().sum().item()

    def without_data(self) -> "Workload":
        """Return what a trial needs of this: its samples are in a file, and what builds them stays behind."""
        return replace(self, data=_left_behind)


def _joined(trees: list[Tree]) -> Tree:
    if len(trees) == 1:
        return trees[0]
    if any(len({tensor.shape[1:] for tensor in column}) > 1 for column in zip(*map(tensors, trees), strict=True)):
        raise ValueError(
            "held-out samples come in batches of several shapes, and cannot be scored as one: write @mean_over_samples "
            "above the score if it is a mean over samples, or pad all to one length"
        )
    return together(trees)


def _left_behind() -> tuple[Any, ...]:
    raise RuntimeError("a trial reads its workload's samples from the file they were prepared in")
