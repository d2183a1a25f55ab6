"""What the report shows of ``bench_generalization.py``: what the score owes to the batch size, at what is equal."""

from collections.abc import Sequence

import pandas as pd

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.generalization import COMPARISON, Large, Sizes, sizes
from paceline.bench.analysis.rate_searches import SCORE, searches
from paceline.bench.analysis.rate_sensitivity import unresolved
from paceline.bench.analysis.scores import MARGIN_IN_WORDS
from paceline.bench.report.judging import Judged, Point, Said, Verdict, over_sweep
from paceline.bench.report.metrics import columns
from paceline.bench.report.plots import generalization as plots
from paceline.bench.report.wording import MISSING, interval, number, number_of

LESS_TRAINED = (
    "Where the training loss is higher too, the larger batch was trained less; that is not to generalize worse."
)

PLOTS = {"generalization": plots.generalization}


def table(results: Results) -> pd.DataFrame:
    """Return what was measured as a table to read: a row a batch size and budget, each at its own learning rate."""
    return pd.DataFrame([row for found in sizes(results) for row in _rows(results, found)])


def _rows(results: Results, found: Sizes) -> list[dict[str, str]]:
    rows = [_row(results, found.smallest, "", ())]
    for size in dict.fromkeys(one.batch_size for one in found.larger):
        own = [one for one in found.larger if one.batch_size == size]
        for cell in {one.cell["cell"]: one.cell for one in own}.values():
            of_cell = [one for one in own if one.cell is cell]
            rows.append(_row(results, cell, of_cell[0].held, of_cell))
    return rows


def _row(results: Results, cell: Cell, held: str, own: Sequence[Large]) -> dict[str, str]:
    by_held = {one.held: interval(one.better) for one in own}
    seconds = by_held.pop("seconds", MISSING)
    return {
        "workload": str(cell["workload"]),
        "batch size": number_of(cell["batch_size"]),
        "as many as the smallest": held or MISSING,
        "best rate [not resolved]": _rate(results, cell),
        "steps": number_of(_median(results, cell, "steps")),
        "samples": number_of(_median(results, cell, "samples")),
        "training loss": number(_median(results, cell, "train_loss")),
        **columns(cell, SCORE),
        "better than the smallest by": by_held.get(held, MISSING),
        "and at its seconds, in validation": seconds,
    }


def _rate(results: Results, cell: Cell) -> str:
    found = next((one for one in searches(results, COMPARISON) if one.search == cell["cell"]), None)
    if found is None:
        return MISSING
    rates = unresolved(found)
    edge = " (at the edge)" if found.best in (0, len(found.rates) - 1) else ""
    return f"{found.rates[found.best]:g} [{rates.min():g}, {rates.max():g}]{edge}"


def _median(results: Results, cell: Cell, column: str) -> float:
    trials = results.trials
    own = trials[(trials["comparison"] == COMPARISON) & (trials["cell"] == cell["cell"]) & (trials["search"] == "")]
    return float(own[column].median())


def large_batches_generalize_worse(results: Results) -> Judged:
    """Judge the claim by final scores at equal steps and at equal samples, and by curves at equal seconds."""
    points = []
    for found in sizes(results):
        for one in found.larger:
            numbers = interval(one.better) if one.converged else f"{interval(one.better)}, short of the target"
            if one.held != "seconds":
                losses = [number(_median(results, cell, "train_loss")) for cell in (one.cell, found.smallest)]
                numbers += f"; training loss {losses[0]} against {losses[1]}"
            place = f"{one.workload} B={number_of(one.batch_size)} at equal {one.held}"
            points.append(Point(place, _said(one), numbers))
    measure = (
        "Differences in score to the smallest batch size, negative where the larger batch is worse, each at the rate "
        f"searched for it, on test samples and at equal seconds on validation samples; one {MARGIN_IN_WORDS}"
    )
    needs = "bench_generalization.py in the full suite"
    return over_sweep(points, "what is held equal and on the batch size", measure, needs, LESS_TRAINED)


def _said(one: Large) -> Said:
    words: dict[str, Verdict] = {"worse": "holds", "better": "fails", "equivalent": "equivalent"}
    if one.verdict == "equivalent" and not one.converged:
        return Said("undecided", p=1.0)  # of two that were stopped on the way it says nothing yet
    return Said(words.get(one.verdict, "undecided"), p=one.p)
