"""Optimizers as values: a frozen dataclass names the rule and its settings, calling it builds torch's own.

Each is built with ``fused=True`` where torch has that, one kernel per step in place of several per parameter: torch
2.13 has it for SGD, Adagrad, Adam and AdamW, and neither for Adadelta nor for RMSprop. On the CPU this made the
optimizer's share of a step 2.3 to 8 times shorter for Adam (784-128-10 and 784-1024-1024-10 networks, batch sizes 1 and
64, torch 2.13) and changed little for SGD. Complex parameters and sparse gradients have no such kernels. Under a
gradient scaler a fused kernel is handed the gradients as they are, scaled, and divides by the scale itself: a penalty
that is added to them must be scaled as well.

All have the fields ``lr``, ``schedule`` and ``l1``. Weight decay and ``l1`` shrink every parameter, biases included.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from paceline.trainers.schedules import Constant, Schedule, attach


class Optimizer(Protocol):
    """What a trainer's ``optimizer`` field holds: settings that build a ``torch.optim.Optimizer``."""

    @property
    def lr(self) -> float:
        """The learning rate."""
        ...

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the optimizer of ``parameters``."""
        ...


@dataclass(frozen=True)
class Sgd:
    """Stochastic gradient descent, with momentum and weight decay where asked for.

    Attributes:
        lr: learning rate.
        momentum: share of the last update kept, in ``[0, 1)``; 0 is plain SGD.
        nesterov: look ahead along the momentum before the gradient is applied; needs ``momentum > 0``.
        weight_decay: L2 penalty: ``weight_decay * w`` is added to the gradient of ``w``.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: ``torch.optim.SGD``; Sutskever et al. 2013 for Nesterov momentum as used there.
    """

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build a ``torch.optim.SGD``.

        Raises:
            ValueError: for a setting out of range.
        """
        parameters = list(parameters)
        optimizer = torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            fused=fusable(parameters),
        )
        return completed(optimizer, self.schedule, self.l1)


@dataclass(frozen=True)
class Adagrad:
    """Adagrad: each parameter's steps shrink with the root of the sum of all its squared gradients.

    torch's ``lr_decay`` is left out: ``schedule=TimeDecay(lr_decay)`` is the same.

    Attributes:
        lr: learning rate.
        eps: added to the denominator.
        initial_accumulator: what the sum of squares begins with.
        weight_decay: L2 penalty: ``weight_decay * w`` is added to the gradient of ``w``.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: ``torch.optim.Adagrad``; Duchi et al. 2011, JMLR 12.
    """

    lr: float
    eps: float = 1e-10
    initial_accumulator: float = 0.0
    weight_decay: float = 0.0
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build a ``torch.optim.Adagrad``.

        Raises:
            ValueError: for a setting out of range.
        """
        parameters = list(parameters)
        optimizer = torch.optim.Adagrad(
            parameters,
            lr=self.lr,
            eps=self.eps,
            initial_accumulator_value=self.initial_accumulator,
            weight_decay=self.weight_decay,
            fused=fusable(parameters),
        )
        return completed(optimizer, self.schedule, self.l1)


@dataclass(frozen=True)
class Adadelta:
    """Adadelta: steps scaled by the ratio of the running sizes of past updates and of gradients.

    The ratio has the parameters' unit, so that a rate of 1, all there is in the paper, is meant to need no search.

    Attributes:
        lr: learning rate: what the paper's update is multiplied by.
        rho: decay of the running means of the squared gradient and of the squared update, in ``[0, 1]``.
        eps: added to both means; it alone sets the size of the first update.
        weight_decay: L2 penalty: ``weight_decay * w`` is added to the gradient of ``w``.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: ``torch.optim.Adadelta``; Zeiler 2012, arXiv 1212.5701, algorithm 1.
    """

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build a ``torch.optim.Adadelta``.

        Raises:
            ValueError: for a setting out of range.
        """
        optimizer = torch.optim.Adadelta(
            parameters, lr=self.lr, rho=self.rho, eps=self.eps, weight_decay=self.weight_decay
        )
        return completed(optimizer, self.schedule, self.l1)


