"""What a number of seeds can show: the smallest difference, and how many more it would take."""

import math
from functools import cache

from scipy import optimize, stats

from paceline.bench.analysis.statistics import ERROR, MARGIN, Comparison

POWER = 0.8

# Nobody runs more; where more would be needed, the number is infinite.
MOST = 1000


@cache
def smallest_effect(n: int) -> float:
    """Return the true difference, in standard deviations of a pair, that ``n`` pairs show at 80 % power.

    Two-sided at 5 %. Infinite below three pairs, for which there is no verdict.

    Source: the noncentral t distribution; J. Cohen 1988, Statistical Power Analysis, chapter 2.
    """
    if n < 3:
        return math.inf
    limit = stats.t.isf(ERROR / 2, n - 1)

    # The other tail is left out: at this power it holds less than a millionth.
    shift = optimize.brentq(lambda shift: stats.nct.sf(limit, n - 1, shift) - POWER, 0.5, 8.0)
    return float(shift / math.sqrt(n))


def seeds_wanted(found: Comparison, margin: float = MARGIN) -> float:
    """Return how many more seeds would decide an undecided comparison, were it as it was observed; NaN if not known.

    Decide at 80 % power that the two differ by what they do here, or that they are equivalent, whichever is easier.
    Infinite beyond a thousand.
    """
    if found.n < 3 or math.isnan(found.spread) or not found.ratio > 0:
        return math.nan
    effect = abs(math.log(found.ratio))
    room = max(effect, math.log1p(margin) - effect)
    if smallest_effect(MOST) * found.spread > room:
        return math.inf
    too_few, enough = found.n, MOST
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (middle, enough) if smallest_effect(middle) * found.spread > room else (too_few, middle)
    return enough - found.n
