"""precision: training seconds per step.

Where is mixed precision faster than float32, where is it slower, and what becomes of the score? Both make the
same number of steps from the same initial weights over the same batches, at one learning rate.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import Plan, coarse_first, scaled_down
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.bench.workloads.mnist5k import of_width
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Amp, MiniBatch, Sgd

# Small enough for the widest network at the largest batch; the same for all, for this compares precisions.
OPTIMIZER = Sgd(lr=0.05)

# What a trial trains for at least: in less, a clock's rate or one interrupt is what is compared. Both precisions make
# the same steps, so that these have to be told beforehand: by what a step takes on the fastest machines.
LEAST_SECONDS = 0.1
LEAST_SECONDS_PER_STEP = 2e-4
FLOPS_PER_SECOND = {"cpu": 5e10, "cuda": 5e13}  # of a core, of a GPU


def least_steps(parameters: int, batch_size: int, device: str, cores: int) -> int:
    """Return how many steps of a perceptron fill ``LEAST_SECONDS``: of 6 FLOPs a parameter and sample."""
    flops_per_second = FLOPS_PER_SECOND[device] * (1 if device == "cuda" else cores)
    return math.ceil(LEAST_SECONDS / max(LEAST_SECONDS_PER_STEP, 6 * parameters * batch_size / flops_per_second))


def cells(plan: Plan) -> dict[str, Trial]:
    """Return float32 and autocast over width and batch size; over batch size alone for the user's own workload."""
    if not (plan.allows("MiniBatch") and plan.allows("Amp")):
        return {}  # there is nothing to compare
    batch_sizes = plan.of_suite(quick=(32, 512), standard=(32, 512), full=(8, 32, 128, 512, 2048))
    widths = plan.of_suite(quick=(64, 1024), standard=(64, 256, 1024), full=(64, 256, 1024, 2048))
    # Of a network of the user's own it is not known what its steps take: they are as many as the suite says.
    workloads: list[tuple[Workload, int | None]] = [(workload, None) for workload in plan.workloads]
    found = {}
    for workload, parameters in workloads or [(of_width(width), _parameters(width)) for width in widths]:
        _, train_samples = DATA_FILES.prepare(workload)
        for batch_size in coarse_first(sorted({min(size, train_samples) for size in batch_sizes})):
            # Fewer steps where each is long.
            steps = max(20, plan.of_suite(quick=8_000, standard=12_000, full=60_000) // batch_size)
            if parameters is not None:
                steps = max(steps, least_steps(parameters, batch_size, plan.device, plan.cores_of_a_trial()))
            for trainer in (MiniBatch(OPTIMIZER), Amp(OPTIMIZER)):
                trial = plan.trial(workload, scaled_down(trainer, batch_size), seconds=60.0)
                found[f"{workload.name}-{type(trainer).__name__}-B{batch_size}"] = replace(
                    trial, steps=steps, stop_at_target=False, score_along=False
                )
    return found


def _parameters(width: int) -> int:
    """Return the weights of ``of_width``'s network of two hidden layers."""
    return (784 + width + 10) * width


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=6)


def test_precision(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
