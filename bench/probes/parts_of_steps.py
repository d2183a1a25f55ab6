"""The parts of a step's gradient, for free: those of its micro-batches, or of its ranks, beside the whole's."""

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from paceline.bench.probes.gradients import squares_of
from paceline.trainers.samples import length

# Single precision: what rounding may leave between the sum of the parts and the whole, as a share.
PARTS_TOLERANCE = 1e-3


class Parts:
    """The parts of one step's gradient, seen while the trainer makes it: one a backward pass and rank.

    Parameter hooks see the gradient of each micro-batch before it is added to ``.grad``, and on each rank that of its
    own share before the ranks average. They are attached for one step: the optimizer's next removes them.

    Every sample must weigh the same in the whole, which ``harness.equivalence`` tests of a strategy: then a part
    over b of B samples, divided by b / B, is the mean gradient of its b samples, whatever the sizes of the others.
    Under a process group, that the ranks' mean is the whole; this is checked here, as nothing may be left out or
    counted twice.
    """

    def __init__(self, model: nn.Module, step: int) -> None:
        """Attach to ``model``, which has made ``step`` steps; the next one is looked at."""
        self.step = step
        self._sizes: list[int] = []  # samples of each forward pass
        self._squares: list[Tensor] = []  # squared norm of what its backward pass gives
        self._sums: list[Tensor] = []  # sum over its entries
        self._whole: Tensor | None = None  # [3], of .grad: squared norm, sum of its entries, sum of their sizes
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._handles = [
            model.register_forward_pre_hook(self._forward),
            *(p.register_hook(self._backward) for p in self._parameters),
            register_optimizer_step_pre_hook(self._update),
        ]

    def _forward(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._sizes.append(length(inputs[0]) if inputs else 0)
        for values in (self._squares, self._sums):
            values.append(torch.zeros((), dtype=torch.float64, device=self._parameters[0].device))

    def _backward(self, gradient: Tensor) -> None:
        if self._sizes:
            self._squares[-1] += squares_of(gradient)
            self._sums[-1] += gradient.sum()

    def _update(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(p) in mine for p in self._parameters):
            return  # of another model
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        each = [torch.stack([squares_of(g), g.sum().double(), g.abs().sum().double()]) for g in gradients]
        self._whole = torch.stack(each).sum(dim=0)
        self.remove()

    def remove(self) -> None:
        """Detach."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def observed(self, world_size: int) -> dict[str, Any] | None:
        """Return the step's observations, the same on every rank; None where there are no parts that make a whole.

        Returns:
            ``parts``: how many, over all ranks; ``parts_batch``: samples of the whole, B; ``parts_small_square``: the
            mean over parts, each by its share b / B of the samples, of the squared norm of its mean gradient, whose
            expectation is that of batches of B / parts samples; ``parts_big_square``: the squared norm of the whole.
        """
        self.remove()
        seen = self._whole is not None and all(self._sizes)
        shares = [float(s) / b for s, b in zip(self._squares, self._sizes, strict=True)] if seen else []
        mine = [float(seen), len(self._sizes), sum(self._sizes), math.fsum(shares), math.fsum(map(float, self._sums))]
        ranks, parts, samples, squares, entries = _sum_over_ranks(mine, world_size, self._parameters[0].device)
        if self._whole is None or ranks < world_size or parts < 2:
            return None
        big, whole, sizes = self._whole.tolist()
        # What a rank gives is averaged over ranks, not summed.
        if not abs(entries / world_size - whole) <= PARTS_TOLERANCE * sizes:
            return None
        return {
            "parts": int(parts),
            "parts_batch": int(samples),
            "parts_small_square": samples * squares / world_size**2,
            "parts_big_square": big,
        }


def _sum_over_ranks(values: list[float], world_size: int, device: torch.device) -> list[float]:
    if world_size == 1:
        return values
    summed = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(summed)
    found: list[float] = summed.tolist()
    return found
