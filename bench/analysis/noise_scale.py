"""The gradient noise scale: how much of a gradient is noise, from what was observed of gradients.

G is the gradient of the mean loss over the training set, tr Σ the variance of a single sample's gradient, summed over
parameters. A batch of ``B = tr Σ / |G|²`` samples (B_simple) has as much noise as signal in its gradient.

Both parts are estimated without bias and averaged apart: the ratio of single estimates would be biased, and is not even
positive where a single estimate of |G|² is not. All estimates rest on one law, of batches without replacement from
``population`` samples: ``E |G_B|² = |G|² + tr Σ (1/B - 1/population)``.

Source: McCandlish, Kaplan, Amodei 2018, arXiv 1812.06162, appendix A.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paceline.bench.analysis.statistics import CONFIDENCE, Floats
from paceline.bench.records.record import Record

# Of a run's steps, how many may be without a number in its average: those that lack one are no random choice.
LARGEST_SHARE_WITHOUT = 0.2


@dataclass(frozen=True)
class NoiseScale:
    """An estimate of the gradient noise scale.

    Attributes:
        value: B_simple, in samples; NaN where either part is not above 0.
        low: lower end of its 95 % interval; known even where ``value`` is too large to be seen. NaN below three
            observations.
        high: upper end; infinite where |G|² may be 0.
        squared_gradient: |G|², the mean of its unbiased estimates, so that it may be negative.
        trace: tr Σ, likewise.
        reason: why ``value`` is NaN; "" where it is not.
        n: how many observations were averaged.
    """

    value: float
    low: float
    high: float
    squared_gradient: float
    trace: float
    reason: str
    n: int


def unbiased(
    small_batch: float, small_square: ArrayLike, big_batch: float, big_square: ArrayLike, population: float = math.inf
) -> tuple[Floats, Floats]:
    """Return unbiased estimates of tr Σ and |G|² from the squared gradient norms of batches of two sizes.

    Args:
        small_batch: samples of the smaller; 1 for the gradients of single samples.
        small_square: squared norm of its gradient, or one for each of several observations.
        big_batch: samples of the larger.
        big_square: squared norm of its gradient, of as many observations.
        population: size of the training set; infinite if no sample is ever seen twice.

    Raises:
        ValueError: if the sizes are not in order.
    """
    if not 0 < small_batch < big_batch <= population:
        raise ValueError(
            f"need 0 < small < big <= population, got batches {small_batch:g}, {big_batch:g} of {population:g}"
        )
    small, big = (np.atleast_1d(np.asarray(each, dtype=float)) for each in (small_square, big_square))
    trace = (small - big) / (1 / small_batch - 1 / big_batch)
    return trace, big - trace * (1 / big_batch - 1 / population)


def noise_scale(traces: ArrayLike, squares: ArrayLike) -> NoiseScale:
    """Return the ratio of the means of unbiased estimates of tr Σ and |G|², with its jackknife interval.

    The jackknife is of the inverse, |G|² / tr Σ: of the two parts |G|² is the uncertain one, and above the line its
    error is nearly symmetric even where it may be 0.

    Args:
        traces: estimates of tr Σ, one for each independent observation ``[n]``.
        squares: estimates of |G|² from the same observations ``[n]``.

    Source: Miller 1974, Biometrika 61 (the jackknife of a ratio, with Student's t).
    """
    trace, square = (np.asarray(each, dtype=float) for each in (traces, squares))
    n = len(trace)
    if not n:
        return NoiseScale(math.nan, math.nan, math.nan, math.nan, math.nan, "nothing was observed", 0)
    mean_trace, mean_square = float(trace.mean()), float(square.mean())
    found = {"squared_gradient": mean_square, "trace": mean_trace, "n": n}
    if not mean_trace > 0:
        reason = f"tr Σ is estimated at {mean_trace:.2g}: no noise was seen"
        return NoiseScale(math.nan, math.nan, math.nan, reason=reason, **found)  # type: ignore[arg-type]
    low, high = _inverse_interval(trace, square)
    if not mean_square > 0:
        reason = f"|G|² is estimated at {mean_square:.2g}, not above 0: the noise hides the gradient"
        return NoiseScale(math.nan, low, high, reason=reason, **found)  # type: ignore[arg-type]
    return NoiseScale(mean_trace / mean_square, low, high, reason="", **found)  # type: ignore[arg-type]


def _inverse_interval(trace: Floats, square: Floats) -> tuple[float, float]:
    n = len(trace)
    if n < 3:
        return math.nan, math.nan
    without = (square.sum() - square) / (trace.sum() - trace)  # each observation left out in turn
    error = math.sqrt((n - 1) * without.var())
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * error
    inverse = float(square.mean() / trace.mean())
    low = 1 / (inverse + half) if inverse + half > 0 else math.nan
    return low, 1 / (inverse - half) if inverse > half else math.inf


def two_batch_sizes(
    small_batch: float,
    small_squares: Sequence[float],
    big_batch: float,
    big_squares: Sequence[float],
    population: float = math.inf,
) -> NoiseScale:
    """Return the noise scale from the squared gradient norms of several batches of each of two sizes."""
    return noise_scale(*unbiased(small_batch, small_squares, big_batch, big_squares, population))


def exact(mean_square: float, big_batch: float, big_square: float, population: float = math.inf) -> NoiseScale:
    """Return the noise scale from the gradients of single samples: batches of 1, beside one large batch.

    Where ``mean_square`` is over the whole training set, and so is the large batch, this is no estimate.

    Args:
        mean_square: mean squared norm of the gradients of single samples.
        big_batch: over how many samples the mean gradient was taken.
        big_square: its squared norm.
        population: size of the training set.
    """
    return two_batch_sizes(1, [mean_square], big_batch, [big_square], population)


# From the record of a trial

METHODS = ("samples", "batch sizes", "parts")


@dataclass(frozen=True)
class Series:
    """The noise scale along a run.

    Attributes:
        steps: after how many steps ``[points]``.
        scales: the noise scale there ``[points]``.
    """

    steps: tuple[int, ...]
    scales: tuple[NoiseScale, ...]

    @property
    def values(self) -> Floats:
        """B_simple at each point, NaN where it has none."""
        return np.array([scale.value for scale in self.scales], dtype=float)

    def average(self) -> float:
        """Return the mean over the steps of the run, by the trapezoidal rule.

        NaN if points that stand for more than ``LARGEST_SHARE_WITHOUT`` of the steps have no value: they lack one
        because the noise scale is large there.
        """
        return run_average(self.steps, self.values)

    def at(self, step: float) -> float:
        """Return the value at the point nearest to ``step``."""
        return float(self.values[int(np.argmin(np.abs(np.array(self.steps) - step)))])


def run_average(steps: Sequence[float], values: ArrayLike) -> float:
    """Return the mean of ``values`` over ``steps`` (see ``Series.average``), both ``[points]``."""
    v, s = np.asarray(values, dtype=float), np.asarray(steps, dtype=float)
    if not len(s):
        return math.nan
    edges = np.concatenate([s[:1], (s[1:] + s[:-1]) / 2, s[-1:]])
    weights = np.diff(edges) if len(s) > 1 else np.ones(1)
    known = np.isfinite(v)
    if weights[~known].sum() > LARGEST_SHARE_WITHOUT * weights.sum():
        return math.nan
    return float(np.average(v[known], weights=weights[known]))


def series(record: Record) -> dict[str, Series]:
    """Return the noise scale along the run of ``record`` by each of ``METHODS`` that observed it.

    What the parts of single steps say is averaged over the steps around each point, tr Σ and |G|² apart.
    """
    columns, population = record.noise, float(record.train_samples or math.inf)
    if not columns.get("step"):
        return {}
    rows = [dict(zip(_PROBE, values, strict=True)) for values in zip(*(columns[name] for name in _PROBE), strict=True)]
    found = {}
    exactly = [row for row in rows if row["exact_n"] is not None]
    if exactly:
        found["samples"] = Series(
            tuple(row["step"] for row in exactly), tuple(_of_samples(row, population) for row in exactly)
        )
    found["batch sizes"] = Series(tuple(row["step"] for row in rows), tuple(_of_sizes(row, population) for row in rows))
    if columns["parts_step"]:
        found["parts"] = _of_parts(columns, population)
    return {method: found[method] for method in METHODS if method in found}


_PROBE = (
    "step", "small_batch", "big_batch", "small_squares", "big_squares", "exact_n", "exact_mean_square",
    "exact_big_batch", "exact_big_square",
)  # fmt: skip


def _of_samples(row: Mapping[str, Any], population: float) -> NoiseScale:
    return exact(row["exact_mean_square"], row["exact_big_batch"], row["exact_big_square"], population)


def _of_sizes(row: Mapping[str, Any], population: float) -> NoiseScale:
    sizes = row["small_batch"], row["small_squares"], row["big_batch"], row["big_squares"]
    return two_batch_sizes(*sizes, population)


def _of_parts(columns: Mapping[str, list[Any]], population: float) -> Series:
    steps, at = np.array(columns["parts_step"], dtype=float), np.array(columns["step"], dtype=float)
    each = [
        unbiased(batch / parts, small, batch, big, population)
        for parts, batch, small, big in zip(
            *(columns[name] for name in ("parts", "parts_batch", "parts_small_square", "parts_big_square")), strict=True
        )
    ]
    traces, squares = (np.concatenate(column) for column in zip(*each, strict=True))
    # Points are spaced geometrically, and each takes the steps that are nearest to it as a factor.
    nearest = np.abs(np.log(steps)[:, np.newaxis] - np.log(at)).argmin(axis=1)
    used = sorted(set(nearest.tolist()))
    scales = tuple(noise_scale(traces[nearest == i], squares[nearest == i]) for i in used)
    return Series(tuple(int(at[i]) for i in used), scales)


def variance_exponent(record: Record) -> float:
    """Return the power of the batch size with which the variance of the gradient changes: -1 for 1 / B.

    A mean over the points of the run of the slope of log variance over log batch size. Batches without replacement
    have less than 1 / B by the share of the training set that they leave: that factor is divided out, and a batch that
    is the training set, which has no variance, left out. NaN where there are not two sizes.
    """
    columns, population = record.noise, float(record.train_samples or math.inf)
    slopes = []
    for sizes, variances in zip(columns.get("batch_sizes", []), columns.get("variances", []), strict=True):
        b, v = np.array(sizes, dtype=float), np.array(variances, dtype=float)
        usable = (b < population) & (v > 0)
        if usable.sum() >= 2:
            b, v = b[usable], v[usable]
            slopes.append(float(np.polyfit(np.log(b), np.log(v / (1 - b / population)), 1)[0]))
    return float(np.mean(slopes)) if slopes else math.nan
