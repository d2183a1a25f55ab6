"""The warm-up: the first steps of a throwaway run, and what they show."""

import gc
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from paceline.bench.harness.pulse import Pulse
from paceline.bench.harness.ranks import Ranks
from paceline.bench.harness.trial import Trial, varies_batch_size
from paceline.bench.probes.compiler import compiled_seconds
from paceline.bench.probes.float32_precision import IN_BFLOAT16, multiplied_in_bfloat16, multiplied_in_tf32
from paceline.bench.probes.footprint import Footprint
from paceline.bench.probes.rank_probes import Probes
from paceline.bench.workloads.data import Samples
from paceline.bench.workloads.random_state import seed_all
from paceline.bench.workloads.workload import SCORED_AT_ONCE, evaluating
from paceline.trainers.samples import InMemory, tensors
from paceline.trainers.task import Task

# So many steps, or as many as fit into so many seconds: two at least, and on a GPU three.
WARMUP_STEPS, WARMUP_SECONDS = 10, 1.0

# What torch warns of that is none of the user's doing: hooks that count FLOPs, or see a first use, and are gone before
# anything is compiled; and that a GPU could multiply in TF32, which would be another precision than was asked for.
KNOWN = r"Using `torch.compile\(module\)` when there are global hooks|TensorFloat32 tensor cores"

# Of inputs and outputs together, what is scored at once even where the trainer's own batch has less.
LEAST_SCORED_BYTES = 1 << 20


@dataclass(frozen=True)
class Warmup:
    """What the warm-up took and showed."""

    seconds: float
    compile_seconds: float
    flops_per_sample: float | None
    parameters: int | None
    dtype: str | None
    footprint: dict[str, int]
    scored_at_once: int
    unmeasured: dict[str, str]


def warm_up(
    trial: Trial,
    task: Task,
    validation: list[Samples],
    ranks: Ranks,
    probes: Probes,
    pulse: Pulse,
) -> Warmup:
    """Make the first steps of a throwaway run, and an evaluation: what they load is neither's cost.

    Every shape that the run has is met here, the smaller last batch of a pass as well: a compiler begins anew at each,
    and so do some kernels. FLOPs are counted on the first step and bytes on the second, for counting slows what it
    counts.
    """
    began = time.perf_counter()
    footprint: dict[str, int] = {}
    flops, step, second, at_once = None, None, None, SCORED_AT_ONCE
    seed_all(trial.seed, ranks.rank)  # dropout and the like draw from the global state
    with closing(trial.trainer(task)) as steps:
        with _counting_flops() as counter:
            step = next(steps, None)
        pulse.get_on("warm-up")
        counted = ranks.total(counter.get_total_flops())  # of all shares, which need not be equal
        if step is not None:
            flops = counted / step.samples
            with Footprint(step.model, tensors((task.x, task.y))) as footprints:
                second = next(steps, None)
            if second is not None:
                step, footprint = second, footprints.bytes()
            pulse.get_on("warm-up")
        probes.steps_follow()
        least = int(task.device.type == "cuda")  # a step that shows what memory training needs there
        for made in range(WARMUP_STEPS - 2):
            # Every rank makes as many.
            if made >= least and ranks.from_first(time.perf_counter() - began > WARMUP_SECONDS):
                break
            step = next(steps, step)
            pulse.get_on("warm-up")
        if step is not None:
            probes.evaluation_follows()
            pulse.get_on("the first evaluation")
            with uncompiled():
                at_once = _scored_at_once(trial, step.model, validation[0])
                trial.workload.evaluate(step.model, *validation, at_once=at_once)
    parameters = [] if step is None else list(step.model.parameters())
    named = getattr(trial.trainer, "dtype", None) or (parameters[0].dtype if parameters else None)
    dtype = None if named is None else str(named).removeprefix("torch.")
    if dtype == "float32" and multiplied_in_tf32(counter, task.device):
        dtype = "tf32"
    elif dtype == "float32" and multiplied_in_bfloat16(counter, task.device):
        dtype = IN_BFLOAT16
    count = sum(p.numel() for p in parameters) if step is not None else None
    del steps, step, second, parameters
    pulse.get_on("warm-up")
    for part in _a_short_pass(trial, task):
        with closing(trial.trainer(part)) as steps:
            for _, _ in zip(range(2), steps, strict=False):
                pulse.get_on("warm-up")
    gc.collect()
    seed_all(trial.seed, ranks.rank)
    unmeasured = _unmeasured(trial, flops, dtype, footprint)
    return Warmup(time.perf_counter() - began, compiled_seconds(), flops, count, dtype, footprint, at_once, unmeasured)


def _unmeasured(trial: Trial, flops: float | None, dtype: str | None, footprint: dict[str, int]) -> dict[str, str]:
    """Return why something that the warm-up was to show is not known."""
    found, of_optimizers = {}, ("parameter_bytes", "gradient_bytes", "optimizer_bytes")
    if flops is None:
        found["flops_per_sample"] = "the trainer made no step while warming up"
    elif dtype not in trial.dtypes_of_peaks:
        found["mfu"] = f"the model is of {dtype}; peaks are measured of {' and '.join(trial.dtypes_of_peaks)}"
    if "saved_bytes" not in footprint:
        why = "bytes are counted on the second step of the warm-up, and the trainer made no second"
        found |= dict.fromkeys(("saved_bytes", *of_optimizers), why)
    elif "optimizer_bytes" not in footprint:
        found |= dict.fromkeys(of_optimizers, "the trainer's second step used no optimizer of torch")
    return found


@contextmanager
def _counting_flops() -> Iterator[FlopCounterMode]:
    """Count FLOPs, uncompiled: a model that first meets the counter is never compiled after, and nothing says so."""
    with uncompiled(), FlopCounterMode(display=False) as counter:
        yield counter


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled models as they were written: evaluation has shapes and a mode of its own, and is no training."""
    with torch.compiler.set_stance("force_eager"):
        yield


def _a_short_pass(trial: Trial, task: Task) -> list[Task]:
    """Return a task of which a pass is a whole batch and the smaller last one, if a pass of the run ends with such."""
    if not isinstance(task.samples, InMemory):  # to read them again takes time, and a stream has no pass
        return []
    n, size = len(task), getattr(trial.trainer, "batch_size", 1)
    gets_there = trial.steps is None or trial.steps > n // size
    if n % size == 0 or varies_batch_size(trial.trainer) or not gets_there:
        return []
    few = size + n % size
    return [task.first(few)]


@torch.no_grad()
def _scored_at_once(trial: Trial, model: nn.Module, validation: Samples) -> int:
    """Return how many samples go through the model at once: what training has room for it has room for too.

    A batch is that, or a micro-batch where there are such. Where samples are small, more: scoring is then faster.
    """
    one = validation.at(slice(0, 1))
    with evaluating(model):
        output = model(one.x)
    each = sum(tensor.nbytes for tensor in tensors(one.x)) + output.nbytes
    size: int = getattr(trial.trainer, "micro_batch_size", 0) or getattr(trial.trainer, "batch_size", 1)
    return int(min(SCORED_AT_ONCE, max(size // trial.world_size, LEAST_SCORED_BYTES // max(each, 1), 1)))
