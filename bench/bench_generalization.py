"""generalization: training seconds per step, at the best learning rate.

Do large batches generalize worse? Every batch size gets the same search for its learning rate, by its validation score
at the end of its budget, and is then run to that end, beyond the target. The budget of the larger ones is that of the
smallest once in steps, which gives them more samples, and once in samples, which gives them fewer steps. What they have
at equal seconds is read from their curves.

Source: N. S. Keskar et al. 2017, ICLR (they do, tuned for none); E. Hoffer, I. Hubara & D. Soudry 2017, NeurIPS (not at
equal steps); C. J. Shallue et al. 2019, JMLR 20 (not where each is tuned).
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import Plan
from paceline.bench.harness.rate_search import Search, log_grid
from paceline.bench.records.record import Record
from paceline.trainers import MiniBatch

BATCH_SIZES = (16, 128, 1024)
STEPS = 4000  # of the smallest: 16 epochs of 4,000 samples

# The grid is the same for all batch sizes. One that moves with the batch size by a rule favours those it is right for.
RATES, SPACING, REFINEMENTS = 5, 10**0.5, 2


def cells(plan: Plan) -> dict[str, Search]:
    """Return a search of the smallest batch size, and two of each larger one; in the full suite."""
    if plan.suite != "full" or not plan.allows("MiniBatch"):
        return {}
    found = {}
    for workload in plan.workloads_or("mnist5k"):
        _, train_samples = DATA_FILES.prepare(workload)
        sizes = sorted(size for size in plan.batch_sizes or BATCH_SIZES if size <= train_samples)
        if len(sizes) < 2:
            continue  # there is no larger one
        grid = log_grid(plan.rate(MiniBatch(), workload) or 0.1, SPACING, RATES)
        for size in sizes:
            trial = plan.trial(workload, MiniBatch(batch_size=size), seconds=600.0)
            in_samples = max(1, STEPS * sizes[0] // size)
            budgets = {"": STEPS} if size == sizes[0] else {"-steps": STEPS, "-samples": in_samples}
            for held, steps in budgets.items():
                own = replace(trial, steps=steps, stop_at_target=False)
                found[f"{workload.name}-B{size}{held}"] = Search(own, grid, REFINEMENTS, seeds=2)
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds at each best rate: differences in final score are small."""
    return plan.seeds or 10


def test_generalization(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
