"""tuning: training seconds to target, at the best learning rate.

What does each strategy owe to its learning rate, and what does it cost to find it? Each is searched with equally many
rates, seeds and seconds. The searches are the result, rate by rate: see ``analysis.rate_sensitivity``.
"""

from collections.abc import Callable

from paceline.bench.analysis.round_seconds import seconds_to_target
from paceline.bench.harness.plan import STRATEGIES, Plan
from paceline.bench.harness.rate_search import Search, log_grid, rate_of
from paceline.bench.records.record import Record

SPACING = 10**0.5  # between the rates of a grid


def cells(plan: Plan) -> dict[str, Search]:
    """Return a search of each strategy and workload, on a grid around the strategy's own default rate.

    In the full suite: the trials of a rate that misses take their whole budget.
    """
    if plan.suite != "full":
        return {}
    return {
        f"{workload.name}-{name}": Search(
            plan.trial(workload, trainer, seconds=10.0, label=name),
            log_grid(rate_of(trainer), SPACING, 7),
            refinements=2,
            seeds=3,
        )
        for workload in plan.workloads_or("mnist5k")
        for name, trainer in plan.trainers_or(*STRATEGIES).items()
        if hasattr(trainer, "optimizer")  # one without has no rate to search
    }


def blocks(plan: Plan) -> int:
    """Return the number of seeds at the best rate."""
    return plan.seeds or 6


def test_tuning(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the training seconds to target at the search's best rate."""
    replay(seconds_to_target)
