"""The advisor: a quadratic surface of the logarithm of steps to target over those of batch size and rate.

Around the surface, whose curvature is not known well beforehand, cells deviate a little, neighbours alike; and runs of
one cell differ by their seeds. All of that is one Gaussian process, so that it is known how well each cell is known.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from paceline.bench.analysis.advising import Ask, Outcome, Space, seconds_of
from paceline.bench.analysis.statistics import Floats

Cell = tuple[int, float]

# What is assumed of 1, u, v, u², uv, v², where u and v are octaves of batch size and rate from the middle, before a run
# is made: the mean and the standard deviation of its coefficient in ln steps. Larger batches and rates take fewer
# steps, ever less so, and the larger a batch the larger the rate that suits it.
MEANS = np.array([0.0, -0.2, -0.2, 0.03, -0.04, 0.06])
SPREADS = np.array([3.0, 0.5, 0.5, 0.03, 0.05, 0.05])
# How far a cell deviates from the surface, in ln steps, and over how many octaves neighbours do so alike.
DEVIATION, ALIKE = 0.15, 3.0
# How many repeated runs what is thought of their noise beforehand is worth.
THOUGHT = 2


class Surface(NamedTuple):
    """What is known of each cell.

    Attributes:
        seconds: the expected ln of seconds to target.
        spread: its standard deviation.
    """

    seconds: dict[Cell, float]
    spread: dict[Cell, float]


@dataclass(frozen=True)
class QuadraticAdvisor:
    """Look around for a rate that works, lay a cross about it, then run what may well be the fastest, and refit.

    Attributes:
        runs: how many to make at most.
        patience: a run is stopped at so many times the seconds of the best one, and is then known to take longer.
        noise: how far runs of one cell are thought to differ by their seeds, in ln steps, before any is repeated.
        seeds: how many runs of one cell at most.
        daring: how many standard deviations below its expectation a cell is hoped to lie when it is run next.
    """

    runs: int = 30
    patience: float = 1.5
    noise: float = 0.15
    seeds: int = 3
    daring: float = 1.0

    def next(self, space: Space, seen: Sequence[Outcome]) -> Ask | None:
        """Return the next run it wants, None where it has seen enough."""
        if len(seen) >= self.runs:
            return None
        reached = [outcome for outcome in seen if outcome.reached]
        if not reached:
            return next(_first_asks(space, seen), None)
        best = min(reached, key=lambda outcome: seconds_of(space, outcome))
        limit = self.patience * seconds_of(space, best)
        made = {(outcome.batch_size, outcome.lr) for outcome in seen}
        around = [cell for cell in _cross(space, _start(space, reached)) if cell not in made | _walled(space, seen)]
        if around:
            return _ask(space, around[0], limit, 0)
        surface = self.surface(space, seen)
        hoped = {cell: surface.seconds[cell] - self.daring * surface.spread[cell] for cell in surface.seconds}
        for cell in sorted(hoped, key=hoped.__getitem__):
            seed = self._seed(cell, seen)
            if seed is not None:
                return _ask(space, cell, limit, seed)
        return None

    def choice(self, space: Space, seen: Sequence[Outcome]) -> Cell | None:
        """Return batch size and rate of the least expected seconds, of those that reached the target."""
        reached = {(outcome.batch_size, outcome.lr) for outcome in seen if outcome.reached}
        if not reached:
            return None
        expected = self.surface(space, seen).seconds
        return min(reached, key=expected.__getitem__)

    def _seed(self, cell: Cell, seen: Sequence[Outcome]) -> int | None:
        """Return the next seed of a cell; None if it had all, or a run of it ended or was stopped."""
        of_cell = [outcome for outcome in seen if (outcome.batch_size, outcome.lr) == cell]
        full = len(of_cell) >= self.seeds or not all(outcome.reached for outcome in of_cell)
        return None if full else len(of_cell)

    def surface(self, space: Space, seen: Sequence[Outcome]) -> Surface:
        """Return what the runs say of each cell that is not behind a wall; at least one reached the target."""
        walled = _walled(space, seen)
        cells = [cell for cell in all_cells(space) if cell not in walled] + [
            (o.batch_size, o.lr) for o in seen if o.reached and (o.batch_size, o.lr) in walled
        ]
        runs = [outcome for outcome in seen if not outcome.ended]
        at = _octaves(space, [(outcome.batch_size, outcome.lr) for outcome in runs])
        y = np.log([max(outcome.steps, 1.0) for outcome in runs])
        censored = np.array([not outcome.reached for outcome in runs])
        level = float(y[~censored].mean())
        wanted = _octaves(space, cells)
        noise = _noise(self.noise, seen)
        within = _covariance(at, at) + noise**2 * np.eye(len(at))
        guess = y.copy()
        for _ in range(10):  # what a stopped run would have taken is what is expected of it, but more than it was given
            weights = np.linalg.solve(within, guess - level - _features(at) @ MEANS)
            expected = level + _features(at) @ MEANS + _covariance(at, at) @ weights
            guess = np.where(censored, np.maximum(expected, y + noise), y)
        across = _covariance(wanted, at)
        steps = level + _features(wanted) @ MEANS + across @ weights
        variance = np.diag(_covariance(wanted, wanted)) - np.einsum(
            "ij,ji->i", across, np.linalg.solve(within, across.T)
        )
        seconds = steps + np.log([space.seconds_per_step[size] for size, _ in cells])
        spread = np.sqrt(np.maximum(variance, 0.0))
        return Surface(dict(zip(cells, seconds.tolist(), strict=True)), dict(zip(cells, spread.tolist(), strict=True)))


def all_cells(space: Space) -> list[Cell]:
    """Return every batch size with every rate."""
    return [(size, lr) for size in space.batch_sizes for lr in space.rates]


def nearest(space: Space, batch_size: float, lr: float) -> Cell:
    """Return the cell of the space that is nearest."""
    size = min(space.batch_sizes, key=lambda each: abs(math.log(each / batch_size)))
    return size, min(space.rates, key=lambda each: abs(math.log(each / lr)))


def middle(space: Space) -> Cell:
    """Return the cell to start from: where it was said, else the middle."""
    if space.first is not None:
        return nearest(space, *space.first)
    return space.batch_sizes[len(space.batch_sizes) // 2], space.rates[(len(space.rates) - 1) // 2]


def _ask(space: Space, cell: Cell, limit: float, seed: int) -> Ask:
    return Ask(*cell, max(1.0, limit / space.seconds_per_step[cell[0]]), seed)


def _first_asks(space: Space, seen: Sequence[Outcome]) -> Iterator[Ask]:
    """Yield what to run while nothing has reached the target: three rates in turn, each time for longer."""
    size, lr = middle(space)
    rates = list(dict.fromkeys(nearest(space, size, lr * factor)[1] for factor in (1.0, 4.0, 0.25, 16.0, 1 / 16)))
    ended = {outcome.lr for outcome in seen if outcome.ended}
    longest = {rate: max((o.steps for o in seen if o.lr == rate), default=0.0) for rate in rates}
    if len(ended) < len(rates):
        rate = min((rate for rate in rates if rate not in ended), key=lambda rate: longest[rate])
        yield Ask(size, rate, 4 * longest[rate] or 100.0)


def _start(space: Space, reached: Sequence[Outcome]) -> Cell:
    """Return the cell that was the first to reach the target, about which a cross is laid."""
    return reached[0].batch_size, reached[0].lr


def _cross(space: Space, start: Cell) -> list[Cell]:
    size, lr = start
    arms = [(size, lr * 2), (size, lr / 2), (size * 4, lr * 2), (size / 4, lr / 2)]
    return [cell for cell in dict.fromkeys(nearest(space, *arm) for arm in arms) if cell != start]


def _walled(space: Space, seen: Sequence[Outcome]) -> set[Cell]:
    """Return the cells of no hope: where a run diverged, those of larger rates and smaller batches do too."""
    walls = [(outcome.batch_size, outcome.lr) for outcome in seen if outcome.ended]
    return {cell for cell in all_cells(space) if any(cell[0] <= size and cell[1] >= lr for size, lr in walls)}


def _noise(before: float, seen: Sequence[Outcome]) -> float:
    """Return how far runs of one cell differ, in ln steps: what was thought, worth ``THOUGHT``, and what was seen."""
    of_cells: dict[Cell, list[float]] = {}
    for outcome in seen:
        if outcome.reached:
            of_cells.setdefault((outcome.batch_size, outcome.lr), []).append(math.log(max(outcome.steps, 1.0)))
    squares = sum(len(logs) * float(np.var(logs)) for logs in of_cells.values())
    free = sum(len(logs) - 1 for logs in of_cells.values())
    return math.sqrt((THOUGHT * before**2 + squares) / (THOUGHT + free))


def _octaves(space: Space, cells: Sequence[Cell]) -> Floats:
    """Return cells as octaves of batch size and rate from the middle of the space, ``[N, 2]``."""
    sizes, rates = np.log2(space.batch_sizes), np.log2(space.rates)
    return np.asarray(np.log2(np.array(cells, float).reshape(-1, 2)) - np.array([np.median(sizes), np.median(rates)]))


def _features(at: Floats) -> Floats:
    u, v = at.T
    return np.stack([np.ones(len(at)), u, v, u * u, u * v, v * v], axis=1)


def _covariance(a: Floats, b: Floats) -> Floats:
    apart = np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))
    local = DEVIATION**2 * np.exp(-apart / ALIKE)
    return np.asarray((_features(a) * SPREADS**2) @ _features(b).T + local)
