"""How far rounding takes a gradient: matrix products are made as if in fewer bits, with other errors each time."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry


class Rounding(TorchDispatchMode):
    """Makes every product and convolution in here, forward and backward, as if it were rounded to ``dtype``.

    What goes in and what comes out is off by up to half a unit of its last digit, as autocast has it, by the draw of
    ``seed``. Where a unit is about to switch on or off, one draw has it on, another off, as the rounding itself may.
    """

    def __init__(self, dtype: torch.dtype, seed: int) -> None:
        """Round to ``dtype``, with the errors that ``seed`` draws."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._eps, self._seed = torch.finfo(dtype).eps, seed
        self._drawn: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run ``func``, its tensors slightly off where it multiplies matrices."""
        if func._overloadpacket not in flop_registry:
            return func(*args, **(kwargs or {}))
        args = tree_map_only(Tensor, self._off, args)
        return tree_map_only(Tensor, self._off, func(*args, **(kwargs or {})))

    def _off(self, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        if tensor.device not in self._drawn:
            self._drawn[tensor.device] = torch.Generator(tensor.device).manual_seed(self._seed)
        drawn = torch.rand(tensor.shape, generator=self._drawn[tensor.device], dtype=tensor.dtype, device=tensor.device)
        return tensor * (1 + self._eps * (drawn - 0.5))
