"""Where a larger batch stops paying: the critical batch size, fitted to what trials measured.

Training at batch size B takes S steps and E = S B samples to a target. Over batch sizes that are each tuned,
S = S_min (1 + B_crit / B), which is E = E_min (1 + B / B_crit) with E_min = S_min B_crit: far below the critical
batch size B_crit a larger batch saves steps in proportion, far above it nothing but samples grows.

Source: S. McCandlish, J. Kaplan & D. Amodei 2018, arXiv 1812.06162, equations 2.11 and 2.12 and appendix D (the
hyperbola, its fit in logarithms); C. J. Shallue et al. 2019, JMLR 20(112).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from paceline.bench.analysis.seeds import each_once
from paceline.bench.analysis.statistics import CONFIDENCE, Floats

# B_crit is claimed only if so many batch sizes were measured, ...
FEWEST = 4
# ... its 95 % interval reaches no further than by this factor to either side, ...
LARGEST_FACTOR = 2.0
# ... it lies within this factor of the range that was measured, ...
REACH = 5.0
# ... and the means do not lie off the hyperbola by more than this beyond chance, if a test says that they do. With
# runs enough it would refuse any curve: MLPerf's reference points lie off theirs by up to 6 %, and are as a rule
# predicted to 3 % when left out. What lies off by so little is in the interval of the misfit.
LARGEST_MISFIT = 0.1

RESAMPLES = 1000
# B_crit is sought so many times below the smallest and above the largest batch size; beyond it is 0 or infinite.
SOUGHT = 1e4


@dataclass(frozen=True)
class CriticalBatch:
    """The hyperbola E = E_min (1 + B / B_crit), as far as the runs determine it.

    Attributes:
        samples_min: E_min, the samples that the smallest batches approach; in the unit of what was fitted.
        critical_batch_size: B_crit in samples; 0 or infinite where the runs show only one of the two ends.
        low: lower end of its 95 % interval, see ``fit``; 0 where nothing bounds it, NaN below three batch sizes.
        high: upper end; infinite where nothing bounds it, NaN below three batch sizes.
        identifiable: whether B_crit may be claimed.
        reason: why it may not; empty where it may.
        residual: root mean square of ln(measured / fitted), over batch sizes.
        batch_sizes: that were fitted, ascending.
        samples: the mean at each; see ``mean_of_middle``.
        left_out: batch sizes at which so many runs missed the target that there is no mean.
        misfit: B_crit's 95 % interval from how far the means lie off the hyperbola.
        seeds: its 95 % interval from repeating the runs; NaN where no two runs of a batch size differ.
        falls: neighbouring batch sizes of which the larger one needs *fewer* samples: the hyperbola never does.
        lack_of_fit: see ``lack_of_fit``.
        outliers: batch sizes that lie off the hyperbola through all others, by a test at 5 % over all of them.
    """

    samples_min: float
    critical_batch_size: float
    low: float
    high: float
    identifiable: bool
    reason: str
    residual: float
    batch_sizes: tuple[float, ...] = ()
    samples: tuple[float, ...] = ()
    left_out: tuple[float, ...] = ()
    misfit: tuple[float, float] = (np.nan, np.nan)
    seeds: tuple[float, float] = (np.nan, np.nan)
    falls: tuple[tuple[float, float], ...] = ()
    lack_of_fit: tuple[float, float] = (np.nan, np.nan)
    outliers: tuple[float, ...] = ()

    @property
    def steps_min(self) -> float:
        """S_min = E_min / B_crit, the steps that the largest batches approach."""
        return self.samples_min / self.critical_batch_size if self.critical_batch_size > 0 else np.nan

    def samples_at(self, batch_sizes: npt.ArrayLike) -> Floats:
        """Return the samples to target that the hyperbola gives at ``batch_sizes``."""
        return np.asarray(self.samples_min * (1 + np.asarray(batch_sizes, float) / self.critical_batch_size))

    def band(self, batch_sizes: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the ends of the hyperbola's pointwise 95 % band at ``batch_sizes``, from the misfit.

        Linearised in ln E_min and ln B_crit; NaN below three batch sizes, and where B_crit is at an end.
        """
        x = np.asarray(batch_sizes, float)
        k, b = len(self.batch_sizes), self.critical_batch_size
        if k < 3 or not 0 < b < np.inf:
            return np.full(x.shape, np.nan), np.full(x.shape, np.nan)
        design, at = (np.stack([np.ones_like(v), -v / (b + v)], -1) for v in (np.array(self.batch_sizes), x))
        variance = k * self.residual**2 / (k - 2) * np.linalg.pinv(design.T @ design)
        half = _student(k - 2) * np.sqrt(np.einsum("...i,ij,...j->...", at, variance, at))
        return self.samples_at(x) * np.exp(-half), self.samples_at(x) * np.exp(half)


