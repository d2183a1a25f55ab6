"""Count the bytes a training step needs: parameters, gradients, optimizer state, what is saved for backward."""

import weakref
from collections import Counter
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook


class Footprint:
    """Within ``with``, counts what the steps made there hold on this rank, in bytes.

    Saved for the backward pass are unique storages, and those alive at once: micro-batches that follow each other
    need what one of them needs. Left out are parameters, buffers and the data set, which are held anyway; a batch
    that was *copied* out of the data set is counted, for it is kept until the backward pass is done. What a
    checkpointed block saves is not seen.

    Source: ``torch.autograd.graph.saved_tensors_hooks``.
    """

    def __init__(self, model: nn.Module, dataset: Iterable[Tensor]) -> None:
        """Count for ``model``; storages of ``dataset`` are not counted."""
        held = [*model.parameters(), *model.buffers(), *dataset]
        self._held = {tensor.untyped_storage().data_ptr() for tensor in held}
        self._alive: Counter[int] = Counter()
        self._now = self._peak = 0
        self._hooks = saved_tensors_hooks(self._pack, self._unpack)
        # By parameter, since several optimizers may share one; what an optimizer keeps of it is its own.
        self._parameters: dict[int, int] = {}
        self._gradients: dict[int, int] = {}
        self._states: dict[int, int] = {}  # by optimizer

    def __enter__(self) -> "Footprint":
        """Begin to count."""
        self._optimizer_hook = register_optimizer_step_post_hook(self._after_step)
        self._hooks.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop counting."""
        self._hooks.__exit__()
        self._optimizer_hook.remove()

    def bytes(self) -> dict[str, int]:
        """Return ``saved_bytes``, and of all optimizers ``parameter_``, ``gradient_`` and ``optimizer_bytes``.

        The latter three are left out for a trainer that uses no ``torch.optim.Optimizer``.
        """
        found = {"saved_bytes": self._peak}
        if self._states:
            held = {"parameter": self._parameters, "gradient": self._gradients, "optimizer": self._states}
            found |= {f"{name}_bytes": sum(sizes.values()) for name, sizes in held.items()}
        return found

    def _pack(self, tensor: Tensor) -> "_Saved | Tensor":
        storage = tensor.untyped_storage()
        where, size = storage.data_ptr(), storage.nbytes()
        if where in self._held or not size:
            return tensor
        if not self._alive[where]:
            self._now += size
            self._peak = max(self._peak, self._now)
        self._alive[where] += 1
        saved = _Saved(tensor)
        weakref.finalize(saved, self._freed, where, size).atexit = False
        return saved

    def _freed(self, where: int, size: int) -> None:
        self._alive[where] -= 1
        if not self._alive[where]:
            self._now -= size

    @staticmethod
    def _unpack(saved: "_Saved | Tensor") -> Tensor:
        return saved.tensor if isinstance(saved, _Saved) else saved

    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state = [value for values in optimizer.state.values() for value in values.values()]
        self._parameters |= {id(p): p.nbytes for p in parameters}
        self._gradients |= {id(p): _nbytes(p.grad) for p in parameters if p.grad is not None}
        self._states[id(optimizer)] = sum(value.nbytes for value in state if isinstance(value, Tensor))


def _nbytes(gradient: Tensor) -> int:
    if not gradient.is_sparse:
        return gradient.nbytes
    return gradient._indices().nbytes + gradient._values().nbytes  # torch gives no number for both


class _Saved:
    """Lives as long as the graph keeps ``tensor``."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
