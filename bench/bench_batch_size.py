"""batch size: training seconds per step.

How do throughput and memory grow with the batch, from one sample to the whole training set? Timed for a fixed
time at each batch size; this says nothing yet of how many samples the target takes.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import Plan, coarse_first, scaled_down
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record


def cells(plan: Plan) -> dict[str, Trial]:
    """Return one cell a batch size: powers of ``plan``'s factor, then the whole training set."""
    seconds = plan.of_suite(quick=0.2, standard=0.5, full=3.0)
    factor = plan.of_suite(quick=16, standard=4, full=2)
    found = {}
    for workload in plan.workloads_or("mnist5k"):
        _, train_samples = DATA_FILES.prepare(workload)
        powers = [factor**k for k in range(64) if factor**k < train_samples]
        batch_sizes = coarse_first(plan.batch_sizes or [*powers, train_samples])
        for name, trainer in plan.trainers_or("MiniBatch").items():
            if not hasattr(trainer, "batch_size"):
                continue  # a strategy with no batch size of its own has nothing to vary
            for batch_size in batch_sizes:
                trial = plan.trial(workload, scaled_down(plan.tuned(trainer, workload), batch_size), seconds, name)
                found[f"{workload.name}-{name}-B{batch_size}"] = replace(trial, stop_at_target=False, score_along=False)
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=6)


def test_batch_size(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
