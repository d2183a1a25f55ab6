"""What an advisor knows, and what it may ask for: the same for one that trains now and one replayed on a table.

Seconds to target = steps to target (batch size, rate) x seconds per step (batch size, precision, workers). The second
factor is timed for every cell, without training to the end; an advisor asks for runs of the first only.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True)
class Space:
    """Where a configuration may lie.

    Attributes:
        batch_sizes: samples a step, rising.
        rates: learning rates that may be asked for, rising.
        seconds_per_step: by batch size, in the fastest way to make such a step (precision, workers, compiled or not).
        first: batch size and rate from which to start, where something is known; None else.
    """

    batch_sizes: tuple[int, ...]
    rates: tuple[float, ...]
    seconds_per_step: Mapping[int, float]
    first: tuple[int, float] | None = None


class Ask(NamedTuple):
    """A run that an advisor wants: it ends at the target, or after so many steps."""

    batch_size: int
    lr: float
    most_steps: float = math.inf
    seed: int = 0


class Outcome(NamedTuple):
    """How a run went.

    Attributes:
        batch_size, lr, seed: what was run.
        steps: to the target, or that were made without it.
        reached: whether it was reached; where it was not, more steps than these are needed, or no number is enough.
        ended: whether it ended for good without it, as a run that diverged did: more steps would not help.
    """

    batch_size: int
    lr: float
    seed: int
    steps: float
    reached: bool
    ended: bool = False


class Advisor(Protocol):
    """Says which run it wants next, and, at any time, what it would train with. It keeps nothing between calls."""

    def next(self, space: Space, seen: Sequence[Outcome]) -> Ask | None:
        """Return the next run it wants, None where it has seen enough."""
        ...

    def choice(self, space: Space, seen: Sequence[Outcome]) -> tuple[int, float] | None:
        """Return batch size and rate to train with, None where no run reached the target."""
        ...


def seconds_of(space: Space, outcome: Outcome) -> float:
    """Return what a run took, in seconds of training."""
    return outcome.steps * space.seconds_per_step[outcome.batch_size]
