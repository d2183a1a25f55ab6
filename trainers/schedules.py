"""Learning-rate schedules: pure functions from the step (0, 1, 2, ...) to a factor of the optimizer's rate.

A schedule is a field of an optimizer, which attaches it to the torch optimizer that it builds, so no trainer knows of
it. A constant rate attaches nothing and costs nothing.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch


class Schedule(Protocol):
    """What an optimizer's ``schedule`` field holds: a frozen dataclass that maps a step to a factor."""

    def __call__(self, step: int) -> float:
        """Return what the rate is multiplied by at ``step``, counted from 0."""
        ...


@dataclass(frozen=True)
class Constant:
    """The rate stays as it is."""

    def __call__(self, step: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """The rate is multiplied by ``factor`` after ``every`` steps, again and again.

    Source: ``torch.optim.lr_scheduler.StepLR``.
    """

    every: int  # steps
    factor: float = 0.1

    def __post_init__(self) -> None:
        """Check ``every``."""
        _check_at_least_one("StepDecay", "every", self.every)

    def __call__(self, step: int) -> float:
        """Return ``factor ** (step // every)``."""
        return self.factor ** (step // self.every)


@dataclass(frozen=True)
class ExponentialDecay:
    """The rate is multiplied by ``factor`` after each step.

    Source: ``torch.optim.lr_scheduler.ExponentialLR``.
    """

    factor: float  # a step: half after ln 2 / (1 - factor) steps, where it is near 1

    def __call__(self, step: int) -> float:
        """Return ``factor ** step``."""
        return self.factor**step


@dataclass(frozen=True)
class TimeDecay:
    """The rate falls as one over the step: ``lr / (1 + k * step)``.

    With ``k > 0`` the rates sum to infinity while their squares do not, under which stochastic gradient descent
    converges in spite of its noise.

    Source: Robbins & Monro 1951, Ann. Math. Stat. 22(3).
    """

    k: float  # 1 / the step at which the rate has halved

    def __call__(self, step: int) -> float:
        """Return ``1 / (1 + k * step)``."""
        return 1 / (1 + self.k * step)


@dataclass(frozen=True)
class Cosine:
    """The rate falls along half a cosine in ``steps`` steps, to ``floor`` of itself, and stays there.

    Source: Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5, without restarts.
    """

    steps: int
    floor: float = 0.0  # share of the rate that is left

    def __post_init__(self) -> None:
        """Check ``steps``."""
        _check_at_least_one("Cosine", "steps", self.steps)

    def __call__(self, step: int) -> float:
        """Return the factor, from 1 at step 0 to ``floor`` at ``steps``."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * min(step / self.steps, 1))) / 2


@dataclass(frozen=True)
class Warmup:
    """The rate rises by equal parts over ``steps`` steps, the last of which has all of it; then ``then`` begins.

    Source: Goyal et al. 2017, arXiv 1706.02677, section 2.2.
    """

    steps: int
    then: Schedule = Constant()

    def __call__(self, step: int) -> float:
        """Return ``(step + 1) / steps`` during warm-up, then what ``then`` says, its steps counted from 0."""
        return (step + 1) / self.steps if step < self.steps else self.then(step - self.steps)


def attach(schedule: Schedule, optimizer: torch.optim.Optimizer) -> None:
    """Let ``optimizer`` follow ``schedule``.

    The rate is multiplied before each step and put back after it, so a trainer that changes ``lr`` itself changes
    what the schedule multiplies. One whose steps stand for more than one of the schedule's (see ``AdaScale``) says how
    many as ``scheduled_steps`` of the first parameter group. A step that a gradient scaler leaves out is none.
    """
    if schedule == Constant():
        return
    step = 0.0
    rates: list[float] = []

    def scale_rates(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        rates[:] = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] *= schedule(int(step))

    def put_back(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        nonlocal step
        overflowed = getattr(optimizer, "found_inf", None)  # a gradient scaler's, for a fused kernel to do nothing
        if overflowed is None or not overflowed.item():
            step += optimizer.param_groups[0].get("scheduled_steps", 1)
        for group, lr in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = lr

    optimizer.register_step_pre_hook(scale_rates)
    optimizer.register_step_post_hook(put_back)


def _check_at_least_one(schedule: str, name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{schedule}: {name} must be at least 1, got {value}")
