"""precision: training seconds per step.

Where is mixed precision faster than float32, where is it slower, and what becomes of the score? Both make the
same number of steps from the same initial weights over the same batches, at one learning rate.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import Plan, scaled_down
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.bench.workloads.mnist5k import of_width
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Amp, MiniBatch, Sgd

# Small enough for the widest network at the largest batch; the same for all, for this compares precisions.
OPTIMIZER = Sgd(lr=0.05)


def cells(plan: Plan) -> dict[str, Trial]:
    """Return float32 and autocast over width and batch size; over batch size alone for the user's own workload."""
    if not (plan.allows("MiniBatch") and plan.allows("Amp")):
        return {}  # there is nothing to compare
    batch_sizes = plan.of_suite(quick=(32, 512), standard=(32, 512), full=(8, 32, 128, 512, 2048))
    widths = plan.of_suite(quick=(64, 1024), standard=(64, 256, 1024), full=(64, 256, 1024, 2048))
    workloads: tuple[Workload, ...] = plan.workloads or tuple(of_width(width) for width in widths)
    found = {}
    for workload in workloads:
        _, train_samples = DATA_FILES.prepare(workload)
        for batch_size in sorted({min(size, train_samples) for size in batch_sizes}):
            # Fewer steps where each is long; enough that the shortest still time a tenth of a second.
            steps = plan.of_suite(quick=8_000, standard=12_000, full=60_000) // batch_size
            for trainer in (MiniBatch(OPTIMIZER), Amp(OPTIMIZER)):
                trial = plan.trial(workload, scaled_down(trainer, batch_size), seconds=60.0)
                found[f"{workload.name}-{type(trainer).__name__}-B{batch_size}"] = replace(
                    trial, steps=max(20, steps), stop_at_target=False, score_along=False
                )
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=6)


def test_precision(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