def fit(
    batch_sizes: Sequence[float],
    samples_to_target: Sequence[float],
    seed: int = 0,
    seeds: Sequence[Hashable] | None = None,
) -> CriticalBatch:
    """Fit E = E_min (1 + B / B_crit) to the samples that tuned training took to a target at several batch sizes.

    Least squares of ln E on ln E_min + ln(1 + B / B_crit), a point a batch size (``mean_of_middle`` of its runs), so
    that an error of 10 % weighs the same at every batch size, and a batch size run more often no more than others.

    The interval is, at each end, the wider of two:

    - of the misfit: the profile of the least squares, with Student's t for as many batch sizes as there are beyond the
      two that any hyperbola meets. What a mean lies off the curve holds both its runs' noise and what the hyperbola
      cannot follow.
    - of the seeds: the percentile bootstrap of runs within each batch size. Alone it is far too narrow where the
      curve is no exact hyperbola, for it knows nothing of that: on MLPerf's public reference convergence points it is
      narrower by two to eight times. Runs that do not differ at all are no evidence, and it is then left out.

    Played with 5 to 10 batch sizes, 2 to 10 runs each that differ by 5 to 15 %, points off the hyperbola by none or 6 %
    and a tenth of the runs missed or none, the interval covers 94 to 99 %; that of the seeds alone as little as 54 %.
    Neither knows of a deviation that follows B smoothly: see ``leave_one_out``.

    Args:
        batch_sizes: of each run, in samples per step; repeated for repeated runs.
        samples_to_target: of each run, in samples (or in any other unit of data, such as epochs). Infinity or NaN for
            a run that missed the target: it counts as longer than all others of its batch size. Where so many missed
            that the mean of the middle is not known, the batch size is left out of the fit, and named.
        seed: of the bootstrap; the same seed gives the same result.
        seeds: of the runs. Those of one seed at one batch size are one run: a repeat takes the same steps, and tells
            nothing of how seeds differ. None: every run has a seed of its own.

    Raises:
        ValueError: if the two differ in length, there is no run, or a value is not positive.

    Source: McCandlish et al. 2018, appendix D; D. M. Bates & D. G. Watts 1988, Nonlinear Regression Analysis, chapter 6
    (the profile); R. D. Cook & S. Weisberg 1982 (outliers).
    """
    runs = by_batch_size(batch_sizes, samples_to_target, seeds)
    means = {size: mean_of_middle(values) for size, values in runs.items()}
    x = np.array([size for size, mean in means.items() if np.isfinite(mean)])
    y = np.log([mean for mean in means.values() if np.isfinite(mean)])
    left_out = tuple(size for size, mean in means.items() if not np.isfinite(mean))
    if len(x) < 2:
        return _nothing(x, y, left_out)
    level, b, squares = least_squares(x, y)
    misfit, seeds = _profile(x, y, b, squares), _bootstrap([runs[size] for size in x], x, seed)
    low, high = float(np.fmin(misfit[0], seeds[0])), float(np.fmax(misfit[1], seeds[1]))
    lacks = lack_of_fit([runs[size] for size in x], x)
    reason = _objection(x, b, low, high, left_out, *lacks)
    return CriticalBatch(
        samples_min=float(np.exp(level)) if b > 0 else 0.0,
        critical_batch_size=b,
        low=low,
        high=high,
        identifiable=not reason,
        reason=reason,
        residual=float(np.sqrt(squares / len(x))),
        batch_sizes=tuple(x.tolist()),
        samples=tuple(np.exp(y).tolist()),
        left_out=left_out,
        misfit=misfit,
        seeds=seeds,
        falls=tuple((float(x[i]), float(x[j])) for i, j in pairwise(range(len(x))) if y[j] < y[i]),
        lack_of_fit=lacks,
        outliers=_outliers(x, y, squares),
    )


def mean_of_middle(values: npt.ArrayLike) -> float:
    """Return the mean without the smallest and the largest value, from three values on; infinite if one of them is.

    What MLPerf calls the olympic mean: one run out of line, or one that missed (infinite), does not move it. Of three
    values it is the median. Of fewer, nothing can be left out.
    """
    x = np.sort(np.asarray(values, float))
    return float(x[1:-1].mean() if len(x) >= 3 else x.mean())


