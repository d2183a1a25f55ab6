"""How well the hyperbola of the critical batch size predicts a batch size that it was not fitted to."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from paceline.bench.analysis.critical_batch_fit import by_batch_size, least_squares, mean_of_middle


@dataclass(frozen=True)
class LeaveOneOut:
    """How well the hyperbola through the other batch sizes predicts each one.

    Attributes:
        batch_sizes: ascending.
        errors: predicted / measured - 1 at each.
    """

    batch_sizes: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def interior(self) -> float:
        """Median absolute error over all but the smallest and the largest: interpolation."""
        return float(np.median(np.abs(self.errors[1:-1]))) if len(self.errors) > 2 else np.nan

    @property
    def largest(self) -> float:
        """Error on the largest batch size: extrapolation, which is what a prediction is used for."""
        return self.errors[-1] if self.errors else np.nan


def leave_one_out(
    batch_sizes: Sequence[float], samples_to_target: Sequence[float], seeds: Sequence[Hashable] | None = None
) -> LeaveOneOut:
    """Return how far the hyperbola fitted without a batch size is off there.

    Args:
        batch_sizes: see ``critical_batch_fit.fit``; those at which too many runs missed the target are left out.
        samples_to_target: see ``critical_batch_fit.fit``.
        seeds: see ``critical_batch_fit.fit``.

    Returns:
        No errors below four batch sizes: two points lie on a hyperbola whatever they are.

    Raises:
        ValueError: see ``critical_batch_fit.fit``.
    """
    runs = by_batch_size(batch_sizes, samples_to_target, seeds)
    means = {size: mean_of_middle(values) for size, values in runs.items()}
    x = np.array([size for size, mean in means.items() if np.isfinite(mean)])
    y = np.log([mean for mean in means.values() if np.isfinite(mean)])
    if len(x) < 4:
        return LeaveOneOut((), ())
    errors = []
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        level, b, _ = least_squares(x[others], y[others])
        curve = np.log(x[i]) + (y - np.log(x))[others].mean() if b == 0 else level + np.log1p(x[i] / b)
        errors.append(float(np.expm1(curve - y[i])))
    return LeaveOneOut(tuple(x.tolist()), tuple(errors))
