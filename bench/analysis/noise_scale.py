"""The gradient noise scale: how much of a gradient is noise, from what was observed of gradients.

G is the gradient of the mean loss over the training set, tr Σ the variance of a single sample's gradient, summed over
parameters. A batch of ``B = tr Σ / |G|²`` samples (B_simple) has as much noise as signal in its gradient.

Both parts are estimated without bias and averaged apart: the ratio of single estimates would be biased, and is not even
positive where a single estimate of |G|² is not. All estimates rest on one law, of batches without replacement from
``population`` samples: ``E |G_B|² = |G|² + tr Σ (1/B - 1/population)``.

Source: McCandlish, Kaplan, Amodei 2018, arXiv 1812.06162, appendix A.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paceline.bench.analysis.statistics import CONFIDENCE, Floats


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
