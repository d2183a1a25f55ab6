"""What the report shows of ``bench_optimizers.py``: what each optimizer and schedule owes to its learning rate.

And what it says of two claims: that decay helps, and that adapting does. Every optimizer was searched for the learning
rate of its best final score, all with the same number of rates, and then measured at it, on other seeds and in blocks
with all others. ``report.rate_searches`` has its tables.
"""

import math

import pandas as pd

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, find, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.noise_prediction import ADAPTIVE
from paceline.bench.analysis.paired import pair, score_difference
from paceline.bench.analysis.rate_searches import SCORE, searches
from paceline.bench.analysis.rate_sensitivity import LOSS_OF_ERROR, basin
from paceline.bench.analysis.scores import MARGIN_IN_WORDS, score_gap
from paceline.bench.report import rate_searches
from paceline.bench.report.judging import Judged, Point, Said, on_the_way, over_sweep, scores_better, takes_less
from paceline.bench.report.plots import tuning as plots
from paceline.bench.report.rate_searches import width
from paceline.bench.report.wording import interval, listed, ratio, with_interval

COMPARISON = "optimizers"

# By the labels that bench_optimizers.py gives its searches.
PLAIN = "Sgd"

DECAYING = ("SgdCosine", "SgdStep", "SgdExponential", "SgdTimeDecay", "SgdWarmupCosine")

COTUNED = "-cotuned"  # what such a search is called after that for the rate alone

PLOTS = {"optimizers": plots.optimizers}


def table(results: Results) -> pd.DataFrame:
    """Return the searches for each optimizer's learning rate: the best, how sure it is, and what it is worth."""
    return rate_searches.table(results, COMPARISON)


def verdict(results: Results) -> str:
    """Return in words with what effort each was tuned, which is best, and whether that depends on the effort."""
    said = (rate_searches.efforts(results, COMPARISON), rate_searches.verdict(results, COMPARISON), cotuning(results))
    return " ".join(filter(None, said))


def cotuning(results: Results) -> str:
    """Return what it brought to search more than the rate with as many trials, optimizer by optimizer; or ""."""
    gains = []
    for workload, cells in by_workload(cells_of(results, COMPARISON)).items():
        for cell in cells:
            alone = find(cells, name_of(cell).removesuffix(COTUNED))
            if name_of(cell).endswith(COTUNED) and alone is not None:
                gain = with_interval(*score_difference(results, cell, alone))
                gains.append(f"{name_of(alone)} on {workload} {gain}")
    if not gains:
        return ""
    along = "With weight decay, warm-up and memory searched along, in as many trials, final scores are better by"
    return f"{along}: {'; '.join(gains)}."


def costs(results: Results) -> pd.DataFrame:
    """Return what each search took."""
    return rate_searches.costs(results, COMPARISON)


def decay_trains_better(results: Results) -> Judged:
    """Judge the claim by final scores: each schedule against the same optimizer at a constant rate."""
    points = []
    for base, others in _against_plain(results, DECAYING):
        for other in others:
            found = score_gap(results, other, base)
            numbers = f"{interval(found.interval)}{on_the_way(found)}"
            points.append(Point(f"{other['workload']} {name_of(other)}", scores_better(found), numbers))
    measure = (
        "Differences in final score after equally many samples, positive where the schedule is better, both with the "
        f"learning rate tuned; one {MARGIN_IN_WORDS}"
    )
    return over_sweep(points, "the schedule", measure, "Sgd with and without a schedule in bench_optimizers.py")


def adaptive_methods_are_faster(results: Results) -> Judged:
    """Judge the claim in seconds and in samples to the target, each adaptive method against plain SGD.

    Rates were tuned for the final score. Where another rate gets to the target sooner, by the search, that of a method
    which is behind all the same is no verdict: see ``_sooner``.
    """
    points = []
    for base, others in _against_plain(results, ADAPTIVE):
        for other in others:
            for metric in ("seconds_to_target", "samples_to_target"):
                found = pair(results, other, base, metric)
                said, place = takes_less(found), f"{other['workload']} {name_of(other)} in {metric.split('_')[0]}"
                behind = {"holds": [base], "fails": [other]}.get(said.verdict, [base, other])
                untuned = [sooner for cell in behind if (sooner := _sooner(results, cell))]
                if untuned:
                    said = Said("undecided", math.nan, 1.0)
                points.append(Point(place, said, "; ".join([ratio(found), *untuned])))
    needs = "Sgd and an adaptive method in bench_optimizers.py"
    return over_sweep(points, "the method and on what is counted", _adaptive_measure(results), needs)


def _sooner(results: Results, cell: Cell) -> str:
    """Return that by its search another rate than a cell's gets to the target sooner, by a fifth or more; or ""."""
    found = {one.search: one for one in searches(results, COMPARISON, "samples_to_target")}.get(cell["cell"])
    if found is None or found.failed[found.best].all():
        return ""
    within = basin(found)
    if within.low * 0.995 <= cell["lr"] <= within.high * 1.005:  # rates are written to three digits
        return ""
    return f"{name_of(cell)} ran at {cell['lr']:g}, and gets there sooner at {found.rates[found.best]:g}"


def _adaptive_measure(results: Results) -> str:
    """Return what is judged of adaptive methods, and beside them final scores and how wide the basins of rates are."""
    said = ["Ratios to plain SGD of seconds and of samples to the target, each at the rate tuned for its final score"]
    found = {one.search: one for one in searches(results, COMPARISON, SCORE)}
    for base, others in _against_plain(results, ADAPTIVE):
        better = [f"{name_of(cell)} {with_interval(*score_difference(results, cell, base))}" for cell in others]
        own = [found[cell["cell"]] for cell in (base, *others) if cell["cell"] in found]
        widths = [f"{one.name} {width(basin(one))} (of {len(one.rates)} rates)" for one in own]
        said.append(
            f"On {base['workload']} final scores are better than that of plain SGD by {listed(better)}; rates that "
            f"lose no more than {100 * LOSS_OF_ERROR:g} % of the best one's error span {listed(widths)}"
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
