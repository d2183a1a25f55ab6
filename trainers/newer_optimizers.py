"""Newer optimizers as values, in the form of ``optimizers``: Lion, Muon and Schedule-Free AdamW.

None has a fused kernel. Muon is torch's own; the other two are loops over parameters, as torch's own of Adadelta and
RMSprop are on a CPU.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from paceline.trainers.optimizers import completed, fusable
from paceline.trainers.schedules import Constant, Schedule, Warmup


@dataclass(frozen=True)
class Lion:
    """Lion: every parameter moves by the rate, in the direction that gradient and momentum agree on.

    Its steps are larger than Adam's at the same rate: three to ten times smaller rates are usual, and as many times
    larger a weight decay.

    Attributes:
        lr: learning rate: what each parameter moves by at a step.
        betas: share of the momentum in the direction of a step, and in the next momentum, each in ``[0, 1)``.
        weight_decay: each step multiplies ``w`` by ``1 - lr * weight_decay``.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: Chen et al. 2023, arXiv 2302.06675, algorithm 2.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimizer.

        Raises:
            ValueError: for a setting out of range.
        """
        _check("Lion", self.lr, self.betas, self.weight_decay)
        optimizer = _Lion(parameters, {"lr": self.lr, "betas": self.betas, "weight_decay": self.weight_decay})
        return completed(optimizer, self.schedule, self.l1)


class _Lion(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group, parameter, state in _to_be_stepped(self):
            (share, decay), gradient = group["betas"], parameter.grad
            momentum = state.setdefault("momentum", torch.zeros_like(parameter))
            direction = momentum.lerp(gradient, 1 - share).sign_()
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=group["lr"])
            momentum.lerp_(gradient, 1 - decay)


@dataclass(frozen=True)
class Muon:
    """Muon: the momentum of each hidden matrix is made orthogonal before the step; AdamW steps all else.

    Muon is meant for the matrices between the first and the last layer. Which those are is read off the parameters, in
    the order in which the model names them: all with two dimensions, except the first (an embedding, or what reads the
    input) and the last (the head). Biases, norms and convolutions have one dimension or four. An embedding that comes
    second, of positions say, is taken for a hidden matrix: shapes do not tell.

    Steps of a matrix are scaled to the size that AdamW's have, so that one rate and one weight decay serve both.

    Attributes:
        lr: learning rate of both.
        momentum: share of the last momentum kept, in ``[0, 1)``.
        nesterov: look ahead along the momentum.
        orthogonalizing: Newton-Schulz iterations a step.
        weight_decay: each step multiplies ``w`` by ``1 - lr * weight_decay``.
        betas: AdamW's.
        eps: AdamW's.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: ``torch.optim.Muon``; Jordan et al. 2024, Muon: an optimizer for hidden layers in neural networks. For one
        rate: Liu et al. 2025, arXiv 2502.16982, section 2.2.
    """

    lr: float
    momentum: float = 0.95
    nesterov: bool = True
    orthogonalizing: int = 5
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build a ``torch.optim.Muon`` and a ``torch.optim.AdamW``, as one.

        Raises:
            ValueError: for a setting out of range, or where no parameter is a hidden matrix.
        """
        parameters = list(parameters)
        hidden = hidden_matrices(parameters)
        if not hidden:
            raise ValueError("Muon is for matrices between the first and the last, and this model has none: take AdamW")
        others = [p for p in parameters if not any(p is matrix for matrix in hidden)]
        muon = torch.optim.Muon(
            hidden,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            ns_steps=self.orthogonalizing,
            weight_decay=self.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
        adam_w = torch.optim.AdamW(
            others,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=fusable(others),
        )
        return completed(_Both(muon, adam_w), self.schedule, self.l1)


def hidden_matrices(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Return those of ``parameters`` with two dimensions, but for the first and the last such."""
    return [parameter for parameter in parameters if parameter.ndim == 2][1:-1]


class _Both(torch.optim.Optimizer):
    """Two optimizers as one, with the parameter groups and the state of both."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        groups = [group for part in parts for group in part.param_groups]
        super().__init__([p for group in groups for p in group["params"]], {})
        self.param_groups = groups  # the very ones: what is changed here is changed there
        for part in parts:
            part.state = self.state
        # As they are written: of the hooks that torch runs around every step of any optimizer, ours is to be one.
        self._steps = [(inspect.unwrap(type(part).step), part) for part in parts]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for step, part in self._steps:
            step(part)


@dataclass(frozen=True)
class ScheduleFreeAdamW:
    """Schedule-Free AdamW: an average of the weights takes the place of a rate that falls.

    Three sequences: z makes the steps, x is its mean, y lies between them and is where gradients are taken. While it
    trains the model holds y. What is to be judged is x: score the model within ``averaged(model)``, as the harness
    does.

    Attributes:
        lr: learning rate.
        betas: where y lies from z (0) to x (1), in ``(0, 1)``; decay of the mean of the squared gradient, in
            ``[0, 1)``.
        eps: added to the denominator.
        weight_decay: ``weight_decay * y`` is added to each step.
        schedule: ``Warmup(steps)`` or a constant rate; there is nothing else for it to follow.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: Defazio et al. 2024, arXiv 2405.15682, algorithm 1; their package ``schedulefree``.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimizer.

        Raises:
            ValueError: for a setting out of range, or a schedule by which the rate falls.
        """
        _check("ScheduleFreeAdamW", self.lr, self.betas, self.weight_decay)
        if self.betas[0] == 0:
            raise ValueError(
                "ScheduleFreeAdamW: betas must begin with more than 0, or gradients are taken off the mean"
            )
        warms_up = isinstance(self.schedule, Warmup) and self.schedule.then == Constant()
        if not (warms_up or self.schedule == Constant()):
            raise ValueError(
                f"ScheduleFreeAdamW: its rate is constant, after Warmup(steps) at most, not {self.schedule}"
            )
        settings = {"lr": self.lr, "betas": self.betas, "eps": self.eps, "weight_decay": self.weight_decay}
        return completed(_ScheduleFree(parameters, settings), self.schedule, self.l1)


class _ScheduleFree(torch.optim.Optimizer):
    def __init__(self, parameters: Iterable[nn.Parameter], settings: dict[str, Any]) -> None:
        super().__init__(parameters, settings)
        self._made, self._largest, self._weights = 0, 0.0, 0.0  # steps, the largest rate so far, sum of weights in x
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.average = partial(self._average, parameter)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        self._made += 1
        self._largest = max(self._largest, *(group["lr"] for group in self.param_groups))
        weight = self._largest**2  # of this step's z in x: the steps of a warm-up count for less
        self._weights += weight
        share = weight / self._weights if self._weights else 0.0
        for group, parameter, state in _to_be_stepped(self):
            lr, (beta1, beta2) = group["lr"], group["betas"]
            z = state.setdefault("z", parameter.clone())
            square = state.setdefault("square", torch.zeros_like(parameter))
            square.mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
            size = (square / (1 - beta2**self._made)).sqrt_().add_(group["eps"])
            direction = (parameter.grad / size).add_(parameter, alpha=group["weight_decay"])
            # y of the new z and x, by the old y: x itself is not needed.
            parameter.lerp_(z, share).add_(direction, alpha=lr * (beta1 * (1 - share) - 1))
            z.sub_(direction, alpha=lr)

    def _average(self, parameter: nn.Parameter) -> Tensor:
        """Return x of y = (1 - beta) z + beta x."""
        z: Tensor = self.state[parameter].get("z", parameter.detach())
        beta = next(g["betas"][0] for g in self.param_groups if any(p is parameter for p in g["params"]))
        return z.lerp(parameter.detach(), 1 / beta)


@contextmanager
def averaged(model: nn.Module) -> Iterator[None]:
    """Have ``model`` hold the weights that are to be judged, then, to the last bit, those that train.

    They differ where its optimizer says so, as ``ScheduleFreeAdamW`` does; of any other this does nothing.
    """
    parts = [parameter for parameter in model.parameters() if hasattr(parameter, "average")]
    trained = [parameter.detach().clone() for parameter in parts]
    with torch.no_grad():
        for parameter in parts:
            parameter.copy_(parameter.average())
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, weights in zip(parts, trained, strict=True):
                parameter.copy_(weights)


def _to_be_stepped(optimizer: torch.optim.Optimizer) -> Iterator[tuple[dict[str, Any], Any, dict[str, Any]]]:
    """Yield (group, parameter, state) of every parameter that has a gradient."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            if parameter.grad.is_sparse or parameter.is_complex():
                raise ValueError(
                    f"{type(optimizer).__name__[1:]} takes neither sparse gradients nor complex parameters"
                )
            yield group, parameter, optimizer.state[parameter]


def _check(name: str, lr: float, betas: tuple[float, float], weight_decay: float) -> None:
    if not (lr >= 0 and weight_decay >= 0 and all(0 <= beta < 1 for beta in betas)):
        raise ValueError(
            f"{name}: lr and weight_decay must be 0 or more and betas in [0, 1), got {lr:g}, {weight_decay:g}, {betas}"
        )
