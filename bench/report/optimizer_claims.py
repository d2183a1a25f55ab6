"""What tuned optimizers and schedules say of two common claims: that decay helps, and that adapting does.

Every optimizer was searched for the learning rate of its best final score, all with the same number of rates, and then
measured at it, on other seeds and in blocks with all others.
"""

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.rate_sensitivity import LOSS_OF_SCORE, SCORE, basin, searches
from paceline.bench.report.tables import (
    Cell,
    by_workload,
    cells_of,
    find,
    listed,
    name_of,
    pair,
    score_difference,
    with_interval,
)

COMPARISON = "optimizers"

# By the labels that bench_optimizers.py gives its searches.
PLAIN = "Sgd"
DECAYING = ("SgdCosine", "SgdStep", "SgdExponential", "SgdTimeDecay", "SgdWarmupCosine")
ADAPTIVE = ("Adagrad", "Adadelta", "RmsProp", "Adam", "AdamW")

DECAY_MEASURE = (
    "Differences in final score after equally many samples, positive where the schedule is better, both with the "
    f"learning rate tuned; one within {100 * LOSS_OF_SCORE:g} % of the score counts as none"
)

# Where, whether the claim holds there (None: undecided), and the numbers: ``report.claims.Point``.
Point = tuple[str, bool | None, str]


def decay(results: Results) -> list[Point]:
    """Return, for each schedule and workload, whether it scores better than the same optimizer at a constant rate."""
    points = []
    for base, others in _against_plain(results, DECAYING):
        for other in others:
            better, low, high, n = score_difference(results, other, base)
            margin = LOSS_OF_SCORE * abs(base["final_score"])
            same = -margin <= low and high <= margin
            holds = True if low > 0 else False if high < 0 or same else None
            points.append((f"{other['workload']} {name_of(other)}", holds, with_interval(better, low, high, n)))
    return points


def adaptive(results: Results) -> list[Point]:
    """Return whether each adaptive method takes less to the target than plain SGD: in seconds, and in samples."""
    points = []
    for base, others in _against_plain(results, ADAPTIVE):
        for other in others:
            for metric, less in (("seconds_to_target", "faster"), ("samples_to_target", "less")):
                found = pair(results, other, base, metric)
                holds = None if found.verdict == "undecided" else found.verdict == less
                where = f"{other['workload']} {name_of(other)} in {metric.split('_')[0]}"
                points.append((where, holds, found.ratio))
    return points


def adaptive_measure(results: Results) -> str:
    """Return what the points of ``adaptive`` are, and beside them final scores and how wide the basins of rates are."""
    said = ["Ratios to plain SGD of seconds and of samples to the target, each at the rate tuned for its final score"]
    found = {one.search: one for one in searches(results, COMPARISON, SCORE)}
    for base, others in _against_plain(results, ADAPTIVE):
        better = [f"{name_of(cell)} {with_interval(*score_difference(results, cell, base))}" for cell in others]
        own = [found[cell["cell"]] for cell in (base, *others) if cell["cell"] in found]
        widths = [f"{one.name} {basin(one).text} (of {len(one.rates)} rates)" for one in own]
        said.append(
            f"On {base['workload']} final scores are better than that of plain SGD by {listed(better)}; rates that "
            f"lose no more than {100 * LOSS_OF_SCORE:g} % of the best score span {listed(widths)}"
        )
    return ". ".join(said)


def _against_plain(results: Results, names: tuple[str, ...]) -> list[tuple[Cell, list[Cell]]]:
    """Return, for each workload, plain SGD as it was measured and those of ``names`` that were measured beside it."""
    pairs = []
    for cells in by_workload(cells_of(results, COMPARISON)).values():
        base, others = find(cells, PLAIN), [found for name in names if (found := find(cells, name)) is not None]
        if base is not None and others:
            pairs.append((base, others))
    return pairs
