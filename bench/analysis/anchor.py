"""What the anchors of a run tell: how fast the machine was in each block, and what that makes of other numbers.

One and the same cell stands in every block of every comparison, so what it takes differs by the machine alone. A cell's
time *in units of its own block's anchor* is free of that, whichever comparison it stands in.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import (
    ERROR,
    MARGIN,
    Comparison,
    Floats,
    Interval,
    Verdict,
    student,
    verdict_of,
)
from paceline.bench.records.quantities import seconds_per_step

# How a slower machine moves a metric: times grow with those of the anchor, throughput shrinks.
GROWS = {"seconds_per_step": 1.0, "seconds_to_target": 1.0, "train_seconds": 1.0, "samples_per_second": -1.0}

# In so many blocks at least must a cell and the anchor stand side by side.
FEWEST = 3


def anchors(results: Results) -> pd.DataFrame:
    """Return one row an anchor, in the order in which they ran; empty for a run without any.

    Columns: ``environment comparison search block seconds log``. ``seconds`` are those of a step; an anchor that made
    none is left out.
    """
    rows = [
        (record.environment, record.comparison, bool(record.search), record.block, seconds_per_step(record))
        for record in sorted(results.anchors, key=lambda record: record.started)
    ]
    found = pd.DataFrame(rows, columns=["environment", "comparison", "search", "block", "seconds"])
    found = found[found["seconds"] > 0].reset_index(drop=True)
    return found.assign(log=np.log(found["seconds"].astype(float)))


@dataclass(frozen=True)
class Components:
    """What the logarithm of an anchor's seconds varies by: standard deviations; NaN where too few tell.

    Attributes:
        within: of trials of one block, of which one follows the other.
        blocks: between the blocks of a comparison, beyond that.
        comparisons: between comparisons, beyond both.
    """

    within: float
    blocks: float
    comparisons: float


def components(groups: Iterable[Floats], within: float = math.nan) -> Components:
    """Return the components of variance of ``groups``, an array of anchors' logs [blocks] a comparison.

    By the method of moments: mean squares are what they are expected to be. One below 0 is 0.

    Args:
        groups: of different lengths.
        within: variance within blocks, known from elsewhere: with one anchor a block it is not to be told from that
            between blocks.

    Source: S. R. Searle, G. Casella, C. E. McCulloch 1992, Variance Components, section 3.6 (unbalanced data).
    """
    groups = [group for group in groups if len(group)]
    n = np.array([len(group) for group in groups], dtype=float)
    k, total = len(n), n.sum()
    if total - k < 1:
        return Components(math.sqrt(within), math.nan, math.nan)
    of_blocks = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / (total - k)
    between = math.nan
    if k > 1:
        means = np.array([group.mean() for group in groups])
        middle = float((n * means).sum() / total)
        of_comparisons = float((n * (means - middle) ** 2).sum() / (k - 1))
        typical = (total - float((n**2).sum()) / total) / (k - 1)
        between = max(0.0, (of_comparisons - of_blocks) / typical)
    blocks = of_blocks if math.isnan(within) else max(0.0, of_blocks - within)
    return Components(math.sqrt(within), math.sqrt(blocks), math.sqrt(between))


def groups_of(results: Results) -> dict[tuple[str, str], Floats]:
    """Return the logs of the anchors in the blocks of each (environment, comparison), in the order of blocks."""
    found = anchors(results)
    in_blocks = found[~found["search"].astype(bool)].sort_values("block")
    return {
        (str(environment), str(comparison)): own["log"].to_numpy(float)
        for (environment, comparison), own in in_blocks.groupby(["environment", "comparison"], sort=False)
    }


def relative(results: Results, cell: Cell, metric: str) -> "pd.Series[float]":
    """Return by seed the log of ``metric`` of each trial of ``cell`` in units of its own block's anchor.

    Blocks without an anchor, and trials without a value, are left out.
    """
    trials = results.trials
    own = trials[(trials["comparison"] == cell["comparison"]) & (trials["cell"] == cell["cell"])]
    own = own[(own["search"] == "") & (own["environment"] == cell["environment"])].set_index("block")
    found = anchors(results)
    beside = found[~found["search"].astype(bool) & (found["comparison"] == cell["comparison"])]
    beside = beside[beside["environment"] == cell["environment"]].set_index("block")["log"]
    positive = own[own[metric] > 0]
    logs = np.log(positive[metric].astype(float)) - GROWS[metric] * beside.reindex(positive.index).astype(float)
    return pd.Series(logs.to_numpy(float), index=positive["seed"].to_numpy()).dropna()


def across(results: Results, a: Cell, b: Cell, metric: str, margin: float = MARGIN) -> Comparison:
    """Compare two cells of different comparisons: each in units of its own blocks' anchors, seed by seed.

    Whatever a whole block or a whole comparison suffered cancels, as it does between cells of one block, and the seeds
    that both ran are pairs: what a seed makes of the steps cancels as well. The interval is Student's t on the logs.
    """
    pairs = pd.concat([relative(results, a, metric), relative(results, b, metric)], axis=1).dropna()
    return _compared((pairs[0] - pairs[1]).to_numpy(float), margin, metric)


def _compared(logs: Floats, margin: float, metric: str) -> Comparison:
    n = len(logs)
    middle = float(logs.mean()) if n else math.nan

    def ends(error: float) -> tuple[float, float]:
        if n < FEWEST:
            return math.nan, math.nan
        low, high = np.exp(student(logs, error))
        return float(low), float(high)

    def judged(error: float) -> Verdict:
        return verdict_of(*ends(error), margin, metric)

    return Comparison(math.exp(middle), *ends(ERROR), judged(ERROR), n, judged=judged, ends=ends)


def at_speed(relative_logs: Floats, level: Floats) -> tuple[Floats, Floats, Floats]:
    """Return a mean log with its 95 % interval at the speed of the machine at which the anchor's log is ``level``.

    Args:
        relative_logs: of a cell's trials, in units of their own blocks' anchors [..., n], n at least three.
        level: of the anchor [...].
    """
    low, high = student(relative_logs)
    return relative_logs.mean(axis=-1) + level, low + level, high + level


def reconciled(results: Results, cells: Iterable[Cell], metric: str) -> Interval:
    """Return what ``metric`` of one configuration is, whichever of its ``cells`` measured it, with a 95 % interval.

    In units of anchors all of them observe the same, so their trials are put together, seed by seed (a seed that ran
    twice is one observation), and told at the machine's mean speed over the run's comparisons: what it was in one of
    them is gone, and all numbers of a run that are told so can be compared. NaN where fewer than three seeds tell.
    """
    cells = list(cells)
    by_seed = pd.concat([relative(results, cell, metric) for cell in cells]).groupby(level=0).mean()
    own = [logs for (environment, _), logs in groups_of(results).items() if environment == cells[0]["environment"]]
    if len(by_seed) < FEWEST:
        return Interval(math.nan, math.nan, math.nan, len(by_seed))
    level = GROWS[metric] * np.mean([logs.mean() for logs in own], keepdims=True)
    middle, low, high = np.exp(at_speed(np.asarray(by_seed, dtype=np.float64), level))[:, 0]
    return Interval(float(middle), float(low), float(high), len(by_seed))
