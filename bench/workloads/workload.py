"""A workload: what every trainer is measured on. Model, data, loss, score and target, fixed for all."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from paceline.trainers.task import Task

# Held-out samples are scored so many at a time, so that evaluation never sets the peak of memory.
SCORED_AT_ONCE = 2048


class Data(NamedTuple):
    """A workload's samples, on one device.

    Attributes:
        x: training inputs ``[N, ...]``.
        y: training targets ``[N, ...]``.
        held_out_x: inputs ``[M, ...]`` that no trainer sees.
        held_out_y: their targets ``[M, ...]``.
    """

    x: Tensor
    y: Tensor
    held_out_x: Tensor
    held_out_y: Tensor


def per_sample_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy, in nats, of each sample: ``(logits [B, C], classes [B]) -> [B]``."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def per_sample_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each sample, its mean over outputs: ``([B, K], [B, K]) -> [B]``."""
    return nn.functional.mse_loss(outputs, targets, reduction="none").flatten(1).mean(dim=1)


def accuracy(outputs: Tensor, targets: Tensor) -> float:
    """Return the share of samples, in ``0..1``, whose largest logit is their class: ``([M, C], [M])``."""
    return (outputs.argmax(dim=1) == targets).double().mean().item()


def mean_squared_error(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean squared error over samples and outputs: ``([M, K], [M, K])``."""
    return per_sample_squared_error(outputs, targets).double().mean().item()


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training problem with a finish line. The defaults fit classification.

    Attributes:
        name: identifies the workload in records.
        model: builds the model, ``() -> nn.Module``; called under the trial's seed.
        data: builds the samples on the CPU, ``() -> (x [N, ...], y [N, ...], held-out x [M, ...],
            held-out y [M, ...])``. Called once, not once a trial.
        target: the score at which training is done.
        loss: per-sample losses, ``(outputs [B, ...], targets [B, ...]) -> [B]``, never reduced.
        score: held-out quality, ``(outputs [M, ...], targets [M, ...]) -> float``.
        higher_is_better: whether a higher score is a better one.
    """

    name: str
    model: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, Tensor, Tensor, Tensor]]
    target: float
    loss: Callable[[Tensor, Tensor], Tensor] = per_sample_cross_entropy
    score: Callable[[Tensor, Tensor], float] = accuracy
    higher_is_better: bool = True

    def reached(self, score: float) -> bool:
        """Return whether ``score`` is at the target or better; False for NaN."""
        return score >= self.target if self.higher_is_better else score <= self.target

    def task(self, data: Data, seed: int, device: torch.device) -> Task:
        """Return what a trainer may see: everything but the held-out data and the target."""

        def model() -> nn.Module:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(seed)
                return self.model().to(device)

        return Task(model, data.x.to(device), data.y.to(device), self.loss, seed, device)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, x: Tensor, y: Tensor) -> float:
        """Return the score of ``model`` on ``(x [M, ...], y [M, ...])``; its mode is left as found."""
        training = model.training
        model.eval()
        outputs = torch.cat([model(part) for part in x.split(SCORED_AT_ONCE)])
        model.train(training)
        return float(self.score(outputs, y))

    @torch.no_grad()
    def mean_loss(self, model: nn.Module, x: Tensor, y: Tensor) -> float:
        """Return the mean per-sample loss of ``model`` on ``(x [M, ...], y [M, ...])``; its mode is left as found."""
        training = model.training
        model.eval()
        parts = zip(x.split(SCORED_AT_ONCE), y.split(SCORED_AT_ONCE), strict=True)
        losses = torch.cat([self.loss(model(some_x), some_y) for some_x, some_y in parts])
        model.train(training)
        return losses.double().mean().item()

    def check(self, data: Data) -> None:
        """Check that this workload can be trained and scored on ``data``.

        Raises:
            ValueError: one line that says what is wrong, and where to look.
        """
        problem = self._problem(data)
        if problem:
            raise ValueError(f"workload {self.name!r}: {problem}")

    def _problem(self, data: Data) -> str:
        """Return what is wrong with this workload in one sentence, or ''."""
        for name, tensor in data._asdict().items():
            if not isinstance(tensor, Tensor):
                return f"data() must return four tensors, but {name} is a {type(tensor).__name__}"
            if len(tensor) == 0:
                return f"{name} is empty"
            if tensor.is_floating_point() and not tensor.isfinite().all():
                return f"{name} holds NaN or infinity"
        if len(data.x) != len(data.y):
            return f"x has {len(data.x)} samples and y has {len(data.y)}"
        if len(data.held_out_x) != len(data.held_out_y):
            return f"held-out x has {len(data.held_out_x)} samples and held-out y has {len(data.held_out_y)}"
        if not math.isfinite(self.target):
            return f"target must be a finite number, got {self.target}"
        task = self.task(data, seed=0, device=torch.device("cpu"))
        model = task.model()
        few = torch.arange(min(3, len(task)))
        x, y = task[few]
        losses = self.loss(model(x), y)
        if losses.shape != few.shape:
            return (
                f"loss must return one number per sample: for {len(few)} samples it returned the shape "
                f"{list(losses.shape)} (use reduction='none')"
            )
        score = self.evaluate(model, data.held_out_x, data.held_out_y)
        if self.reached(score):
            better = "higher" if self.higher_is_better else "lower"
            return (
                f"the untrained model already reaches the target {self.target} with a score of {score:.4g} "
                f"({better} is better): is the target, or higher_is_better, of the wrong side?"
            )
        if self.score is accuracy and self.target > 1:
            return f"the target is an accuracy, in 0..1, and can never be {self.target}"
        return ""