def by_batch_size(
    batch_sizes: Sequence[float], samples: Sequence[float], seeds: Sequence[Hashable] | None = None
) -> dict[float, Floats]:
    """Return the samples of each batch size's runs, a value a seed, batch sizes ascending, infinite where missed."""
    x, e = np.asarray(batch_sizes, float), np.asarray(samples, float)
    if x.ndim != 1 or x.shape != e.shape:
        raise ValueError(f"one batch size for each run: got {x.size} batch sizes and {e.size} samples to target")
    if not x.size:
        raise ValueError("there is no run to fit")
    if not (np.isfinite(x) & (x > 0)).all():
        raise ValueError("every batch size must be a positive number")
    e = np.where(np.isnan(e), np.inf, e)
    if not (e > 0).all():
        raise ValueError("samples to target must be positive; give infinity or NaN for a run that missed the target")
    of = list(range(len(x)) if seeds is None else seeds)
    places = {float(size): np.flatnonzero(x == size) for size in np.unique(x)}
    return {size: each_once([of[i] for i in own], e[own])[0] for size, own in places.items()}


def _nothing(x: Floats, y: Floats, left_out: tuple[float, ...]) -> CriticalBatch:
    reason = f"the target was reached at {len(x)} batch size{'s' * (len(x) != 1)}: a hyperbola needs more than one"
    nan = np.nan
    known = tuple(x.tolist()), tuple(np.exp(y).tolist())
    return CriticalBatch(nan, nan, nan, nan, False, reason, nan, *known, left_out)


def _student(degrees: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees))


def _squares(b: float, x: Floats, y: Floats) -> float:
    """Return the sum of squares at B_crit = ``b``, the level being the best for it."""
    rest = y - np.log1p(x / b)
    return float(((rest - rest.mean()) ** 2).sum())


def _grid(x: Floats, points: int) -> Floats:
    return np.linspace(np.log(x[0] / SOUGHT), np.log(x[-1] * SOUGHT), points)


def least_squares(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Return ln E_min, B_crit and the sum of squares. For a given B_crit the level is a mean: one number is sought."""
    grid = _grid(x, 1000)
    rest = y - np.log1p(x / np.exp(grid)[:, np.newaxis])
    best = int(rest.var(axis=1).argmin())
    if best == len(grid) - 1:  # flat: as many samples at every batch size
        return float(y.mean()), np.inf, float(y.var() * len(y))
    if best == 0:  # as many steps at every batch size
        return -np.inf, 0.0, float((y - np.log(x)).var() * len(y))
    found = optimize.minimize_scalar(
        lambda t: _squares(np.exp(t), x, y), bounds=(grid[best - 1], grid[best + 1]), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    b = float(np.exp(found.x))
    return float((y - np.log1p(x / b)).mean()), b, float(found.fun)


def _profile(x: Floats, y: Floats, b: float, squares: float) -> tuple[float, float]:
    """Return B_crit's interval: where the sum of squares is not too far above its least; 0 or infinity where open."""
    if len(x) < 3:
        return np.nan, np.nan
    # The least squares are found to 1e-8 in ln B_crit: points on the hyperbola lie on it to as much.
    allowed = squares * (1 + _student(len(x) - 2) ** 2 / (len(x) - 2)) + len(x) * 1e-16
    ends = _grid(x, 2)
    middle = float(np.clip(np.log(max(b, 1e-300)), *ends))

    def above(t: float) -> float:
        return _squares(np.exp(t), x, y) - allowed

    found = [
        float(np.exp(optimize.brentq(above, middle, end))) if above(middle) < 0 < above(end) else beyond
        for end, beyond in zip(ends, (0.0, np.inf), strict=True)
    ]
    return found[0], found[1]


def _bootstrap(runs: Sequence[Floats], x: Floats, seed: int) -> tuple[float, float]:
    """Return B_crit's interval over runs drawn again within each batch size; NaN where no two runs differ."""
    if len(x) < 3 or all(np.ptp(values[np.isfinite(values)]) == 0 for values in runs):
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, len(x)))
    for column, values in enumerate(runs):
        drawn = np.sort(random.choice(values, (RESAMPLES, len(values))), axis=1)
        means[:, column] = (drawn[:, 1:-1] if len(values) >= 3 else drawn).mean(axis=1)
    # A batch size at which too many of the drawn runs missed has no weight in that fit.
    weight = np.isfinite(means).astype(float)
    y = np.log(np.where(weight > 0, means, 1.0))
    y = (y - y.mean()) * weight
    grid = _grid(x, 300)
    curve = np.log1p(x[:, np.newaxis] / np.exp(grid))  # [batch sizes, grid]
    count = weight.sum(axis=1, keepdims=True)
    rest = y.sum(axis=1, keepdims=True) - weight @ curve
    squares = (y**2).sum(axis=1, keepdims=True) - 2 * y @ curve + weight @ curve**2 - rest**2 / np.maximum(count, 1)
    found = _lowest(grid, squares)[count[:, 0] >= 3]
    if len(found) < RESAMPLES / 2:
        return 0.0, np.inf
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return (
        0.0 if low <= grid[0] else float(np.exp(low)),
        np.inf if high >= grid[-1] else float(np.exp(high)),
    )


