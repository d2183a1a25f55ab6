"""Before strategies are compared on a workload: do they solve the same problem?

Full batch, accumulation and distributed training promise the gradient of mini-batch training at the same batch; mixed
precision promises one close to it. Here the promise is tested on the workload itself, in fresh processes, on a few
steps the last of which is ragged, for that is where means of means go wrong. A trainer that measures its own batch size
or rate promises the same gradient at the same weights, which only its first step shows.
"""

import copy
import math
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.processes import call_in_processes
from paceline.bench.harness.ranks import process_group
from paceline.bench.harness.rounding import Rounding
from paceline.bench.harness.trial import Trial, payload, varies_batch_size
from paceline.bench.workloads.data import Data, Samples, Train
from paceline.bench.workloads.user_code import keep_traceback
from paceline.trainers.mini_batch import MiniBatch
from paceline.trainers.optimizers import Sgd
from paceline.trainers.samples import mapped
from paceline.trainers.task import Task, Trainer

# Of mixed precision a gap is allowed of so many times the largest that as many draws of rounding errors make. Over 240
# networks of 2 to 3 layers, the gap of one that rounds and does nothing else was at most 1.55 times that largest.
DRAWS, ALLOWED = 8, 3.0

# Samples that are shown twice to a model, to see whether it draws random numbers.
SAID_TWICE = 8

# Of a dataset or a stream so many samples are read at most.
MOST_READ = 512

# Steps that a scaler may leave out until its scale fits: it begins at 2^16, and halves.
MOST_LEFT_OUT = 40

# Named, since each explains a gap, and whether it is one to worry about.
BATCH_NORM = "BatchNorm: batch statistics depend on the micro-batch"
DROPOUT = "Dropout: masks are drawn anew for each micro-batch and rank; it was switched off to compare the rest"
NO_GRADIENT = "made no update that could be compared"
RANDOM = "it cannot be told: the model draws random numbers while it trains (functional dropout, say)"
ADAPTS = "first step alone: from there on it trains with a batch size or rate of its own, by design"


class Gap(NamedTuple):
    """How far a strategy's gradients are from those of mini-batch training.

    Attributes:
        gap: the largest relative difference over the first steps and over ranks; NaN if there is none to compare.
        bound: what rounding allows.
        dtype: what both were computed in; of mixed precision, its own.
        notes: what was found in the model and the batches that bears on it.
    """

    gap: float
    bound: float
    dtype: str
    notes: list[str]


def promises_the_same(trainer: Trainer) -> bool:
    """Return whether ``trainer`` claims mini-batch training's gradient, exactly or in fewer bits."""
    known = type(trainer).__name__ in ("FullBatch", "MiniBatch", "Online", "Compiled")
    return known or any(hasattr(trainer, name) for name in ("micro_batch_size", "distributed", "dtype"))


def gate(trials: Iterable[Trial], errors: Path | None = None) -> list[dict[str, Any]]:
    """Return for each trial whose trainer promises the same gradient whether it keeps it, and why not.

    Each is a plain dictionary: ``workload``, ``trainer``, ``world_size``, ``passed``, ``gap``, ``bound``, ``dtype``,
    ``reason`` ("" if passed) and ``notes``; ``gap`` is None where nothing could be compared.

    Args:
        trials: of which to check the trainers.
        errors: folder for the traceback of one that raises, which the reason then names; None keeps none.
    """
    return [_checked(trial, errors) for trial in trials if promises_the_same(trial.trainer)]


def _checked(trial: Trial, errors: Path | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "workload": trial.workload.name,
        "trainer": trial.trainer_name,
        "world_size": trial.world_size,
    }
    data_file, _ = DATA_FILES.prepare(trial.workload)
    with tempfile.TemporaryDirectory(prefix="gate-", dir=data_file.parent) as folder:
        arguments = payload(trial), str(data_file), str(Path(folder) / "rendezvous")
        try:
            name = f"workload {trial.workload.name!r}"
            gaps = call_in_processes(
                _rank_gap, arguments, trial.world_size, trial.patience, trial.workload.settings, name
            )
        except ValueError as error:
            found |= {"gap": None, "bound": None, "dtype": None, "notes": []}
            where = ""
            account = "".join(getattr(error, "__notes__", []))
            if account and errors is not None:
                kept = keep_traceback(account, errors, f"gate-{trial.workload.name}-{trial.trainer_name}")
                where = f"; traceback: {errors.name}/{kept.name}"
            return found | {"passed": False, "reason": f"could not be checked: {error}{where}"}
    # NaN, where a rank had nothing to compare, is no pass.
    worst = max((gap for gap in gaps), key=lambda gap: math.inf if math.isnan(gap.gap) else gap.gap)
    passed = worst.gap <= worst.bound
    return found | {
        "passed": passed,
        "gap": worst.gap if math.isfinite(worst.gap) and (passed or RANDOM not in worst.notes) else None,
        "bound": worst.bound,
        "dtype": worst.dtype,
        "reason": "" if passed else _reason(worst),
        "notes": worst.notes,
    }


