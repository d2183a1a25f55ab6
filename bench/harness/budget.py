"""The wall seconds of a run: how long trials take here, how the time is shared out, and what is cut where it is short.

A suite keeps its budget on any machine. Where all fits, nothing is cut. Where it does not, each comparison gets a
share, the main one the largest, and within it trials are cut short first, then blocks are fewer, and cells go last.
"""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.trial import Trial
from paceline.bench.records.anchors import ANCHORS
from paceline.bench.records.record import Record

# What starting a trial takes on the machine that the guesses below were made on: process, data, warm-up.
USUAL_LAUNCH = 0.45

# A guess, where nothing is known: the share of its budget that a trial trains which stops at the target, and the
# seconds of one that makes so many steps, and of the anchor.
SHARE_TO_TARGET, SECONDS_OF_STEPS, SECONDS_OF_ANCHOR = 0.3, 0.7, 0.15

# The same for one of many thousand steps, and the samples of a stream that are learned in a second, one at a time.
SECONDS_OF_A_STEP, SAMPLES_PER_SECOND = 2e-4, 3_000.0

# Where time is short, what a comparison's time counts for: the main one gives up last, and what it is read by.
MAIN = "strategies"
WEIGHTS = {MAIN: 4.0, "null": 2.0}

# Beyond its launch a trial is given so much at least, in units of that launch: less would measure nothing.
LEAST_SHARE_OF_LAUNCH = 0.5


class Pace:
    """How long trials take, in wall seconds, learned from those that have ended."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._of_cell: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._training: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._launches: list[float] = []  # set-up and warm-up
        self._starts: list[float] = []  # of the process

    def observe(self, comparison: str, cell: str, trial: Trial, record: Record, seconds: float) -> None:
        """Learn from a trial that took ``seconds``, repeats and bookkeeping included."""
        self._of_cell[_place(comparison, cell)].append(seconds)
        trained = record.curve["seconds"][-1] if record.curve["seconds"] else 0.0
        evaluated = record.evaluation_seconds or 0.0
        wall = record.wall_seconds if record.wall_seconds is not None else trained + evaluated
        self._launches.append(max(0.0, wall - trained - evaluated))
        self._starts.append(max(0.0, seconds - wall))
        if trial.stop_at_target and trial.steps is None:
            self._training[_kind(trial)].append(trained + evaluated)

    def launch(self) -> float:
        """Return what a trial takes beside training and evaluating.

        The first trial's process may have had to wait for the server that forks all of them, and tells nothing.
        """
        start = statistics.median(self._starts[1:]) if len(self._starts) > 1 else 0.0
        return statistics.median(self._launches) + start if self._launches else USUAL_LAUNCH

    def least(self) -> float:
        """Return the shortest trial that still measures something."""
        return (1 + LEAST_SHARE_OF_LAUNCH) * self.launch()

    def known(self, comparison: str, cell: str) -> float:
        """Return what a trial of that cell takes by what was seen: of it, else of its comparison, else the least."""
        seen = self._of_cell.get((comparison, cell)) or [
            seconds for (of, _), taken in self._of_cell.items() if of == comparison for seconds in taken
        ]
        return statistics.fmean(seen) if seen else self.least()

    def of(self, comparison: str, cell: str, trial: Trial) -> float:
        """Return what a trial of that cell is expected to take."""
        own = self._of_cell.get(_place(comparison, cell))
        if own:
            return statistics.fmean(own)
        slowness = max(1.0, self.launch() / USUAL_LAUNCH)
        if cell in ANCHORS:
            trained = SECONDS_OF_ANCHOR * slowness
        elif trial.arrivals is not None:
            trained = trial.arrivals.samples / min(trial.arrivals.per_second or math.inf, SAMPLES_PER_SECOND / slowness)
        elif trial.steps is not None:
            trained = max(SECONDS_OF_STEPS, SECONDS_OF_A_STEP * trial.steps) * slowness
        elif not trial.stop_at_target:
            trained = trial.seconds
        elif self._training.get(_kind(trial)):
            trained = statistics.fmean(self._training[_kind(trial)])
        else:
            trained = SHARE_TO_TARGET * trial.seconds
        return self.launch() + min(trained, 1.2 * trial.seconds)  # evaluating comes on top of training


def _place(comparison: str, cell: str) -> tuple[str, str]:
    """Return where a cell stands; the anchor is the same in all comparisons."""
    return ("", ANCHORS[0]) if cell in ANCHORS else (comparison, cell)


def _kind(trial: Trial) -> tuple[str, str]:
    return trial.workload.name, type(trial.trainer).__name__


class Budget:
    """The wall seconds of a run.

    Attributes:
        pace: how long trials take.
        total: seconds in all; infinite where there is no limit.
    """

    def __init__(self, total: float = math.inf, spent: float = 0.0, clock: Callable[[], float] = time.monotonic):
        """Begin now, with ``spent`` of the ``total`` seconds used already."""
        self.pace, self.total, self._clock = Pace(), total, clock
        self._began = clock() - spent

    def left(self) -> float:
        """Return the seconds until the run should end."""
        return self.total - (self._clock() - self._began)

    def spent(self) -> float:
        """Return the seconds since the run began."""
        return self._clock() - self._began

    def need(self, comparison: Comparison) -> float:
        """Return what all of ``comparison`` is expected to take."""
        return sum(
            count * self.pace.of(comparison.name, name, trial) for name, (trial, count) in comparison.trials().items()
        )

    def share(self, comparison: Comparison, later: Iterable[Comparison]) -> "Share":
        """Return what ``comparison`` may take, where ``later`` ones are still to come.

        All that they are not expected to need; where that is too little, a share by need and weight.
        """
        needs = {c.name: self.need(c) for c in (comparison, *later)}
        left = self.left()
        if sum(needs.values()) <= left:
            return Share(self, left - sum(needs.values()) + needs[comparison.name], comparison.name == MAIN)
        weighed = {name: need * WEIGHTS.get(name, 1.0) for name, need in needs.items()}
        total = sum(weighed.values())
        even = left * weighed[comparison.name] / total if total else left
        return Share(self, min(even, left), comparison.name == MAIN)


class Share:
    """What one comparison may take of a budget."""

    def __init__(self, budget: Budget, seconds: float, main: bool = False) -> None:
        """Begin now, with ``seconds`` to spend; ``main`` is whether it is the main comparison's."""
        self._budget, self.seconds, self._main = budget, seconds, main
        self._ends = budget.spent() + seconds

    def left(self) -> float:
        """Return the seconds that this comparison may still take."""
        return self._ends - self._budget.spent()

    def has_room(self, trials: int) -> bool:
        """Return whether so many trials still measure something, if each is as short as can be.

        The main comparison's own are not left out for the sake of others: they may take all that the run has.
        """
        left = self._budget.left() if self._main else self.left()
        return trials * self._budget.pace.least() <= left

    def limit(self, trials: int) -> float | None:
        """Return the wall seconds of the next of ``trials`` that are still to fit; None is no limit.

        An even share of what is left, so that the last are not starved: what a trial does not use is for those after.
        """
        left = self.left()
        return None if math.isinf(left) else max(self._budget.pace.least(), left / trials)