@dataclass(frozen=True)
class RmsProp:
    """RMSprop: steps scaled by the root of a running mean of the squared gradient.

    Attributes:
        lr: learning rate.
        alpha: decay of the running mean, in ``[0, 1)``.
        eps: added to the denominator.
        momentum: share of the last update kept, in ``[0, 1)``; 0 is none.
        centered: subtract the running mean of the gradient, squared: the denominator is then its deviation.
        weight_decay: L2 penalty: ``weight_decay * w`` is added to the gradient of ``w``.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: ``torch.optim.RMSprop``; Tieleman & Hinton 2012, lecture 6.5. ``centered``: Graves 2013, arXiv 1308.0850.
    """

    lr: float
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build a ``torch.optim.RMSprop``.

        Raises:
            ValueError: for a setting out of range.
        """
        optimizer = torch.optim.RMSprop(
            parameters,
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            centered=self.centered,
            weight_decay=self.weight_decay,
        )
        return completed(optimizer, self.schedule, self.l1)


@dataclass(frozen=True)
class Adam:
    """Adam: steps scaled by running means of the gradient and of its square.

    Attributes:
        lr: learning rate.
        betas: decay of the running mean of the gradient and of its square, each in ``[0, 1)``.
        eps: added to the denominator.
        weight_decay: L2 penalty: ``weight_decay * w`` is added to the gradient of ``w``.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: ``torch.optim.Adam``; Kingma & Ba 2015, algorithm 1.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build a ``torch.optim.Adam``.

        Raises:
            ValueError: for a setting out of range.
        """
        parameters = list(parameters)
        optimizer = torch.optim.Adam(
            parameters,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=fusable(parameters),
        )
        return completed(optimizer, self.schedule, self.l1)


@dataclass(frozen=True)
class AdamW:
    """AdamW: Adam whose weight decay shrinks the parameters themselves, apart from the scaled step.

    Attributes:
        lr: learning rate.
        betas: decay of the running mean of the gradient and of its square, each in ``[0, 1)``.
        eps: added to the denominator.
        weight_decay: each step multiplies ``w`` by ``1 - lr * weight_decay``.
        schedule: what the rate is multiplied by at each step.
        l1: L1 penalty: ``l1 * sign(w)`` is added to the gradient of ``w``.

    Source: ``torch.optim.AdamW``; Loshchilov & Hutter 2019, arXiv 1711.05101, algorithm 2.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    schedule: Schedule = Constant()
    l1: float = 0.0

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build a ``torch.optim.AdamW``.

        Raises:
            ValueError: for a setting out of range.
        """
        parameters = list(parameters)
        optimizer = torch.optim.AdamW(
            parameters,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=fusable(parameters),
        )
        return completed(optimizer, self.schedule, self.l1)


def fusable(parameters: list[nn.Parameter]) -> bool | None:
    """Return whether torch's fused kernels take all of ``parameters``; None leaves the choice of another to torch."""
    return all(parameter.is_floating_point() for parameter in parameters) or None


def completed(optimizer: torch.optim.Optimizer, schedule: Schedule, l1: float) -> torch.optim.Optimizer:
    """Return ``optimizer`` with what torch's own does not have: a schedule, and an L1 penalty."""
    if l1 < 0:
        raise ValueError(f"l1 must be 0 or more, got {l1:g}")
    attach(schedule, optimizer)
    _look_before_first_step(optimizer)
    if l1 > 0:
        optimizer.register_step_pre_hook(lambda optimizer, *_: _add_l1(optimizer, l1))
    return optimizer


def _look_before_first_step(optimizer: torch.optim.Optimizer) -> None:
    """Have ``optimizer`` see before its first step whether gradients are sparse, which fused kernels refuse."""

    def first_step(*arguments: Any) -> Any:
        del optimizer.step  # from then on it is the class's own
        if any(p.grad is not None and p.grad.is_sparse for group in optimizer.param_groups for p in group["params"]):
            for group in optimizer.param_groups:
                group["fused"] = None
        return optimizer.step(*arguments)

    optimizer.step = first_step  # type: ignore[method-assign, assignment]


def _add_l1(optimizer: Any, l1: float) -> None:
    scale = getattr(optimizer, "grad_scale", None)  # a gradient scaler's, for the kernel to divide by
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                penalty = l1 * parameter.detach().sign()
                parameter.grad += penalty if scale is None else scale * penalty
