"""Look at the gradients of a live run, at weights that stand still: what the gradient noise scale is computed from.

Three ways, and all leave the run as it was: no ``.grad``, no buffer, no mode and no random state is touched.

- *Batch sizes*: squared norms of the gradients of random batches, small and big.
- *Samples*: the gradient of every single sample (``torch.func``).
- *Parts*: the run's own next step, for free: the gradients of its micro-batches, or of its ranks, beside the whole's.

What is kept are observations; ``analysis.noise_scale`` makes numbers of them.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.optim.optimizer import register_optimizer_step_pre_hook

from paceline.bench.records.record import NOISE
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

# Probes are so far apart, in steps, as a factor: 0.14 s of CPU each on mnist5k, ten in a hundred steps.
SPACING = 1.6

# Single precision: what rounding may leave between the sum of the parts and the whole, as a share.
PARTS_TOLERANCE = 1e-3

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

    def loss(self, parameters: Weights, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss, 0-d, of samples ``(x [B, ...], y [B, ...])`` at ``parameters``."""
        return self.task.loss(functional_call(self.model, (parameters, self.constants), (x,)), y).mean()

    def gradient(self, index: Tensor) -> list[Tensor]:
        """Return the gradient of the mean loss over the samples at ``index``, int64 ``[B]``, a tensor a parameter."""
        parameters = {name: p.detach().requires_grad_() for name, p in self.parameters.items()}
        loss = self.loss(parameters, *self.task[index])
        return list(torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True))

    def per_sample(self, index: Tensor) -> list[Tensor]:
        """Return the gradient of each sample at ``index``, int64 ``[B]``: ``[B, *shape]`` a parameter.

        Raises:
            RuntimeError: from torch, where the model cannot be mapped over samples.
        """

        def loss_of_one(parameters: Weights, x: Tensor, y: Tensor) -> Tensor:
            return self.loss(parameters, x[None], y[None])

        each: Callable[..., Weights] = vmap(grad(loss_of_one), in_dims=(None, 0, 0), randomness="different")
        return list(each(self.parameters, *self.task[index]).values())


def square(gradient: list[Tensor]) -> float:
    """Return the squared norm of a gradient."""
    return float(sum(_squares(tensor) for tensor in gradient))


def _squares(tensor: Tensor) -> Tensor:
    """Return the sum of squares, 0-d, in double precision.

    Each norm is taken in the tensor's own precision: in double it took 35 times as long, more than all else here.
    """
    wide = torch.float32 if tensor.dtype in (torch.bfloat16, torch.float16) else None
    norm: Tensor = torch.linalg.vector_norm(tensor, dtype=wide)
    return norm.double().square()


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


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
    squares = 0.0
    for chunk in one_by_one.split(max(1, CHUNK_BYTES // bytes_of_one)):
        try:
            with warnings.catch_warnings(action="ignore"):  # of operations that are mapped one by one, slowly
                squares += square(frozen.per_sample(chunk))
        except RuntimeError as error:
            raise ValueError(f"torch.func cannot map this model over samples: {_first_line(error)}") from error
    total: list[Tensor] = [torch.zeros_like(p, dtype=torch.float64) for p in frozen.parameters.values()]
    for chunk in index.split(SAMPLES_AT_ONCE):
        for whole, part in zip(total, frozen.gradient(chunk), strict=True):
            whole += part * (len(chunk) / len(index))
    return {
        "exact_n": len(one_by_one),
        "exact_mean_square": squares / len(one_by_one),
        "exact_big_batch": len(index),
        "exact_big_square": square(total),
    }


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


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
        self._sizes.append(len(inputs[0]) if inputs else 0)
        for values in (self._squares, self._sums):
            values.append(torch.zeros((), dtype=torch.float64, device=self._parameters[0].device))

    def _backward(self, gradient: Tensor) -> None:
        if self._sizes:
            self._squares[-1] += _squares(gradient)
            self._sums[-1] += gradient.sum()

    def _update(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        mine = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(p) in mine for p in self._parameters):
            return  # of another model
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        each = [torch.stack([_squares(g), g.sum().double(), g.abs().sum().double()]) for g in gradients]
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


@dataclass
class NoiseProbe:
    """Observes the gradient noise of one rank's run, between its training windows and in the steps after them.

    Attributes:
        task: what is trained on.
        world_size: ranks of the run.
        first: whether this rank is the one that observes what needs no other; the others wait for it.
        send: takes messages for the parent, as in ``harness.measure``.
        columns: the observations so far: ``Record.noise``.
        unmeasured: for what could not be observed, why.
    """

    task: Task
    world_size: int
    first: bool
    send: Callable[[dict[str, Any]], None]
    columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in NOISE})
    unmeasured: dict[str, str] = field(default_factory=dict)
    _parts: Parts | None = None
    _next: int = 1

    def look(self, step: int, samples: int, model: nn.Module, last: bool) -> None:
        """Take in what the step after the last look showed, and observe here if it is time. Every rank calls this.

        Args:
            step: how many were made.
            samples: how many they consumed.
            model: at the weights they led to.
            last: whether the run ends here, which is always worth a look.
        """
        self._collect()
        due = step >= self._next or last
        if self.first and due and all(bool(p.isfinite().all()) for p in model.parameters()):
            self._observe(step, samples, model)
            self._next = max(step + 1, math.ceil(SPACING * step))
        if self.first and due:
            self.send({"fields": {"noise": self.columns}})

    def listen(self, step: int, model: nn.Module) -> None:
        """Attach to the step after ``step``. Every rank calls this."""
        self._parts = Parts(model, step)

    def _collect(self) -> None:
        if self._parts is None:
            return
        found, step, self._parts = self._parts.observed(self.world_size), self._parts.step, None
        if found is not None:
            self._keep({"parts_step": step} | found)
            self.unmeasured.pop("noise_scale_of_parts", None)
        elif not self.columns["parts_step"]:
            why = "no step was the mean of several backward passes, of micro-batches or ranks"
            self.unmeasured["noise_scale_of_parts"] = why

    def _observe(self, step: int, samples: int, model: nn.Module) -> None:
        frozen, rng = Frozen.of(self.task, model), np.random.default_rng([self.task.seed, step])
        exact: dict[str, Any] = dict.fromkeys(name for name in NOISE if name.startswith("exact_"))
        with _random_state_kept(self.task.device):
            found = at_batch_sizes(frozen, rng)
            if "noise_scale_of_samples" not in self.unmeasured:
                try:
                    exact = of_samples(frozen, rng)
                except ValueError as error:
                    self.unmeasured["noise_scale_of_samples"] = str(error)
        self._keep({"step": step, "samples": samples} | found | exact)

    def _keep(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            self.columns[name].append(_short(value))


def _short(value: Any) -> Any:
    """Return numbers to seven digits, which is what single precision has."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value
