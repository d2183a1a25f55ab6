"""Metrics in words: each with the heading, unit and scale that ``records.metrics`` gives it, wherever it is shown."""

import math

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.statistics import SPENT
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.wording import MISSING, number, ratio, with_interval


def median_of(cell: Cell | None, metric: str) -> str:
    """Return a cell's median of ``metric`` with its interval, as it stands below the metric's heading."""
    return MISSING if cell is None else _median(cell, metric, SHOWN[metric].unit_below)


def median_in_words(cell: Cell, metric: str) -> str:
    """Return the same as it stands in a sentence, always with its unit."""
    return _median(cell, metric, SHOWN[metric].unit)


def _median(cell: Cell, metric: str, unit: str) -> str:
    if metric in SPENT and not cell["n_reached"]:
        return "not reached"
    if math.isinf(cell[metric]):
        return "not reached in half of the trials"
    low, high, n = (cell[f"{metric}_{part}"] for part in ("low", "high", "n"))
    return with_interval(cell[metric], low, high, n, unit, SHOWN[metric].scale)


def in_its_unit(value: float, metric: str) -> str:
    """Return a single value of ``metric`` with its unit."""
    return f"{number(value * SHOWN[metric].scale)} {SHOWN[metric].unit}".strip()


def columns(cell: Cell | None, *metrics: str) -> dict[str, str]:
    """Return a table's columns, by heading: a cell's medians; ``—`` where there is no cell."""
    return {SHOWN[metric].heading: median_of(cell, metric) for metric in metrics}


def ratio_column(found: Pair, metric: str) -> dict[str, str]:
    """Return a table's column of how two cells compare in ``metric``."""
    return {f"{SHOWN[metric].heading}, ratio": ratio(found)}
