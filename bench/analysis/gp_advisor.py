"""An advisor of a library's own: scikit-learn's Gaussian process, and the expected improvement."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, qmc

from paceline.bench.analysis.advising import Ask, Outcome, Space, seconds_of


@dataclass(frozen=True)
class GpAdvisor:
    """A few cells spread out, then always the one whose ln of seconds is expected to improve most on the best.

    Attributes:
        runs: how many to make at most.
        spread_out: how many of them before the process decides.
        patience: a run is stopped at so many times the seconds of the best one. What was stopped enters with those.

    Needs scikit-learn, which only the comparison of advisors does.

    Source: Jones et al. 1998, "Efficient global optimization"; ``sklearn.gaussian_process``.
    """

    runs: int = 24
    spread_out: int = 6
    patience: float = 1.5

    def next(self, space: Space, seen: Sequence[Outcome]) -> Ask | None:
        """Return the next run it wants, None where it has seen enough."""
        made = {(outcome.batch_size, outcome.lr) for outcome in seen}
        cells = [(size, lr) for size in space.batch_sizes for lr in space.rates if (size, lr) not in made]
        if len(seen) >= self.runs or not cells:
            return None
        seconds = [seconds_of(space, outcome) for outcome in seen if outcome.reached]
        if len(seen) < self.spread_out or not seconds:
            wanted = qmc.Halton(2, scramble=False).random(len(seen) + 2)[-1]
            at = np.array([_at(space, cell) for cell in cells])
            cell = cells[int(((at - wanted) ** 2).sum(axis=1).argmin())]
        else:
            cell = cells[self._most_promising(space, seen, cells, min(seconds))]
        limit = self.patience * min(seconds, default=math.inf)
        return Ask(*cell, max(1.0, limit / space.seconds_per_step[cell[0]]))

    def _most_promising(
        self, space: Space, seen: Sequence[Outcome], cells: Sequence[tuple[int, float]], best: float
    ) -> int:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern([0.5, 0.5], (0.1, 5.0), nu=2.5) + WhiteKernel(
            0.02, (1e-3, 0.2)
        )
        process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
        y = [math.log(self.patience * best if not o.reached else seconds_of(space, o)) for o in seen]
        with warnings.catch_warnings(action="ignore"):  # of parameters that end at their bounds
            process.fit([_at(space, (o.batch_size, o.lr)) for o in seen], y)
        mean, deviation = process.predict([_at(space, cell) for cell in cells], return_std=True)
        z = (math.log(best) - mean) / np.maximum(deviation, 1e-9)
        improvement = deviation * (z * norm.cdf(z) + norm.pdf(z))
        return int(improvement.argmax())

    def choice(self, space: Space, seen: Sequence[Outcome]) -> tuple[int, float] | None:
        """Return batch size and rate of the fastest run."""
        reached = [outcome for outcome in seen if outcome.reached]
        if not reached:
            return None
        best = min(reached, key=lambda outcome: seconds_of(space, outcome))
        return best.batch_size, best.lr


def _at(space: Space, cell: tuple[int, float]) -> list[float]:
    """Return where a cell lies between the ends of the space, in logarithms: ``[0..1, 0..1]``."""
    ends = zip(cell, (space.batch_sizes, space.rates), strict=True)
    return [math.log(value / among[0]) / math.log(among[-1] / among[0]) for value, among in ends]