def _lowest(grid: Floats, squares: Floats) -> Floats:
    """Return where each row of ``squares`` [rows, grid] is least: the vertex of the parabola through three points."""
    best = squares.argmin(axis=1)
    rows, inner = np.arange(len(best)), np.clip(best, 1, len(grid) - 2)
    left, middle, right = (squares[rows, inner + step] for step in (-1, 0, 1))
    bend = np.maximum(left - 2 * middle + right, 1e-300)
    shift = np.clip((left - right) / (2 * bend), -0.5, 0.5) * (grid[1] - grid[0])
    return np.asarray(np.where(best == inner, grid[inner] + shift, grid[best]))


def lack_of_fit(runs: Sequence[Floats], x: Floats) -> tuple[float, float]:
    """Return how probable means so far off the best hyperbola are if it holds, and how far off they are beyond chance.

    The first by the F test of lack of fit: mean squares of the means of ln E about the curve, over those of runs about
    their means. The second is the root of their difference, as a share of E. Runs that missed are left out. NaN where
    nothing was repeated, or no two runs of a batch size differ.

    Args:
        runs: samples to target of each batch size's runs.
        x: the batch sizes.

    Source: N. R. Draper & H. Smith 1998, Applied Regression Analysis, chapter 2.
    """
    logs = [np.log(values[np.isfinite(values)]) for values in runs]
    counts, means = np.array([len(each) for each in logs]), np.array([each.mean() for each in logs])
    within, degrees = sum(float(((each - each.mean()) ** 2).sum()) for each in logs), int(counts.sum()) - len(x)
    if len(x) < 3 or degrees < 1 or within <= 1e-20:
        return np.nan, np.nan
    _, _, squares = least_squares(x, means)
    off, chance = squares / (len(x) - 2), within / degrees / float(stats.hmean(counts))
    return float(stats.f.sf(off / chance, len(x) - 2, degrees)), float(np.sqrt(max(0.0, off - chance)))


def _objection(x: Floats, b: float, low: float, high: float, left_out: tuple[float, ...], p: float, off: float) -> str:
    """Return why B_crit may not be claimed; empty if it may."""
    missed = f" (at {len(left_out)} more too many runs missed the target)" if left_out else ""
    if len(x) < FEWEST:
        return f"{len(x)} batch sizes{missed}: at least {FEWEST} are needed"
    if b > REACH * x[-1]:
        return f"B_crit lies beyond {REACH:g} times the largest batch size, {x[-1]:g}{missed}: larger ones are needed"
    if b < x[0] / REACH:
        return f"B_crit lies below a {REACH:g}th of the smallest batch size, {x[0]:g}{missed}: smaller ones are needed"
    if not (low > 0 and max(b / low, high / b) < LARGEST_FACTOR):
        known = f"[{low:.3g}, {high:.3g}]"
        return f"the 95 % interval {known} of B_crit reaches further than by a factor of {LARGEST_FACTOR:g}{missed}"
    if p < 1 - CONFIDENCE and off > LARGEST_MISFIT:
        return f"samples to target follow no hyperbola, but lie off it by {100 * off:.0f} % beyond chance (p = {p:.2g})"
    return ""


def _outliers(x: Floats, y: Floats, squares: float) -> tuple[float, ...]:
    """Return batch sizes off the curve through the others, by Student's t of each, at 5 % over all together.

    A residual is judged by the scatter of the other batch sizes about the curve that is fitted without it.
    """
    k = len(x)
    if k < 5:
        return ()
    found = []
    for i in range(k):
        others = np.arange(k) != i
        _, _, without = least_squares(x[others], y[others])
        # The sum of squares falls by the square of the deleted residual, scaled: an F of 1 and k - 3 degrees.
        f = (squares - without) / max(without / (k - 3), 1e-20)
        if stats.f.sf(f, 1, k - 3) < (1 - CONFIDENCE) / k:
            found.append(float(x[i]))
    return tuple(found)
