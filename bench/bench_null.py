"""null: training seconds per step, of one strategy under two names.

Could this run see a difference? A and B are the same strategy on the same seeds: what differs between them is noise.
"""

from collections.abc import Callable

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.plan import Plan
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record


def cells(plan: Plan) -> dict[str, Trial]:
    """Return the strategy that others are compared with, twice, on the first workload of the run."""
    # Short: where the target takes longer, the time per step is left, and the suite is not held up.
    seconds = plan.of_suite(quick=0.5, standard=0.5, full=10.0)
    workload = plan.workloads_or("mnist5k")[0]
    trainers = plan.trainers_or("MiniBatch")
    label = "MiniBatch" if "MiniBatch" in trainers else next(iter(trainers))
    trial = plan.trial(workload, plan.tuned(trainers[label], workload), seconds, label)
    return {f"{workload.name}-{name}": trial for name in "AB"}


def blocks(plan: Plan) -> int:
    """Return the number of seeds: more than elsewhere, for a standard deviation is known far worse than a mean."""
    return plan.seeds or plan.of_suite(quick=4, standard=12, full=30)


def test_null(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step, which a trial has whether or not it reached the target."""
    replay(seconds_per_step)
