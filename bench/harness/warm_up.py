"""The warm-up: the first steps of a throwaway run, and what they show."""

import gc
import time
from contextlib import closing
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch._dynamo.utils import calculate_time_spent
from torch.utils.flop_counter import FlopCounterMode

from paceline.bench.harness.ranks import Ranks
from paceline.bench.harness.trial import Trial
from paceline.bench.probes.float32_precision import multiplied_in_tf32
from paceline.bench.probes.footprint import Footprint
from paceline.bench.probes.rank_probes import Probes
from paceline.trainers.task import Task

# So many steps, or as many as fit into so many seconds: two at least, and on a GPU three.
WARMUP_STEPS, WARMUP_SECONDS = 10, 1.0


@dataclass(frozen=True)
class Warmup:
    """What the warm-up took and showed."""

    seconds: float
    compile_seconds: float
    flops_per_sample: float | None
    parameters: int | None
    dtype: str | None
    footprint: dict[str, int]
    unmeasured: dict[str, str]


def warm_up(
    trial: Trial, task: Task, held_out: tuple[torch.Tensor, torch.Tensor], ranks: Ranks, probes: Probes
) -> Warmup:
    """Make the first steps of a throwaway run, and an evaluation: what they load is neither's cost.

    FLOPs are counted on its first step and bytes on its second, since counting slows what it counts.
    """
    began = time.perf_counter()
    footprint: dict[str, int] = {}
    flops, step, second = None, None, None
    torch.manual_seed(trial.seed)  # dropout and the like draw from the global state
    with closing(trial.trainer(task)) as steps:
        with FlopCounterMode(display=False) as counter:
            step = next(steps, None)
        if step is not None:
            # A rank counts its own share of the samples.
            world_size = dist.get_world_size() if dist.is_initialized() else 1
            flops = counter.get_total_flops() * world_size / step.samples
            with Footprint(step.model, (task.x, task.y)) as counted:
                second = next(steps, None)
            if second is not None:
                step, footprint = second, counted.bytes()
        probes.steps_follow()
        least = int(task.device.type == "cuda")  # a step that shows what memory training needs there
        for made in range(WARMUP_STEPS - 2):
            # Every rank makes as many.
            if made >= least and ranks.from_first(time.perf_counter() - began > WARMUP_SECONDS):
                break
            step = next(steps, step)
        if step is not None:
            probes.evaluation_follows()
            trial.workload.evaluate(step.model, *held_out)
    parameters = [] if step is None else list(step.model.parameters())
    named = getattr(trial.trainer, "dtype", None) or (parameters[0].dtype if parameters else None)
    dtype = None if named is None else str(named).removeprefix("torch.")
    if dtype == "float32" and multiplied_in_tf32(counter, task.device):
        dtype = "tf32"
    count = sum(p.numel() for p in parameters) if step is not None else None
    del steps, step, second, parameters
    gc.collect()
    torch.manual_seed(trial.seed)
    compiled = float(calculate_time_spent()["total_wall_time"])  # by the compiler's own account
    unmeasured = _unmeasured(trial, flops, dtype, footprint)
    return Warmup(time.perf_counter() - began, compiled, flops, count, dtype, footprint, unmeasured)


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
