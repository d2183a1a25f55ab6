"""How the best learning rate grows with the batch size, and where it no longer does."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from paceline.bench.analysis.batch_size_sweep import Sweep
from paceline.bench.analysis.statistics import CONFIDENCE, Floats

# Powers that are tried.
POWERS = np.linspace(-1.0, 3.0, 401)

# Rates that take so many times the samples of the best one of their batch size are too far from it for a parabola.
FAR = 3.0


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
    """Fit all trials of the searches at once: samples to target over rate and batch size; see ``fit``.

    Rates at which a trial failed say nothing of how many samples they take, and are left out, as are batch sizes whose
    best rate is at the edge of those that were tried, or beside one that never got there: it may lie beyond, and a
    valley of which one flank was seen has its bottom anywhere. A seed that ran twice counts once.
    """
    found, rates = sweep.searched, sweep.rates
    failed = found["samples_to_target"].isna().groupby([found["batch_size"], found["lr"]]).transform("any")
    inside = {size for size, rate in rates.items() if not (rate.outermost or rate.beside_failure)}
    used = found[~failed & found["batch_size"].isin(inside)]
    once = used.groupby(["batch_size", "lr", "seed"])["samples_to_target"].median().reset_index()
    return fit(*(once[name].to_numpy(float) for name in ("batch_size", "lr", "samples_to_target")))


def fit(batch_sizes: npt.ArrayLike, rates: npt.ArrayLike, samples: npt.ArrayLike) -> Exponent:
    """Return the exponent of one parabola that moves with the batch size.

    The logarithm of the samples to target is c_B + k (log rate - level - value log B)^2: each batch size has a height
    of its own, and all share the curvature k. So the interval, from the F test that inverts the fit, holds what the
    search left open: how flat the valley is, and what trials differ by. A best rate read off a grid does not know it.

    An end of the growth is claimed where the scatter with it is smaller, by an F test at 5 % over all that were tried;
    the interval holds what any end allows that is not refuted itself.

    Args:
        batch_sizes: [trials] in samples per step.
        rates: [trials] learning rates, the same for all batch sizes: rates around a rule find that rule.
        samples: [trials] to target.

    Source: P. Goyal et al. 2017, arXiv 1706.02677 (linear); S. Malladi et al. 2022, arXiv 2205.10287 (square root).
    """
    # A point for each rate: seeds of one rate share what no parabola fits, and would make it look certain.
    (size, x), y = _means(np.asarray(batch_sizes, float), np.log(rates), np.log(samples))
    near = np.array([y[i] <= y[size == size[i]].min() + math.log(FAR) for i in range(len(y))], bool)
    size, x, y = size[near], x[near], y[near]
    sizes = tuple(float(one) for one in np.unique(size))
    degrees = len(y) - len(sizes) - 3
    if len(sizes) < 3 or degrees < 1:
        why = f"a best rate within those tried is known at {len(sizes)} batch sizes: at least 3 are needed"
        if len(sizes) >= 3:
            why = f"{len(y)} rates near the best ones of {len(sizes)} batch sizes are too few"
        return Exponent(np.nan, np.nan, np.nan, np.nan, sizes, reason=why)
    # So that two batch sizes stand before an end, and one behind it.
    ends = [math.inf, *(sizes[2:-1] if len(sizes) >= 5 else ())]
    scatter, levels = (np.stack(part) for part in zip(*(_parabola(size, x, y, end) for end in ends), strict=True))
    least = scatter.min(axis=1)
    if not math.isfinite(least[0]):
        return Exponent(np.nan, np.nan, np.nan, np.nan, sizes, reason="samples have no least over the rate")
    best, inside = 0, scatter[0] <= _most(least[0], degrees)
    if degrees > 1 and math.isfinite(least[1:].min(initial=math.inf)):
        f = (least[0] - least[1:].min()) / (least[1:].min() / (degrees - 1))
        with_end = (scatter[1:] <= _most(least[1:].min(), degrees - 1)).any(axis=0)
        if stats.f.sf(f, 1, degrees - 1) < (1 - CONFIDENCE) / (len(ends) - 1):
            best, inside = 1 + int(least[1:].argmin()), with_end
        else:
            inside |= with_end  # an end that is not seen may be there
    at, low, high = int(scatter[best].argmin()), POWERS[inside].min(), POWERS[inside].max()
    if at in (0, len(POWERS) - 1):
        why = f"no power from {POWERS[0]:g} to {POWERS[-1]:g} fits what the rates took"
        return Exponent(np.nan, np.nan, np.nan, np.nan, sizes, reason=why)
    return Exponent(float(POWERS[at]), float(low), float(high), float(ends[best]), sizes, float(levels[best, at]))


def _means(size: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the [2, rates] different pairs of size and x, and the mean of y at each."""
    places, which, count = np.unique(np.stack([size, x]), axis=1, return_inverse=True, return_counts=True)
    return places, np.bincount(which.ravel(), y) / count


def _most(least: float, degrees: int) -> float:
    """Return the sum of squares up to which the F test does not refute."""
    return float(least * (1 + stats.f.ppf(CONFIDENCE, 1, degrees) / degrees))


def _parabola(size: Floats, x: Floats, y: Floats, end: float) -> tuple[Floats, Floats]:
    """Return for each power the least sum of squares, infinite where the parabola has no least, and its level."""
    same = (size[:, np.newaxis] == size).astype(float)
    centred = np.eye(len(y)) - same / same.sum(axis=1)  # takes each batch size's mean off
    u = x - np.outer(POWERS, np.log(np.minimum(size, end)))  # [powers, trials]
    square, line, height = u**2 @ centred, u @ centred, centred @ y
    # Two normal equations for each power, of k u^2 - 2 k level u.
    a, b, c = (square**2).sum(1), (square * line).sum(1), (line**2).sum(1)
    p, q = square @ height, line @ height
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = a * c - b**2
        k, slope = (c * p - b * q) / determinant, (a * q - b * p) / determinant
        scatter = ((height - k[:, np.newaxis] * square - slope[:, np.newaxis] * line) ** 2).sum(1)
        return np.where(k > 0, scatter, np.inf), -slope / (2 * k)