def _reason(worst: Gap) -> str:
    if BATCH_NORM in worst.notes:
        return BATCH_NORM
    if RANDOM in worst.notes:
        return RANDOM
    if math.isnan(worst.gap):
        return NO_GRADIENT
    return f"its gradient differs from that of MiniBatch by {worst.gap:.2g}; rounding allows {worst.bound:.2g}"


def _rank_gap(rank: int, packed: bytes, data_file: str, rendezvous: str) -> Gap:
    """Return the gap of one rank: the entry point of its process."""
    trial: Trial = pickle.loads(packed)  # from our own parent, through our own pipe
    train = Data.load(data_file).train
    torch.set_num_threads(trial.threads_per_rank)
    device = torch.device("cuda", rank) if trial.device == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    with process_group(trial, rank, rendezvous, device):
        return gap(trial, train, device)


def gap(trial: Trial, train: Train, device: torch.device) -> Gap:
    """Compare the gradients of the trainer's first steps with those of ``MiniBatch`` over the same batches.

    In float64, where the model computes in it: whatever differs then by more than half of its digits is no rounding.
    Mixed precision is compared with float32, by what rounding to its dtype is seen to do to this very gradient: where
    units switch on and off by it that is many times its digits, and elsewhere little more. It, and a trainer that
    changes its batch size or rate, are compared on the first step alone, of the latter a ragged one: from there on the
    two train different weights.
    """
    # To read all that a full batch takes may last for hours; of a stream there is no all.
    n = train.n if isinstance(train, Samples) else min(train.n or MOST_READ, MOST_READ)
    batch_size = _batch_size(trial.trainer, n)
    notes = _notes(trial, n, batch_size)
    mixed: str | None = getattr(trial.trainer, "dtype", None)
    # In float16 the first steps may overflow and be left out: all are then of the same samples.
    few = batch_size if mixed else _few(n, batch_size)
    task = trial.workload.task(train.at(slice(0, few)), trial.seed, device)
    task = replace(task, model=_without_dropout(task))
    if mixed is None and _computes_in_float64(task):
        task = _in_float64(task)
    batch_size = min(_ragged(batch_size) if _adapts(trial.trainer) else batch_size, few)
    trainer = _of_batch_size(trial.trainer, batch_size)
    steps = 1 if mixed or _adapts(trainer) else -(-few // batch_size)
    own = list(_gradients(trainer, task, steps))
    plain = MiniBatch(getattr(trainer, "optimizer", Sgd(lr=0.1)), batch_size)
    reference = list(_gradients(plain, task, steps))
    dtype = mixed or str(reference[0].dtype).removeprefix("torch.")
    eps = torch.finfo(getattr(torch, dtype)).eps
    bound = max(eps, ALLOWED * _by_rounding(plain, task, dtype, reference[0])) if mixed else math.sqrt(eps)
    if _is_random(task):
        notes = [*notes, RANDOM]
    if len(own) < len(reference):
        return Gap(math.nan, bound, dtype, notes)
    gaps = [_relative(a, b) for a, b in zip(own, reference, strict=False) if b.norm() > 0]
    return Gap(max(gaps, default=math.nan) if all(map(math.isfinite, gaps)) else math.inf, bound, dtype, notes)


def _relative(gradient: Tensor, reference: Tensor) -> float:
    return float((gradient - reference).norm() / reference.norm())


def _by_rounding(plain: MiniBatch, task: Task, dtype: str, reference: Tensor) -> float:
    """Return how far at most ``DRAWS`` of the errors of rounding to ``dtype`` take the first gradient from itself."""
    found = []
    for seed in range(DRAWS):
        with Rounding(getattr(torch, dtype), seed):
            found += [_relative(gradient, reference) for gradient in _gradients(plain, task, 1)]
    return max(filter(math.isfinite, found), default=0.0)


def _adapts(trainer: Trainer) -> bool:
    return varies_batch_size(trainer) or bool(getattr(trainer, "varies_rate", False))


def _batch_size(trainer: Trainer, n: int) -> int:
    size: int = getattr(trainer, "batch_size", 1 if type(trainer).__name__ == "Online" else n)
    return min(size, n)


def _of_batch_size(trainer: Trainer, batch_size: int) -> Trainer:
    if not hasattr(trainer, "batch_size"):
        return trainer
    changed: Trainer = replace(trainer, batch_size=batch_size)
    return changed


def _few(n: int, batch_size: int) -> int:
    """Return how many samples to compare on: two batches and a part of a third."""
    part = _ragged(batch_size)
    return min(n, 2 * batch_size + (part if part < batch_size else 1))


def _ragged(batch_size: int) -> int:
    """Return a part of a batch that is odd, so that it divides neither into ranks nor into micro-batches.

    Of micro-batches of the usual sizes it leaves three over, for batch statistics need more than one.
    """
    return (batch_size // 2 + 3) | 1


def _gradients(trainer: Trainer, task: Task, steps: int) -> Iterator[Tensor]:
    """Yield the gradient ``[parameters]`` with which the trainer updates at each of its first ``steps`` updates."""
    found: list[Tensor] = []

    def keep(optimizer: Any, *_: Any) -> None:
        overflowed = getattr(optimizer, "found_inf", None)  # a gradient scaler's, for a fused kernel to do nothing
        if overflowed is not None and overflowed.item():
            return
        scale = getattr(optimizer, "grad_scale", None)  # for the kernel to divide by
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.detach().to_dense().flatten() for gradient in gradients])
        found.append(flat.clone() if scale is None else flat / scale)

    hook = register_optimizer_step_pre_hook(keep)
    torch.manual_seed(task.seed)
    run = trainer(task)
    try:
        for _, _ in zip(range(steps + MOST_LEFT_OUT), run, strict=False):
            if len(found) >= steps:
                break
    finally:
        run.close()
        hook.remove()
    yield from found[:steps]


