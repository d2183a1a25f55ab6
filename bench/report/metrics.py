"""How each metric is shown: its heading, unit and scale, the same in all tables, sentences and plots."""

import math
from dataclasses import dataclass

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.statistics import SPENT
from paceline.bench.report.wording import MISSING, number, ratio, with_interval


@dataclass(frozen=True)
class Shown:
    """How one metric is shown.

    Attributes:
        heading: of its column.
        unit: in which its values are shown; "" for none.
        scale: what turns a value as it was recorded, in SI units, into that unit.
        axis: what it is called at the axis of a plot, where that is not the heading.
    """

    heading: str
    unit: str
    scale: float = 1.0
    axis: str = ""

    @property
    def unit_below(self) -> str:
        """The unit that stands at the values below the heading: none where the heading says it."""
        return "" if self.unit in self.heading.split() else self.unit

    @property
    def label(self) -> str:
        """The label of an axis."""
        return f"{self.axis or self.heading} ({self.unit})"


SHOWN = {
    "seconds_to_target": Shown("seconds to target", "s", axis="training time to target"),
    "steps_to_target": Shown("steps to target", "steps"),
    "samples_to_target": Shown("samples to target", "samples"),
    "samples_per_second": Shown("throughput", "samples/s"),
    "seconds_per_step": Shown("time per step", "ms", 1e3),
    "training_memory_bytes": Shown("training memory", "MB", 1e-6),
    "peak_rss_bytes": Shown("peak RSS", "MB", 1e-6),
    "peak_device_bytes": Shown("peak GPU memory", "MB", 1e-6),
    "energy_joules": Shown("energy", "J"),
    "final_score": Shown("final score", ""),
}


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
