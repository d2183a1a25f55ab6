"""How sure the best learning rate of a search is: which rates are not resolved from it, and which lose little."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from paceline.bench.analysis.rate_searches import SCORE, Searched
from paceline.bench.analysis.scores import error_of
from paceline.bench.analysis.statistics import CONFIDENCE, Floats

# A basin holds the rates that lose no more than this share of the best: of its time to target, of its score's error.
LOSS_OF_TIME, LOSS_OF_ERROR = 0.20, 0.10

# So many times the best rate's time to target needs no test to be called worse.
FAR = 3.0


def unresolved(found: Searched) -> Floats:
    """Return the rates of which none is shown to be worse than the best: the truly best is among them, in 95 %.

    The trials of the rates that never failed are a table of rates by seeds. What is left when the means of its rows
    and columns are taken off is the noise, one standard deviation for all rates (of log samples, or of the score),
    with (rates - 1) x (seeds - 1) degrees of freedom: two seeds will do. A rate is worse where its mean exceeds the
    best one's by more than Student's one-sided bound, at 5 % over the number of rates compared (Bonferroni).

    Three kinds of rates are left out without a test: those that failed more often than the best; those that take three
    times as long; and those whose scores gained less than half of what the best one's did over an untrained model's.
    Their noise is not that of the others: next to divergence it is many times as large. With one seed, or where the
    best rate failed too, nothing is known, and all are returned that failed no more often.

    Played with seven rates of which the best differs from its neighbours by half of what trials differ by, it keeps the
    best in 99 % with two seeds and with three; in 95 % where its trials differ three times as much as the others'.

    Source: J. C. Hsu 1996, Multiple Comparisons, chapter 4 (comparisons with the best).
    """
    failures, best, costs = found.failed.sum(axis=1), found.best, found.chosen_by.mean(axis=1)
    far = (costs[best] + found.worthless) / 2 if found.metric == SCORE else FAR * costs[best]
    equal, seeds = failures == failures[best], len(found.seeds)
    if seeds < 2 or failures[best]:
        return np.asarray(found.rates[equal])
    candidates = np.flatnonzero(equal & ((costs <= far) | (costs == costs[best])))
    if len(candidates) < 2:
        return np.asarray(found.rates[candidates])
    values = found.chosen_by[candidates]
    values = values if found.metric == SCORE else np.log(values)
    means = values.mean(axis=1)
    noise = values - means[:, np.newaxis] - values.mean(axis=0) + values.mean()
    freedom = (len(candidates) - 1) * (seeds - 1)
    spread = math.sqrt(float((noise**2).sum()) / freedom)
    most = stats.t.isf((1 - CONFIDENCE) / (len(candidates) - 1), freedom) * spread * math.sqrt(2 / seeds)
    return np.asarray(found.rates[candidates[means - means[candidates == best] <= most]])


@dataclass(frozen=True)
class Basin:
    """The rates around the best that lose little; see ``basin``.

    Attributes:
        low, high: its ends.
        open_low, open_high: whether it goes on beyond the lowest, or the highest, rate that was tried.
    """

    low: float
    high: float
    open_low: bool
    open_high: bool

    @property
    def decades(self) -> float:
        """Its width in powers of ten, as far as it was seen."""
        return math.log10(self.high / self.low)


def basin(found: Searched) -> Basin:
    """Return the rates around the best within 20 % of its time to target, or within 10 % of its score's error.

    By the means over all seeds, joined by straight lines over the logarithm of the rate. NaN where the best rate
    always failed.
    """
    best, cost = found.best, found.chosen_by.mean(axis=1)
    if found.failed[best].all():
        return Basin(np.nan, np.nan, False, False)
    if found.metric == SCORE:
        most = cost[best] + LOSS_OF_ERROR * error_of(found.sign * float(cost[best]), found.higher)
    else:
        cost, most = np.log(cost), math.log(cost[best] * (1 + LOSS_OF_TIME))
    logs = np.log10(found.rates)

    def end(step: int) -> tuple[float, bool]:
        here = best
        while 0 <= here + step < len(logs):
            there = here + step
            if cost[there] > most:
                share = (most - cost[here]) / (cost[there] - cost[here])
                return float(10 ** (logs[here] + share * (logs[there] - logs[here]))), False
            here = there
        return float(found.rates[here]), True

    (low, open_low), (high, open_high) = end(-1), end(1)
    return Basin(low, high, open_low, open_high)