# What is in the model and the batches


def _notes(trial: Trial, n: int, batch_size: int) -> list[str]:
    model = trial.workload.model()
    notes = [ADAPTS] if _adapts(trial.trainer) else []
    splits = trial.world_size > 1 or getattr(trial.trainer, "micro_batch_size", batch_size) < batch_size
    if splits and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()):
        notes.append(BATCH_NORM)
    if any(_drops(module) for module in model.modules()):
        notes.append(DROPOUT)
    if n % batch_size:
        notes.append(f"ragged: the last batch of a pass over {n} samples holds {n % batch_size} of {batch_size}")
    if batch_size % trial.world_size:
        notes.append(f"uneven shards: {batch_size} samples a batch on {trial.world_size} ranks")
    return notes


def _drops(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return float(module.p) > 0
    return isinstance(module, nn.MultiheadAttention | nn.RNNBase) and bool(module.dropout)


def _without_dropout(task: Task) -> Any:
    def model() -> nn.Module:
        built = task.model()
        for module in built.modules():
            if _drops(module):
                setattr(module, "p" if isinstance(module, nn.modules.dropout._DropoutNd) else "dropout", 0.0)
        return built

    return model


def _computes_in_float64(task: Task) -> bool:
    """Return whether model and loss run in float64: not if one casts to float32, or has class weights in it."""
    if task.device.type == "mps" or not any(p.dtype == torch.float32 for p in task.model().parameters()):
        return False
    wider = _in_float64(task)
    try:
        with torch.no_grad():
            x, y = wider[slice(0, 2)]
            losses = wider.loss(wider.model()(x), y)
            return bool(losses.dtype == torch.float64)
    except (RuntimeError, TypeError, ValueError):
        return False


@torch.no_grad()
def _is_random(task: Task) -> bool:
    """Return whether the model, as it trains, says two things of one batch."""
    model = task.model()
    x, _ = task[slice(0, SAID_TWICE)]
    first, second = (model(x) for _ in range(2))
    return not torch.equal(first, second)


def _in_float64(task: Task) -> Task:
    def wide(tensor: Tensor) -> Tensor:
        return tensor.double() if tensor.is_floating_point() else tensor

    x, y = mapped(wide, (task.x, task.y))
    return replace(copy.copy(task), model=lambda: task.model().double(), x=x, y=y, source=None)
