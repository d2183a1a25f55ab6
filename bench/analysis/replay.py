"""A search replayed on a table: what it asks for is looked up, and paid in the seconds that it would have taken."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import fmean

from paceline.bench.analysis.advising import Advisor, Outcome, Space, seconds_of
from paceline.bench.analysis.grid_tables import SEEDS, Cell, GridTable

PATIENCE = 1.5  # a run is stopped at so many times the seconds of the best one so far


@dataclass
class Replay:
    """One search.

    Attributes:
        table: what is known, of which the search learns what it pays for.
        order: which of the grid's seeds comes first.
        spent: seconds so far.
        seen: the runs so far.
    """

    table: GridTable
    order: int = 0
    spent: float = 0.0
    seen: list[Outcome] = field(default_factory=list)
    _trained: dict[Cell, float] = field(default_factory=dict)  # seconds in which a run was continued

    @property
    def space(self) -> Space:
        """What may be chosen from."""
        return self.table.space()

    @property
    def best(self) -> float:
        """Seconds of the fastest run so far that reached the target; infinite before there is one."""
        return min((seconds_of(self.space, outcome) for outcome in self.seen if outcome.reached), default=math.inf)

    def run(self, cell: Cell, most_steps: float = math.inf, seed: int = 0) -> Outcome:
        """Make a run of a cell that ends after so many steps."""
        outcome = self.table.outcome(*cell, SEEDS[(self.order + seed) % len(SEEDS)], most_steps)
        outcome = outcome._replace(seed=seed)
        self.seen.append(outcome)
        self.spent += seconds_of(self.space, outcome)
        return outcome

    def run_fresh(self, cell: Cell, seed: int) -> float:
        """Return the seconds of a run on a seed that no search has seen; nothing is learned from it."""
        seconds = seconds_of(self.space, self.table.outcome(*cell, seed))
        self.spent += seconds
        return seconds

    def mean_seconds(self) -> dict[Cell, float]:
        """Return the mean seconds of each cell's runs that reached the target."""
        of_cells: dict[Cell, list[float]] = {}
        for outcome in self.seen:
            if outcome.reached:
                of_cells.setdefault((outcome.batch_size, outcome.lr), []).append(seconds_of(self.space, outcome))
        return {cell: fmean(seconds) for cell, seconds in of_cells.items()}

    def run_patiently(self, cell: Cell) -> Outcome:
        """Make a run that ends where it takes much longer than the best one did."""
        return self.run(cell, max(1.0, PATIENCE * self.best / self.table.timed[cell[0]]))

    def go_on(self, cell: Cell, seconds: float) -> tuple[float, Outcome]:
        """Train a cell until it took so many seconds in all, and return the score there (larger is better).

        What it trained before is kept, and not paid for again.
        """
        seed, per_step = SEEDS[self.order], self.table.timed[cell[0]]
        outcome = self.table.outcome(*cell, seed, seconds / per_step)
        taken, before = outcome.steps * per_step, self._trained.get(cell, 0.0)
        self.spent += max(0.0, taken - before)
        self._trained[cell] = max(taken, before)
        if outcome.ended:
            return -math.inf, outcome
        scores = [score for step, score in self.table.scores(cell, seed) if step <= outcome.steps]
        return scores[-1] if scores else -math.inf, outcome


# A search says after each run which cell it would train with now.
Search = Callable[[Replay], Iterator[Cell | None]]


def following(advisor: Advisor) -> Search:
    """Return the search that makes the runs an advisor asks for."""

    def search(replay: Replay) -> Iterator[Cell | None]:
        space = replay.space
        while (ask := advisor.next(space, replay.seen)) is not None:
            replay.run((ask.batch_size, ask.lr), ask.most_steps, ask.seed)
            yield advisor.choice(space, replay.seen)

    return search


@dataclass(frozen=True)
class Point:
    """What a search would have trained with, had it ended there.

    Attributes:
        spent: seconds until then.
        choice: batch size and rate; None where it abstains.
    """

    spent: float
    choice: Cell | None


def replayed(search: Search, table: GridTable, order: int = 0, spent: float = 0.0) -> list[Point]:
    """Return what a search chooses after each of its runs, or at once if it makes none.

    Args:
        search: how.
        table: what it is replayed on.
        order: which of the grid's seeds comes first.
        spent: seconds before the first run: those of timing steps.
    """
    replay = Replay(table, order, spent)
    return [Point(replay.spent, choice) for choice in search(replay)]
