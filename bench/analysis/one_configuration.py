"""One configuration that several comparisons measured: what each found, and the one number that it comes to."""

import math
from collections import defaultdict
from dataclasses import dataclass, replace

import pandas as pd
from scipy import stats

from paceline.bench.analysis.anchor import across, reconciled, relative
from paceline.bench.analysis.cells import Cell, cells_of
from paceline.bench.analysis.drift import holm
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import Comparison, Floats, Interval

# What is reconciled: what a step takes, wherever it was measured, and the way to the target where trials raced to it.
METRICS = ("seconds_per_step", "seconds_to_target")


@dataclass(frozen=True)
class Measured:
    """One configuration, in one metric, as several comparisons measured it.

    Attributes:
        metric: a column of ``trials``.
        cells: that measured it, one a comparison.
        medians: what each found, as it stands in that comparison's tables.
        ratios: each against the first, in units of anchors; what the machine did between them is gone.
        reconciled: what they come to at the machine's mean speed over the run; NaN where no anchor, or no three seeds,
            tell.
        chance: of numbers as far apart as theirs, in units of anchors, if the configuration was the same; corrected
            for how many configurations were looked at. NaN where it cannot be told.
    """

    metric: str
    cells: tuple[Cell, ...]
    medians: tuple[Interval, ...]
    ratios: tuple[Comparison, ...]
    reconciled: Interval
    chance: float

    @property
    def apart(self) -> bool:
        """Whether two of the medians' intervals have no number in common."""
        return max(median.low for median in self.medians) > min(median.high for median in self.medians)


def several_times(results: Results) -> list[Measured]:
    """Return the configurations that several comparisons measured, in the order in which they first ran."""
    found = []
    for cells in _by_configuration(results).values():
        for metric in METRICS:
            raced = metric == "seconds_to_target"
            own = [cell for cell in cells if _is_timed(results, cell, raced)]
            if len({cell["comparison"] for cell in own}) < 2:
                continue
            medians = tuple(_median(cell, metric) for cell in own)
            ratios = tuple(across(results, cell, own[0], metric) for cell in own)
            one = reconciled(results, own, metric)
            found.append(Measured(metric, tuple(own), medians, ratios, one, _chance(results, own, metric)))
    corrected = holm([each.chance for each in found])
    return [replace(each, chance=chance) for each, chance in zip(found, corrected, strict=True)]


def _by_configuration(results: Results) -> dict[tuple[object, ...], list[Cell]]:
    """Return the cells of one configuration by all that must be set to train: one a comparison, of the null test A."""
    what = ["workload", "trainer", "hyperparameters", "world_size", "threads", "device", "environment"]
    trials = results.trials[results.trials["search"] == ""]
    firsts = trials.drop_duplicates(["comparison", "cell", "environment"])
    places = zip(firsts["comparison"], firsts["cell"], firsts["environment"], strict=True)
    settings = dict(zip(places, firsts[what].itertuples(index=False, name=None), strict=True))
    found: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for comparison in dict.fromkeys(trials["comparison"]):
        for cell in cells_of(results, str(comparison)):
            key = settings[comparison, cell["cell"], cell["environment"]]
            if all(cell["comparison"] != other["comparison"] for other in found[key]):
                found[key].append(cell)
    return {key: cells for key, cells in found.items() if len(cells) > 1}


def _median(cell: Cell, metric: str) -> Interval:
    middle, low, high = (float(cell[f"{metric}{end}"]) for end in ("", "_low", "_high"))
    return Interval(middle, low, high, int(cell[f"{metric}_n"]))


def _is_timed(results: Results, cell: Cell, to_target: bool) -> bool:
    """Return whether the trials of ``cell`` are ones to time, and with ``to_target`` all raced there and arrived.

    Hooks that observe the gradient's noise slow a trial's steps. Those that reached the target where others missed it
    are the lucky ones.
    """
    place = cell["comparison"], cell["cell"], cell["environment"]
    own = [r for r in results.records if not r.search and (r.comparison, r.cell, r.environment) == place]
    arrived = cell["n_reached"] == cell["n"] and all(record.stop_at_target for record in own)
    return not any(record.noise for record in own) and (arrived or not to_target)


def _chance(results: Results, cells: list[Cell], metric: str) -> float:
    """Return the chance of means so far apart over the seeds that all cells ran, in units of anchors.

    Source: R. A. Fisher 1925, Statistical Methods for Research Workers, chapter 7 (the two-way layout).
    """
    table = pd.concat([relative(results, cell, metric) for cell in cells], axis=1).dropna().to_numpy(float)
    return chance_of_one(table)


def chance_of_one(table: Floats) -> float:
    """Return the chance of column means so far apart in ``table`` [seeds, cells], if they were one; NaN if too few."""
    seeds, cells = table.shape
    if seeds < 3 or cells < 2:
        return math.nan
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    noise = float((left**2).sum()) / ((seeds - 1) * (cells - 1))
    between = seeds * float(table.mean(axis=0).var(ddof=1))
    return float(stats.f.sf(between / noise, cells - 1, (seeds - 1) * (cells - 1))) if noise > 0 else math.nan
