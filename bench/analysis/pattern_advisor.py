"""An advisor that walks: from where it starts to whichever neighbour takes fewer seconds, in ever smaller strides."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from paceline.bench.analysis.advising import Ask, Outcome, Space, seconds_of

# Strides along batch sizes and rates, as factors; and beside the axes, where both change together.
STRIDES = (4.0, 2.0, 2**0.5)
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1))

# A run is given up at so many times the seconds of the best so far.
GIVEN_UP = 1.5

# When nothing is left to be tried nearby, the best places run again, on so many seeds in all: one seed is one's luck.
FINALISTS, SEEDS = 3, 3

# Where no run has reached the target: by which factors the first rate is changed, in this order.
FIRST_RATES = (1.0, 1 / 4, 4.0, 1 / 16, 16.0, 1 / 64, 64.0)

Place = tuple[int, float]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class PatternAdvisor:
    """Pattern search over the logarithms of batch size and rate.

    Attributes:
        most: runs at most.

    Source: R. Hooke & T. A. Jeeves 1961, "Direct search" solution of numerical and statistical problems, JACM 8(2).
    """

    most: int = 24

    def next(self, space: Space, seen: Sequence[Outcome]) -> Ask | None:
        """Return the next neighbour of the best that was not run; None where all were, or ``most`` runs made."""
        if len(seen) >= self.most:
            return None
        best = self.choice(space, seen)
        tried = {(outcome.batch_size, outcome.lr) for outcome in seen}
        if best is None:
            place = next((place for place in _starts(space) if place not in tried), None)
            return None if place is None else Ask(*place)
        least = _seconds(space, seen)[best]
        for stride in STRIDES:
            for place in _neighbours(space, best, stride):
                if place not in tried:
                    return Ask(*place, _most_steps(space, place, least))
        found = _seconds(space, seen)
        for place in sorted(found, key=lambda place: found[place])[:FINALISTS]:
            runs = sum((outcome.batch_size, outcome.lr) == place for outcome in seen)
            if runs < SEEDS:
                return Ask(*place, _most_steps(space, place, least), seed=runs)
        return None

    def choice(self, space: Space, seen: Sequence[Outcome]) -> tuple[int, float] | None:
        """Return the place whose runs took the fewest seconds, on average, of those that all reached the target."""
        found = _seconds(space, seen)
        return min(found, key=lambda place: found[place], default=None)


def _seconds(space: Space, seen: Sequence[Outcome]) -> dict[Place, float]:
    """Return the mean seconds of each place whose runs all reached the target."""
    runs: dict[Place, list[Outcome]] = defaultdict(list)
    for outcome in seen:
        runs[outcome.batch_size, outcome.lr].append(outcome)
    return {
        place: sum(seconds_of(space, outcome) for outcome in own) / len(own)
        for place, own in runs.items()
        if all(outcome.reached for outcome in own)
    }


def _most_steps(space: Space, place: Place, least: float) -> float:
    return math.ceil(GIVEN_UP * least / space.seconds_per_step[place[0]])


def _starts(space: Space) -> Iterator[Place]:
    size, lr = space.first or (space.batch_sizes[len(space.batch_sizes) // 2], space.rates[len(space.rates) // 2])
    for factor in FIRST_RATES:
        yield _nearest(space.batch_sizes, size), _nearest(space.rates, factor * lr)


def _neighbours(space: Space, place: Place, stride: float) -> Iterator[Place]:
    for of_size, of_rate in DIRECTIONS:
        size = _nearest(space.batch_sizes, place[0] * stride**of_size)
        yield size, _nearest(space.rates, place[1] * stride**of_rate)


def _nearest(values: Sequence[Number], wanted: float) -> Number:
    return min(values, key=lambda value: abs(math.log(value / wanted)))
