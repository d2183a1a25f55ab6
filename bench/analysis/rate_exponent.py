"""How the best learning rate grows with the batch size, and where it no longer does."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from paceline.bench.analysis.batch_size_sweep import Sweep
from paceline.bench.analysis.statistics import CONFIDENCE, Floats


@dataclass(frozen=True)
class Exponent:
    """How the best learning rate grows with the batch size: as its power ``value`` up to ``ends``, then no more.

    Attributes:
        value: the exponent: 1 is the linear rule, 0.5 the square root's; NaN where there is none.
        low: lower end of its 95 % interval.
        high: upper end.
        ends: the batch size from which on the rate no longer grows; infinite where no end was seen.
        batch_sizes: that it was fitted to.
        level: logarithm of the rate at batch size 1.
        reason: why there is no exponent, or empty.
    """

    value: float
    low: float
    high: float
    ends: float
    batch_sizes: tuple[float, ...]
    level: float = np.nan
    reason: str = ""

    def at(self, batch_sizes: npt.ArrayLike) -> Floats:
        """Return the fitted rate at ``batch_sizes``."""
        size = np.minimum(np.asarray(batch_sizes, float), self.ends)
        return np.asarray(np.exp(self.level) * size**self.value)


def exponent(sweep: Sweep) -> Exponent:
    """Fit the best rate to a power of the batch size, which may end within what was measured.

    Least squares of logarithms, a point a batch size, with Student's interval. A rate is known no better than the
    step between the rates that were tried, so that the scatter is taken to be at least that of the rounding to it. An
    end is claimed where the scatter with it is smaller, by an F test at 5 % over all ends that were tried; the interval
    takes it as given. A best rate at the edge of those tried may lie beyond them, and is left out.

    Source: M. L. Goyal et al. 2017, arXiv 1706.02677 (linear); S. Malladi et al. 2022, arXiv 2205.10287 (square root).
    """
    reached = {float(cell["batch_size"]) for cell in sweep.cells if cell["n_reached"]}
    used = {size: rate for size, rate in sweep.rates.items() if size in reached and not rate.at_edge}
    sizes = tuple(sorted(used))
    if len(sizes) < 3:
        why = f"a best rate within those tried is known at {len(sizes)} batch sizes: at least 3 are needed"
        return Exponent(np.nan, np.nan, np.nan, np.nan, sizes, reason=why)
    x, y = np.log(sizes), np.log([used[size].best for size in sizes])
    rounding = float(np.mean([used[size].step ** 2 for size in sizes])) / 12
    least, squares, ends = 2, _scatter(x, y), math.inf
    candidates = x[2:-1]  # so that two stand before it and one behind
    found = [_scatter(np.minimum(x, end), y) for end in candidates] if len(x) >= 5 else []
    if found:
        with_end = max(min(found), (len(x) - 3) * rounding)
        f = (squares - with_end) / (with_end / (len(x) - 3))
        if stats.f.sf(f, 1, len(x) - 3) < (1 - CONFIDENCE) / len(found):
            which = int(np.argmin(found))
            least, squares, ends = 3, found[which], sizes[2 + which]
            x = np.minimum(x, candidates[which])
    slope, level = (float(v) for v in np.polyfit(x, y, 1))
    degrees = len(x) - least
    spread = math.sqrt(max(squares / degrees, rounding) / float(((x - x.mean()) ** 2).sum()))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * spread
    return Exponent(slope, slope - half, slope + half, ends, sizes, level)


def _scatter(x: Floats, y: Floats) -> float:
    """Return the sum of squares about the straight line."""
    return float(((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum())
