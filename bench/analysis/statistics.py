"""Intervals and comparisons that are honest at three to ten trials.

Source: notes on each function; Hoefler & Belli 2015 (SC'15) for reporting medians with intervals and n.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from paceline.bench.analysis.seeds import each_once
from paceline.bench.records.metrics import METRICS

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
        n: number of values, infinite ones included; where seeds are told, of those that differ in their seed.
    """

    median: float
    low: float
    high: float
    n: int


def median_interval(
    values: Sequence[float], positive: bool = True, seeds: Sequence[Hashable] | None = None
) -> Interval:
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
        seeds: of the trials; those of one seed count once. None: every value is of a seed of its own.
    """
    if seeds is not None:
        values = each_once(seeds, values)[0].tolist()
    x = np.sort(np.array([v for v in values if not np.isnan(v)], dtype=float))
    n = len(x)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    # With an even number, the middle two may be a number and infinity: their mean would be infinite anyway.
    median = float(np.median(x))
    if n >= 6:
        i = _order(n)
        return Interval(median, float(x[i - 1]), float(x[n - i]), n)
    if n < 3 or not np.isfinite(x).all() or (positive and x[0] <= 0):
        return Interval(median, np.nan, np.nan, n)
    y = np.log(x) if positive else x
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * y.std(ddof=1) / np.sqrt(n)
    low, high = y.mean() - half, y.mean() + half
    if positive:
        low, high = np.exp(low), np.exp(high)
    return Interval(median, float(low), float(high), n)


def _order(n: int) -> int:
    """Return the largest i for which the i-th smallest to the i-th largest of n >= 6 values cover the median.

    They miss it when fewer than i of the values lie on one side of it, which must happen in at most 5 %.
    """
    i = 1
    while 1 - 2 * stats.binom.cdf(i, n, 0.5) >= CONFIDENCE:
        i += 1
    return i


@dataclass(frozen=True)
class Comparison:
    """How ``a`` compares with ``b`` in one metric.

    Attributes:
        ratio: of a to b. Below 1, ``a`` takes less. The geometric mean over blocks, or where trials missed the
            target the median over blocks, in which they count with the bound that they give; NaN without a pair.
        low: lower end of its 95 % interval; 0 where nothing bounds it from below, else NaN below three pairs.
        high: upper end; infinite where nothing bounds it from above, else NaN below three pairs.
        verdict: "faster" or "slower" for times ("less" or "more" for anything else), when the interval
            excludes 1; "equivalent" when it lies within the margin; otherwise "undecided".
        n: number of seeds of which both have a value, or missed the target.
        pairs: number of blocks in which that is so: more than n where seeds were repeated.
    """

    ratio: float
    low: float
    high: float
    verdict: Verdict
    n: int
    pairs: int = 0


Selection = str | Mapping[str, object]

Floats = npt.NDArray[np.float64]

# What a trial that missed the target had spent by then: it would have taken longer.
SPENT = {name: metric.spent for name, metric in METRICS.items() if metric.spent}


def compare(
    trials: pd.DataFrame,
    a: Selection,
    b: Selection,
    metric: str = "seconds_to_target",
    margin: float = MARGIN,
) -> Comparison:
    """Compare two cells block by block, so that what a whole block suffered cancels.

    The interval is Student's t on the logarithms of the ratios. It is exact for log-normal ratios at every n,
    and the ratio of two times of one block, in which most of what is skewed cancels, is close to that; the
    percentile bootstrap covers 74 % at three blocks, and a sign-flip test cannot reach 5 % below six.

    A trial that missed the target is no missing value: it took longer than what it had spent, so its block's
    ratio is known from one side only (from none, if both missed). Nothing is assumed of where beyond its bound
    it lies. From six blocks on the interval is then that of the median ratio between two order statistics
    (the sign test, inverted), its lower end taken among the lower bounds and its upper end among the upper
    ones: that covers whatever the unseen times are. With three to five blocks Student's t is used on the lower
    bounds for the lower end, as their mean is below that of the ratios, and likewise above. An end on which
    a bound is missing is 0 or infinite.

    Source: W. S. Gosset 1908 (Student's t); W. R. Thompson 1936, Ann. Math. Statist. 7 (the interval of the
    median); worst-case bounds for what is censored: C. F. Manski 2003, Partial Identification, chapter 1.

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
    lows, highs = log_ratios(trials, a, b, metric)
    n = len(lows)
    if n < 3:  # no interval, but an end that nothing bounds is open all the same
        low = -np.inf if np.isneginf(lows).any() else np.nan
        high = np.inf if np.isposinf(highs).any() else np.nan
    elif n >= 6 and (lows < highs).any():
        i = _order(n)
        low, high = np.sort(lows)[i - 1], np.sort(highs)[n - i]
    else:
        low, high = float(student(lows)[0]), float(student(highs)[1])
    ratio, low, high = (float(v) for v in np.exp([_middle(lows, highs), low, high]))
    return Comparison(ratio, low, high, verdict_of(low, high, margin, metric), n, pairs_of(trials, a, b, metric))


