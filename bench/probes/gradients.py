"""The noise of the gradient at weights that stand still: of random batches of several sizes, and of single samples.

The run is left as it was: no ``.grad``, no buffer, no mode and no random state is touched.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from paceline.trainers.samples import Tree, mapped
from paceline.trainers.task import Task

# Random batches are drawn at these sizes; of the smallest and the largest every squared norm is kept.
BATCH_SIZES = (16, 128, 1024)
DRAWS = 8  # of each size, in pairs

# Of how many samples the gradients are taken one by one, and how much memory those of one go may take.
SAMPLES = 512
CHUNK_BYTES = 16_000_000

# Over how many samples the mean gradient is taken beside them: all there are, but for large data sets.
MOST_SAMPLES = 16_384
SAMPLES_AT_ONCE = 1024

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Frozen:
    """A task at weights that stand still.

    Attributes:
        task: whose samples and loss.
        model: is read only; its mode, and so its dropout, is as training has it.
        parameters: those that training changes, detached, sharing memory with the model's.
        constants: all else that the model holds, copied: batch statistics change as they are used.
    """

    task: Task
    model: nn.Module
    parameters: Weights
    constants: Weights

    @classmethod
    def of(cls, task: Task, model: nn.Module) -> "Frozen":
        """Return ``task`` at the present weights of ``model``."""
        trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        rest = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        return cls(task, model, trained, rest | {name: b.detach().clone() for name, b in model.named_buffers()})

    def losses(self, parameters: Weights, x: Tree, y: Tree) -> Tensor:
        """Return the losses ``[B]`` of samples ``(x [B, ...], y [B, ...])`` at ``parameters``."""
        return self.task.loss(functional_call(self.model, (parameters, self.constants), (x,)), y)

    def gradient(self, index: Tensor) -> list[Tensor]:
        """Return the gradient of the mean loss over the samples at ``index``, int64 ``[B]``, a tensor a parameter."""
        parameters = {name: p.detach().requires_grad_() for name, p in self.parameters.items()}
        x, y = self.task[index]
        outputs = functional_call(self.model, (parameters, self.constants), (x,))
        loss = self.task.mean_loss(outputs, y)
        return list(torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True))

    def per_sample(self, index: Tensor, mean_weight: float = 1.0) -> list[Tensor]:
        """Return the gradient of each sample at ``index``, int64 ``[B]``: ``[B, *shape]`` a parameter.

        Where samples weigh, each one's is that of its weighted sum over the ``mean_weight`` of a sample: their mean
        over the training set is the gradient of the whole.

        Raises:
            RuntimeError: from torch, where the model cannot be mapped over samples.
        """

        def loss_of_one(parameters: Weights, x: Tree, y: Tree) -> Tensor:
            one = mapped(lambda tensor: tensor[None], x), mapped(lambda tensor: tensor[None], y)
            return self.losses(parameters, *one).sum() / mean_weight

        each: Callable[..., Weights] = vmap(grad(loss_of_one), in_dims=(None, 0, 0), randomness="different")
        return list(each(self.parameters, *self.task[index]).values())


def square(gradient: list[Tensor]) -> float:
    """Return the squared norm of a gradient."""
    return float(sum(squares_of(tensor) for tensor in gradient))


def squares_of(tensor: Tensor) -> Tensor:
    """Return the sum of squares, 0-d, in double precision.

    Each norm is taken in the tensor's own precision: in double it took 35 times as long, more than all else here.
    """
    wide = torch.float32 if tensor.dtype in (torch.bfloat16, torch.float16) else None
    norm: Tensor = torch.linalg.vector_norm(tensor, dtype=wide)
    return norm.double().square()


def at_batch_sizes(frozen: Frozen, rng: np.random.Generator) -> dict[str, Any]:
    """Return what random batches of several sizes, each without replacement, say of the gradient's noise.

    Returns:
        ``small_batch``, ``big_batch``: the smallest and the largest size; ``small_squares``, ``big_squares``: the
        squared norms ``[DRAWS]`` of their gradients; ``batch_sizes``: every size; ``variances``: at each, half the
        squared distance between the gradients of two batches, a mean over ``DRAWS / 2`` pairs: unbiased for the
        variance of such a gradient, summed over parameters.
    """
    task = frozen.task
    sizes = [size for size in BATCH_SIZES if size <= len(task)]
    sizes = sizes if len(sizes) > 1 else [1, len(task)]
    squares, variances = [], []
    for size in sizes:
        found, distances = [], []
        for _ in range(DRAWS // 2):
            a, b = (frozen.gradient(_draw(rng, len(task), size, task.device)) for _ in range(2))
            found += [square(a), square(b)]
            distances.append(square([x - y for x, y in zip(a, b, strict=True)]))
        squares.append(found)
        variances.append(float(np.mean(distances)) / 2)
    return {
        "small_batch": sizes[0],
        "big_batch": sizes[-1],
        "small_squares": squares[0],
        "big_squares": squares[-1],
        "batch_sizes": sizes,
        "variances": variances,
    }


def _draw(rng: np.random.Generator, n: int, size: int, device: torch.device) -> Tensor:
    return torch.from_numpy(rng.choice(n, size, replace=False)).to(device)


def of_samples(frozen: Frozen, rng: np.random.Generator, samples: int = SAMPLES) -> dict[str, Any]:
    """Return what the gradients of ``samples`` random samples, one by one, say of the gradient's noise.

    Memory is bounded: of the per-sample gradients there are ``CHUNK_BYTES`` at a time, of which the squares stay. The
    mean gradient beside them is of the whole training set (of ``MOST_SAMPLES`` of a larger one): the mean over the few
    samples is no use, since it is mostly noise wherever the noise scale is near their number or above.

    Returns:
        ``exact_n``: how many samples one by one; ``exact_mean_square``: the mean of their gradients' squared norms;
        ``exact_big_batch``: over how many the mean gradient was taken; ``exact_big_square``: its squared norm.

    Raises:
        ValueError: if the model cannot be mapped over samples; one line.
    """
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in frozen.model.modules()):
        raise ValueError("BatchNorm: a sample has no gradient of its own, for batch statistics tie it to others")
    task, bytes_of_one = frozen.task, sum(p.nbytes for p in frozen.parameters.values())
    index = _draw(rng, len(task), min(MOST_SAMPLES, len(task)), task.device)
    one_by_one = index[:samples]
    chunks = index.split(SAMPLES_AT_ONCE)
    weights = [_weight(task, chunk) for chunk in chunks]
    total: list[Tensor] = [torch.zeros_like(p, dtype=torch.float64) for p in frozen.parameters.values()]
    for chunk, weight in zip(chunks, weights, strict=True):
        for whole, part in zip(total, frozen.gradient(chunk), strict=True):
            whole += part * (weight / sum(weights))
    mean_weight, squares = sum(weights) / len(index), 0.0
    for chunk in one_by_one.split(max(1, CHUNK_BYTES // bytes_of_one)):
        try:
            with warnings.catch_warnings(action="ignore"):  # of operations that are mapped one by one, slowly
                each = frozen.per_sample(chunk, mean_weight)
        except RuntimeError as error:
            raise ValueError(f"torch.func cannot map this model over samples: {_first_line(error)}") from error
        if task.weight is not None:
            # A heavy sample adds to the batch's weight too, by which the sum is divided: that is no noise.
            _, y = task[chunk]
            excess = task.weight(y) / mean_weight - 1
            for g, whole in zip(each, total, strict=True):
                g -= torch.tensordot(excess.to(g.dtype), whole.to(g.dtype), dims=0)
        squares += square(each)
    return {
        "exact_n": len(one_by_one),
        "exact_mean_square": squares / len(one_by_one),
        "exact_big_batch": len(index),
        "exact_big_square": square(total),
    }


def _weight(task: Task, index: Tensor) -> float:
    """Return what the samples at ``index`` weigh together."""
    if task.weight is None:
        return len(index)
    _, y = task[index]
    return float(task.weight(y).double().sum())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
