"""critical batch size: training seconds to target, at the best learning rate of each batch size.

Where does a larger batch stop paying? Every batch size gets the same search for its learning rate, and is then run to
the target at the best one: in steps, in samples and in seconds.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from paceline.bench.analysis.round_seconds import seconds_to_target
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import Plan, coarse_first
from paceline.bench.harness.rate_search import Search, log_grid
from paceline.bench.records.record import Record

# A rate that brings no better score while the number of steps doubles and more is given up: 1.03^30 is 2.4.
PLATEAU = 30

# Between neighbouring rates of the coarse grid: with it, three rates and two more around the best reach every rate
# from an eighteenth to eighteen times what is known for one batch size.
FACTOR = 10**0.75


def cells(plan: Plan) -> dict[str, Search]:
    """Return one search a batch size: powers of ``plan``'s factor, and the whole training set.

    The grid of rates is the same for all batch sizes. One that moves with the batch size by a rule finds that rule.
    """
    seconds = plan.of_suite(quick=1.5, standard=3.0, full=20.0)
    coarse, refinements = plan.of_suite(quick=(2, 1), standard=(3, 2), full=(3, 2))
    seeds = plan.of_suite(quick=1, standard=1, full=3)
    found = {}
    for workload in plan.workloads_or("mnist5k"):
        _, train_samples = DATA_FILES.prepare(workload)
        for name, trainer in plan.trainers_or("MiniBatch").items():
            if not hasattr(trainer, "batch_size") or not hasattr(trainer, "optimizer"):
                continue  # a strategy with no batch size, or no rate, of its own has nothing to vary
            known: Any = plan.tuned(trainer, workload)
            was_searched = plan.rate(trainer, workload) is not None
            for batch_size in coarse_first(plan.batch_sizes or _sizes(plan, train_samples)):
                # Without a search before this one nobody knows where to begin: more rates.
                count, factor = (coarse, FACTOR) if was_searched else (coarse + 2, 4.0)
                trial = plan.trial(workload, replace(known, batch_size=batch_size), seconds, name)
                found[f"{workload.name}-{name}-B{batch_size}"] = Search(
                    replace(trial, stop_on_plateau=PLATEAU),
                    log_grid(known.optimizer.lr, factor, count),
                    refinements,
                    seeds,
                )
    return found


def _sizes(plan: Plan, train_samples: int) -> list[int]:
    first, factor = plan.of_suite(quick=(8, 6), standard=(4, 6), full=(1, 2))
    sizes = [first * factor**k for k in range(64) if first * factor**k < 0.75 * train_samples]
    # Full batch takes long, and a first look at where larger batches stop paying does not need it.
    return sizes if plan.suite == "quick" and len(sizes) >= 4 else [*sizes, train_samples]


def blocks(plan: Plan) -> int:
    """Return the number of seeds at each best rate."""
    return plan.seeds or plan.of_suite(quick=2, standard=3, full=6)


def test_critical_batch(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds to target."""
    replay(seconds_to_target)
