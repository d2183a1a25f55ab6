"""What searches of optimizers and schedules say of two common claims: that decay helps, and that adapting does.

Every optimizer is taken at the learning rate that its own search found, all with the same number of rates, and each
seed at the rate that was chosen on the other seeds: see ``bench.sensitivity``.
"""

from bench.frames import Results
from bench.sensitivity import LOSS_OF_SCORE, SCORE, Searched, against, basin, gap, searches
from bench.tables import listed, with_interval

COMPARISON = "optimizers"

# By the labels that bench_optimizers.py gives its searches.
PLAIN = "Sgd"
DECAYING = ("SgdCosine", "SgdStep", "SgdExponential", "SgdTimeDecay", "SgdWarmupCosine")
ADAPTIVE = ("Adagrad", "Adadelta", "RmsProp", "Adam", "AdamW")

DECAY_MEASURE = (
    "Differences in final score after equally many samples, positive where the schedule is better, both with the "
    f"learning rate tuned; one within {100 * LOSS_OF_SCORE:g} % of the score counts as none"
)

# Where, whether the claim holds there (None: undecided), and the numbers: ``bench.claims.Point``.
Point = tuple[str, bool | None, str]


def decay(results: Results) -> list[Point]:
    """Return, for each schedule and workload, whether it scores better than the same optimizer at a constant rate."""
    points = []
    for base, others in _against_plain(searches(results, COMPARISON, SCORE), DECAYING):
        for other in others:
            better = gap(other, base)
            margin = LOSS_OF_SCORE * abs(float(base.cost[base.best].mean()))
            same = -margin <= better.low and better.high <= margin
            holds = True if better.low > 0 else False if better.high < 0 or same else None
            numbers = with_interval(better.median, better.low, better.high, better.n)
            points.append((f"{other.workload} {other.name}", holds, numbers))
    return points


def adaptive(results: Results) -> list[Point]:
    """Return whether each adaptive method takes less to the target than plain SGD: in seconds, and in samples."""
    points = []
    for base, others in _against_plain(searches(results, COMPARISON, "samples_to_target"), ADAPTIVE):
        for other in others:
            for metric, less in (("seconds_to_target", "faster"), ("samples_to_target", "less")):
                found = against(other, base, metric)
                holds = None if found.verdict == "undecided" else found.verdict == less
                points.append((f"{other.workload} {other.name} in {metric.split('_')[0]}", holds, found.ratio))
    return points


def adaptive_measure(results: Results) -> str:
    """Return what the points of ``adaptive`` are, and beside them final scores and how wide the basins of rates are."""
    said = ["Ratios to plain SGD of seconds and of samples to the target, each at its own tuned learning rate"]
    for base, others in _against_plain(searches(results, COMPARISON, SCORE), ADAPTIVE):
        scores = [(other.name, gap(other, base)) for other in others]
        better = [f"{name} {with_interval(found.median, found.low, found.high, found.n)}" for name, found in scores]
        widths = [f"{one.name} {basin(one).text}" for one in (base, *others)]
        rates = sorted({len(one.rates) for one in (base, *others)})
        said.append(
            f"On {base.workload}, of {' to '.join(map(str, rates))} rates each, final scores are better than those of "
            f"plain SGD by {listed(better)}; rates that lose no more than {100 * LOSS_OF_SCORE:g} % of the best score "
            f"span {listed(widths)}"
        )
    return ". ".join(said)


def _against_plain(found: list[Searched], names: tuple[str, ...]) -> list[tuple[Searched, list[Searched]]]:
    """Return, for each workload, the search of plain SGD and those of ``names`` that were made beside it."""
    pairs = []
    for base in found:
        if base.name == PLAIN:
            place = base.workload, base.environment
            beside = {one.name: one for one in found if (one.workload, one.environment) == place}
            pairs.append((base, [beside[name] for name in names if name in beside]))
    return [(base, others) for base, others in pairs if others]