def student(logs: Floats) -> tuple[Floats, Floats]:
    """Return the ends of Student's 95 % interval of the mean over the last axis, of at least two values.

    An infinite value leaves nothing known: the ends are then infinite.
    """
    n = logs.shape[-1]
    known = np.asarray(np.isfinite(logs).all(axis=-1))
    logs = np.where(known[..., np.newaxis], logs, 0.0)
    mean = logs.mean(axis=-1)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * logs.std(axis=-1, ddof=1) / np.sqrt(n)
    return np.where(known, mean - half, -np.inf), np.where(known, mean + half, np.inf)


def _middle(lows: Floats, highs: Floats) -> float:
    """Return the mean log ratio; the median where some are bounds; NaN where neither end of any is known."""
    known = np.where(np.isfinite(lows), lows, highs)
    known = known[np.isfinite(known)]
    if not len(known):
        return np.nan
    return float(known.mean() if np.array_equal(lows, highs) else np.median(known))


def verdict_of(low: float, high: float, margin: float, metric: str) -> Verdict:
    """Return what the interval of a ratio of ``metric`` says; see ``Comparison``."""
    is_time = metric.split("_")[0] == "seconds" or metric.endswith("_seconds")
    if 1 / (1 + margin) <= low and high <= 1 + margin:
        return "equivalent"
    if high < 1:
        return "faster" if is_time else "less"
    if low > 1:
        return "slower" if is_time else "more"
    return "undecided"


def log_ratios(trials: pd.DataFrame, a: Selection, b: Selection, metric: str) -> tuple[Floats, Floats]:
    """Return lower and upper bounds [seeds] of log(a / b); the same number twice where both are known.

    Trials are paired within blocks. Blocks of one seed, as merged runs have them, are one observation: their median.

    Args:
        trials: the ``.trials`` of ``load_results``.
        a: see ``compare``.
        b: see ``compare``.
        metric: see ``compare``.

    Raises:
        ValueError: see ``compare``.
    """
    pairs = _pairs(trials, a, b, metric)
    low_a, high_a, low_b, high_b = (
        np.log(pairs[side, end].to_numpy(float)) for side in "ab" for end in ("low", "high")
    )
    seeds = list(zip(*(pairs.index.get_level_values(name) for name in ("workload", "seed")), strict=True))
    lows, highs = each_once(seeds, low_a - high_b, high_a - low_b)
    return lows, highs


def pairs_of(trials: pd.DataFrame, a: Selection, b: Selection, metric: str) -> int:
    """Return in how many blocks the two can be compared: see ``log_ratios``."""
    return len(_pairs(trials, a, b, metric))


def _pairs(trials: pd.DataFrame, a: Selection, b: Selection, metric: str) -> pd.DataFrame:
    """Return what both lie between, (a, low) to (b, high), indexed by workload, seed and block."""
    if metric not in trials:
        raise ValueError(f"no column {metric!r} in trials")
    pairs = pd.concat([_by_block(trials, a, metric), _by_block(trials, b, metric)], axis=1, keys=["a", "b"]).dropna()
    return pairs[(pairs > 0).all(axis=1)]  # a time or a size of 0 has no ratio


def _by_block(trials: pd.DataFrame, selection: Selection, metric: str) -> pd.DataFrame:
    """Return what ``metric`` of the selected cell lies between (low, high), indexed by workload, seed and block."""
    wanted = {"trainer": selection} if isinstance(selection, str) else selection
    chosen = trials
    for column, value in wanted.items():
        if column not in trials:
            raise ValueError(f"no column {column!r} in trials")
        chosen = chosen[chosen[column] == value]
    if chosen.empty:
        raise ValueError(f"no trial matches {selection!r}")
    if "environment" in chosen and chosen["environment"].nunique() > 1:
        labels = ", ".join(sorted(chosen["environment"].unique()))
        raise ValueError(f"{selection!r} matches trials of several environments ({labels}): select one by its label")
    chosen = chosen.set_index(["workload", "seed", "block"])
    if chosen.index.has_duplicates:
        cells = ", ".join(sorted(chosen["cell"].unique()))
        raise ValueError(f"{selection!r} matches more than one trial in a block ({cells}): select one cell")
    values = chosen[metric].astype(float)
    found = pd.DataFrame({"low": values, "high": values})
    if metric in SPENT and {"status", SPENT[metric]} <= set(chosen):
        # What diverged did not reach the target either. What crashed says nothing of the strategy's speed.
        missed = chosen["status"].isin(["missed", "diverged", "plateaued"]) & values.isna()
        found["low"] = values.mask(missed, chosen[SPENT[metric]].astype(float))
        found["high"] = values.mask(missed, np.inf)
    return found
