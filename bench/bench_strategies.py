"""strategies: training seconds to target.

Which strategy reaches the target soonest, and what does it cost in steps, samples and memory?
Every strategy gets all cores: one rank of as many threads, or as many ranks of one thread.
"""

from collections.abc import Callable

from paceline.bench.analysis.round_seconds import seconds_to_target
from paceline.bench.harness.plan import STRATEGIES, Plan
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record


def cells(plan: Plan) -> dict[str, Trial]:
    """Return one cell a strategy and workload, each at the rate that the search found for it."""
    seconds = plan.of_suite(quick=5.0, standard=10.0, full=60.0)
    more = ("mnist5k-cnn", "mnist5k-wide", "linear", "streaming-least-squares")
    workloads = plan.workloads_or("mnist5k", *plan.of_suite(quick=(), standard=(), full=more))
    return {
        f"{workload.name}-{name}": plan.trial(workload, plan.tuned(trainer, workload), seconds, name)
        for workload in workloads
        for name, trainer in plan.trainers_or(*STRATEGIES).items()
    }


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=3, standard=6, full=10)


def test_strategies(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds to target."""
    replay(seconds_to_target)
