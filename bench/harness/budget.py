"""The wall seconds of a run: how long trials take here, how the time is shared out, and what is cut where it is short.

A suite keeps its budget on any machine. Where all fits, nothing is cut. Where it does not, each comparison gets a
share, the main one the largest; what of it fits there ``harness.fitting`` says.
"""

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from paceline.bench.harness.comparison import Comparison, trial_of
from paceline.bench.harness.trial import Trial
from paceline.bench.records.anchors import ANCHORS
from paceline.bench.records.record import Record

# What starting a trial takes on the machine of results/reference, like the guesses below: process, data, warm-up.
USUAL_LAUNCH = 0.15

# A guess, where nothing is known: the share of its budget that a trial trains which stops at the target, and one of a
# search, at rates that miss it; the seconds of one that makes so many steps, and of the anchor.
SHARE_TO_TARGET, SHARE_OF_SEARCH, SECONDS_OF_STEPS, SECONDS_OF_ANCHOR = 0.15, 0.3, 0.5, 0.15

# The same for one of many thousand steps, and the samples of a stream that are learned in a second, one at a time; in
# batches so many times as many.
SECONDS_OF_A_STEP, SAMPLES_PER_SECOND, IN_BATCHES = 2e-4, 3_000.0, 5.0

# Where time is short, what a comparison's time counts for: the main one gives up last, and what it is read by.
MAIN = "strategies"
WEIGHTS = {MAIN: 2.0, "null": 2.0}

# So many cells of a comparison are measured whatever there is time for: one alone is compared with nothing.
LEAST_CELLS = 2

# Beyond its launch a trial is given so much at least, in units of that launch: less would measure nothing.
LEAST_SHARE_OF_LAUNCH = 0.5

# So many times its limit a trial may take: it is looked at whenever it has made 3 % more steps, and scored then.
OVERRUN = 1.1


class Pace:
    """How long trials take, in wall seconds, learned from those that have ended."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._of_cell: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._of_comparison: dict[str, list[float]] = defaultdict(list)
        self._training: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
        self._launches: list[float] = []  # set-up and warm-up
        self._starts: list[float] = []  # of the process

    def observe(self, comparison: str, cell: str, trial: Trial, record: Record, seconds: float) -> None:
        """Learn from a trial that took ``seconds``, repeats and bookkeeping included."""
        self._of_cell[_place(comparison, cell)].append(seconds)
        if cell not in ANCHORS:
            self._of_comparison[comparison].append(seconds)
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
        own, others = self._of_cell.get((comparison, cell)), self._of_comparison.get(comparison)
        if own:
            return statistics.fmean(own)
        return statistics.median(others) if others else self.least()  # one slow cell says little of another

    def by_what_was_seen(self, comparison: str, cell: str, trial: Trial) -> float:
        """Return what a trial of that cell takes by what was seen of its comparison; by a guess if that is nothing."""
        if comparison not in self._of_comparison:
            return self.of(comparison, cell, trial)
        return min(self.known(comparison, cell), self.launch() + 1.2 * trial.seconds)

    def of(self, comparison: str, cell: str, trial: Trial) -> float:
        """Return what a trial of that cell is expected to take."""
        own = self._of_cell.get(_place(comparison, cell))
        if own:
            return statistics.fmean(own)
        slowness = max(1.0, self.launch() / USUAL_LAUNCH)
        if cell in ANCHORS:
            trained = SECONDS_OF_ANCHOR * slowness
        elif trial.arrivals is not None:
            learned = (
                SAMPLES_PER_SECOND * (IN_BATCHES if getattr(trial.trainer, "batch_size", 1) > 1 else 1.0) / slowness
            )
            trained = trial.arrivals.samples / min(trial.arrivals.per_second or math.inf, learned)
        elif trial.steps is not None:
            trained = max(SECONDS_OF_STEPS, SECONDS_OF_A_STEP * trial.steps) * slowness
        elif not trial.stop_at_target:
            trained = trial.seconds
        elif self._training.get(_kind(trial)):
            trained = statistics.fmean(self._training[_kind(trial)])
        else:
            trained = (SHARE_TO_TARGET if trial.stop_on_plateau is None else SHARE_OF_SEARCH) * trial.seconds
        return self.launch() + min(trained, 1.2 * trial.seconds)  # evaluating comes on top of training


def _place(comparison: str, cell: str) -> tuple[str, str]:
    """Return where a cell stands; the anchor is the same in all comparisons."""
    return ("", ANCHORS[0]) if cell in ANCHORS else (comparison, cell)


def core(comparison: Comparison) -> list[str]:
    """Return the first cells, which stay if at all possible: in the main comparison all of its first workload."""
    cells = list(comparison.cells)
    workloads = [trial_of(cell).workload.name for cell in comparison.cells.values()]
    count = workloads.count(workloads[0]) if comparison.name == MAIN and cells else 0
    return cells[: max(LEAST_CELLS, count)]


def _kind(trial: Trial) -> tuple[str, str, bool]:
    """Return which trials to the target take as long: those that search for a rate take longer."""
    return trial.workload.name, type(trial.trainer).__name__, trial.stop_on_plateau is None


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
        return sum(self._needs(comparison).values())

    def _needs(self, comparison: Comparison) -> dict[str, float]:
        return {
            name: count * self.pace.of(comparison.name, name, trial)
            for name, (trial, count) in comparison.trials().items()
        }

    def _weighed(self, comparison: Comparison) -> float:
        """Return what ``comparison`` needs, what matters most of it by its weight."""
        weight, first = WEIGHTS.get(comparison.name, 1.0), core(comparison)
        return sum(need * (weight if name in first else 1.0) for name, need in self._needs(comparison).items())

    def share(self, comparison: Comparison, later: Iterable[Comparison]) -> "Share":
        """Return what ``comparison`` may take, where ``later`` ones are still to come.

        All that they are not expected to need; where that is too little, a share by need and weight.
        """
        others = list(later)
        needs = {c.name: self.need(c) for c in (comparison, *others)}
        left = self.left()
        if sum(needs.values()) <= left:
            return Share(self, left - sum(needs.values()) + needs[comparison.name], comparison.name == MAIN)
        weighed = self._weighed(comparison)
        total = weighed + sum(map(self._weighed, others))
        even = left * weighed / total if total else left
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

    def limit(self, trials: int = 1, others: float = math.inf) -> float | None:
        """Return the wall seconds of the next of ``trials`` that are still to fit; None is no limit.

        An even share of what is left at least, so that the last are not starved: what a trial does not use is for those
        after. And what is left beside the seconds that the ``others`` are expected to take.
        """
        left = self.left()
        limit = max(left / max(1, trials), left - others) / OVERRUN
        return None if math.isinf(left) else max(self._budget.pace.least(), limit)
