"""The median of times that are known as intervals: a log-normal model, with its 95 % interval."""

import math
from collections.abc import Callable

import numpy as np
from scipy import special, stats

from paceline.bench.analysis.statistics import CONFIDENCE, Floats, Interval


def median_crossing(low: Floats, high: Floats) -> Interval:
    """Return the median of crossings that are known as intervals (low, high], with a 95 % interval.

    A log-normal time, fitted by maximum likelihood: a crossing adds the probability of its interval, one that was
    missed (``high`` infinite) that of lying beyond ``low``. The 95 % interval holds the medians whose likelihood,
    maximised over the spread, is not too far below the largest one. How far is taken from Student's t instead of
    from chi-squared, so that it is Student's interval of the logarithms where the crossings are known exactly.
    Played with trials that differ by 20 to 50 %, evaluations 3 to 50 % apart and none or a fifth missed, it
    covers 94 to 97 % with 6 trials and with 10; where evaluations lie further apart than twice what trials differ
    by it covers more (98 %), since it cannot be known how little they differ.

    Where fewer than three reached the target there is no interval. Where fewer than half did the median is
    infinite, as it lies beyond what was observed: its interval says what the model makes of that.

    Args:
        low: at the last evaluation that missed, in any unit; 0 where the first one hit.
        high: at the first that hit.

    Returns:
        The median and its interval in the same unit; NaN throughout without a value.

    Raises:
        ValueError: if a ``high`` is not above its ``low``.

    Source: J. D. Kalbfleisch & R. L. Prentice 2002, The Statistical Analysis of Failure Time Data, chapter 3 (the
    likelihood of censored log-normal times); W. Q. Meeker & L. A. Escobar 1995, The American
    Statistician 49 (intervals from the profile likelihood).
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    if not (high > low).all():
        raise ValueError("every crossing must lie in an interval: high above low")
    n, hits = len(low), int(np.isfinite(high).sum())
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    if hits < 3:
        middle = np.where(np.isfinite(high), (low + high) / 2, np.inf)
        return Interval(float(np.median(middle)), np.nan, np.nan, n)
    with np.errstate(divide="ignore"):
        logs = np.log(low)[np.newaxis], np.log(high)[np.newaxis]
    median, least, most = (math.exp(min(float(end[0]), 700.0)) for end in profile(*logs))
    # A million times all that was observed is as good as nowhere.
    unbounded = most > 1e6 * np.max(np.where(np.isfinite(high), high, low))
    return Interval(median if 2 * hits >= n else np.inf, least, np.inf if unbounded else most, n)


def profile(low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the maximum-likelihood mean of normal values known as intervals, and the ends of its 95 % interval.

    Of many sets of trials at once, each with a finite end among its ``high``: the simulations need thousands.
    The likelihood has one peak in the spread and one in the mean (J. Burridge 1981, J. R. Statist. Soc. B 43), so
    that both are found by narrowing a bracket.

    Args:
        low: logarithms [sets, trials]; -infinity where nothing bounds the value from below.
        high: logarithms; +infinity where nothing bounds it from above.
    """
    n = low.shape[1]
    known = np.isfinite(low) & np.isfinite(high)
    least = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, np.inf)).min(axis=1)
    most = np.where(np.isfinite(high), high, np.where(np.isfinite(low), low, -np.inf)).max(axis=1)
    # Where no value has two ends, the unit of the logarithm has to do for a width.
    widest = np.where(known, high - low, -np.inf).max(axis=1, where=known, initial=-np.inf)
    widest = np.where(np.isfinite(widest), widest, 1.0)
    room = np.maximum(most - least, widest)
    # A spread of less than an eighth of an interval is as good as none, and no spread would leave no peak.
    narrow, wide = np.log(widest / 8), np.log(8 * room)

    def height(mean: Floats) -> Floats:
        spread = _peak(lambda spread: _likelihood(low, high, mean, np.exp(spread)), narrow, wide, 12)
        return _likelihood(low, high, mean, np.exp(spread))

    mean = _peak(height, least - room, most + 2 * room, 26)
    # Of values that are known, log(1 + t^2 / (n - 1)) n is exactly twice the logarithm of the ratio of likelihoods.
    depth = n * np.log1p(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) ** 2 / (n - 1))
    floor = height(mean) - depth / 2
    return mean, _edge(height, floor, mean, least - 20 * room), _edge(height, floor, mean, most + 40 * room)


def _likelihood(low: Floats, high: Floats, mean: Floats, spread: Floats) -> Floats:
    """Return the log likelihood [sets] of values within (low, high] [sets, trials]."""
    a, b = ((end - mean[:, np.newaxis]) / spread[:, np.newaxis] for end in (low, high))
    # Far above the mean both probabilities are 1, and their difference is lost: look from the other side.
    a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
    return np.asarray(np.log(np.maximum(special.ndtr(b) - special.ndtr(a), 1e-300)).sum(axis=1))


def _peak(function: Callable[[Floats], Floats], low: Floats, high: Floats, rounds: int) -> Floats:
    """Return where ``function`` is largest between ``low`` and ``high``: the golden section, of many at once."""
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(rounds):
        left, right = high - golden * (high - low), low + golden * (high - low)
        in_left = function(left) > function(right)
        low, high = np.where(in_left, low, left), np.where(in_left, right, high)
    return (low + high) / 2


def _edge(function: Callable[[Floats], Floats], floor: Floats, inside: Floats, outside: Floats) -> Floats:
    """Return where ``function`` falls to ``floor`` on the way from ``inside`` to ``outside``: bisection."""
    for _ in range(20):
        middle = (inside + outside) / 2
        above = function(middle) >= floor
        inside, outside = np.where(above, middle, inside), np.where(above, outside, middle)
    return (inside + outside) / 2
