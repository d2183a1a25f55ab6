"""Intervals and comparisons that are honest at three to ten trials.

Source: notes on each function; Hoefler & Belli 2015 (SC'15) for reporting medians with intervals and n.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95

# Two strategies within this share of each other are called equivalent, if the whole interval is.
MARGIN = 0.05

Verdict = Literal["faster", "slower", "less", "more", "equivalent", "undecided"]


@dataclass(frozen=True)
class Interval:
    """A median with its 95 % interval; NaN where n is too small for one, or too few values are known.

    Attributes:
        median: of all ``n`` values, in their unit; infinite values (a target missed) count as largest.
        low: lower end of the interval.
        high: upper end.
        n: number of values, infinite ones included.
    """

    median: float
    low: float
    high: float
    n: int


def median_interval(values: Sequence[float], positive: bool = True) -> Interval:
    """Return the median of ``values`` with a 95 % interval.

    From six values on the interval is made of two order statistics, and assumes nothing: the i-th smallest
    and the i-th largest, with the largest i that covers the median at least 95 % of the time. With three
    to five values even their whole range covers too seldom (75 % at three, 93.75 % at five), so Student's t
    is used, on logarithms if the values are ``positive`` (their mean is then the log of the median of a
    log-normal quantity): wide, as it should be. Below three, or where a value is infinite and there are
    fewer than six, there is no interval.

    Args:
        values: one per trial; NaN is left out, infinity means "larger than all others".
        positive: whether the quantity is a positive one, such as a time or a size.
    """
    x = np.sort(np.array([v for v in values if not np.isnan(v)], dtype=float))
    n = len(x)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    # With an even number, the middle two may be a number and infinity: their mean would be infinite anyway.
    median = float(np.median(x))
    if n >= 6:
        # The interval from the i-th smallest to the i-th largest misses the median when fewer than i of
        # n values lie on one side of it.
        i = 1
        while 1 - 2 * stats.binom.cdf(i, n, 0.5) >= CONFIDENCE:
            i += 1
        return Interval(median, float(x[i - 1]), float(x[n - i]), n)
    if n < 3 or not np.isfinite(x).all() or (positive and x[0] <= 0):
        return Interval(median, np.nan, np.nan, n)
    y = np.log(x) if positive else x
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * y.std(ddof=1) / np.sqrt(n)
    low, high = y.mean() - half, y.mean() + half
    if positive:
        low, high = np.exp(low), np.exp(high)
    return Interval(median, float(low), float(high), n)


@dataclass(frozen=True)
class Comparison:
    """How ``a`` compares with ``b`` in one metric.

    Attributes:
        ratio: geometric mean over blocks of a / b. Below 1, ``a`` takes less.
        low: lower end of its 95 % interval; NaN below three pairs.
        high: upper end.
        verdict: "faster" or "slower" for times ("less" or "more" for anything else), when the interval
            excludes 1; "equivalent" when it lies within the margin; otherwise "undecided".
        n: number of blocks in which both have a value.
    """

    ratio: float
    low: float
    high: float
    verdict: Verdict
    n: int


Selection = str | Mapping[str, object]


def compare(
    trials: pd.DataFrame,
    a: Selection,
    b: Selection,
    metric: str = "seconds_to_target",
    margin: float = MARGIN,
) -> Comparison:
    """Compare two cells block by block, so that what a whole block suffered cancels.

    Args:
        trials: the ``.trials`` of ``load_results``.
        a: a trainer's name, or a mapping from column to value that selects the cell's trials.
        b: what ``a`` is compared with.
        metric: a column of ``trials`` that holds positive numbers.
        margin: how far from 1 a ratio may be and still count as equivalent.

    Raises:
        ValueError: if there is no such column, a selection matches no trial, or it matches several cells
            (more than one trial in a block).
    """
    if metric not in trials:
        raise ValueError(f"no column {metric!r} in trials")
    pairs = pd.concat([_by_block(trials, a, metric), _by_block(trials, b, metric)], axis=1, keys=["a", "b"]).dropna()
    pairs = pairs[(pairs > 0).all(axis=1)]  # a time or a size of 0 has no ratio
    ratios = np.log(pairs["a"].to_numpy(float) / pairs["b"].to_numpy(float))
    n = len(ratios)
    if n == 0:
        return Comparison(np.nan, np.nan, np.nan, "undecided", 0)
    mean = ratios.mean()
    if n < 3:
        return Comparison(float(np.exp(mean)), np.nan, np.nan, "undecided", n)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * ratios.std(ddof=1) / np.sqrt(n)
    ratio, low, high = (float(v) for v in np.exp([mean, mean - half, mean + half]))
    return Comparison(ratio, low, high, _verdict(low, high, margin, metric), n)


def _verdict(low: float, high: float, margin: float, metric: str) -> Verdict:
    is_time = metric.split("_")[0] == "seconds" or metric.endswith("_seconds")
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return "equivalent"
    if high < 1:
        return "faster" if is_time else "less"
    if low > 1:
        return "slower" if is_time else "more"
    return "undecided"


def _by_block(trials: pd.DataFrame, selection: Selection, metric: str) -> "pd.Series[float]":
    """Return ``metric`` of the selected cell, indexed by (suite, workload, block)."""
    wanted = {"trainer": selection} if isinstance(selection, str) else selection
    chosen = trials
    for column, value in wanted.items():
        if column not in trials:
            raise ValueError(f"no column {column!r} in trials")
        chosen = chosen[chosen[column] == value]
    if chosen.empty:
        raise ValueError(f"no trial matches {selection!r}")
    series = chosen.set_index(["workload", "seed", "block"])[metric]
    if series.index.has_duplicates:
        cells = ", ".join(sorted(chosen["cell"].unique()))
        raise ValueError(f"{selection!r} matches more than one trial in a block ({cells}): select one cell")
    return series
