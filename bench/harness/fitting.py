"""What of a comparison fits into its share of a run's time: which cells go on, and how long their trials may take.

Fewer than three blocks decide nothing. So where time is short, blocks after the third are left out first, then the last
cells. Only where not even the first ones fit do their trials end early, and are their blocks fewer than three.
"""

from collections.abc import Mapping

from paceline.bench.harness.budget import Budget, Share, core
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.held import Place
from paceline.bench.harness.trial import Trial
from paceline.bench.records.anchors import ANCHOR
from paceline.bench.records.record import Record

# So many blocks of each cell are to be had, if as many were planned, before there are more cells.
LEAST_BLOCKS = 3


def least_blocks(comparison: Comparison, cell: str) -> int:
    """Return how many blocks of ``cell`` are to be had before there are more cells."""
    return min(LEAST_BLOCKS, comparison.blocks_of(cell))


class Fitting:
    """Fits the blocks of a comparison into its share.

    Attributes:
        trials: what is still run, by cell, what matters most first.
    """

    def __init__(
        self,
        comparison: Comparison,
        trials: Mapping[str, Trial],
        share: Share,
        budget: Budget,
        held: Mapping[Place, Record],
    ) -> None:
        """Begin with all ``trials``, of which those ``held`` take no time."""
        self.trials, self._comparison, self._held = dict(trials), comparison, held
        self._share, self._pace, self._core = share, budget.pace, core(comparison)
        self._ran: set[tuple[str, int]] = set()

    def due(self, block: int) -> dict[str, Trial]:
        """Return which trials of a block are still to be run, the anchor's among them.

        Where all others are held there is none: the anchor tells of the time at which they ran.
        """
        planned = [cell for cell in self.trials if self._is_planned(cell, block)]
        due = {cell: self.trials[cell] for cell in planned if (cell, block) not in self._ran}
        anchor, is_held = self._comparison.anchor, (self._comparison.name, ANCHOR, block) in self._held
        if anchor is not None and planned and not is_held and (ANCHOR, block) not in self._ran:
            due[ANCHOR] = anchor
        return due

    def _is_planned(self, cell: str, block: int) -> bool:
        """Return whether a trial is not held; blocks beyond the last, added until verdicts fall, have all cells."""
        planned = block < self._comparison.blocks_of(cell) or block >= self._comparison.blocks
        return planned and (self._comparison.name, cell, block) not in self._held

    def ran(self, cell: str, block: int) -> None:
        """Take note that a trial has ended."""
        self._ran.add((cell, block))

    def drop(self, block: int) -> list[str]:
        """Go on without the cells that do not fit, and return them."""
        going_on = self.going_on(block)
        dropped = [cell for cell in self.trials if cell not in going_on]
        for cell in dropped:
            del self.trials[cell]
        return dropped

    def has_time_for(self, block: int) -> bool:
        """Return whether a whole block is expected to fit."""
        return sum(map(self._expected, self.due(block))) <= self._share.left()

    def going_on(self, block: int) -> list[str]:
        """Return which cells go on: the first ones, as many as fit with the blocks that each is to have at least."""
        left, found = self._share.left(), list[str]()
        if self._comparison.anchor is not None:
            left -= max(0, min(LEAST_BLOCKS, self._comparison.blocks) - block) * self._expected(ANCHOR)
        for cell in self.trials:
            owed = self._owed(cell, block)
            left -= len(owed) * self._expected(cell)
            if not owed or left >= 0 or cell in self._core:
                found.append(cell)
        due = self.due(block)
        waiting = [cell for cell in found if cell in due]
        # The anchor's trial is kept: without it the others are tied to nothing.
        while waiting and not self._share.has_room(len(waiting) + (ANCHOR in due)):
            found.remove(waiting.pop())
        return found

    def ready(self, block: int) -> dict[str, Trial]:
        """Return what may be run next in a block, by what is known now: trials of cells that go on, the anchor's."""
        going_on = self.going_on(block)
        return {
            cell: trial for cell, trial in self.due(block).items() if cell in going_on or (cell == ANCHOR and going_on)
        }

    def limit(self, cell: str, block: int) -> float | None:
        """Return the wall seconds that the next trial, one of ``cell``, may take; None is no limit.

        An even share of what is left for this block and all that is owed, or more, where the others need less.
        """
        ready = self.ready(block)
        later = [name for name in self.going_on(block) for b in self._owed(name, block) if b > block]
        if not self._share.has_room(len(ready) + len(later)):
            later = []
        others = sum(map(self._expected, [*ready, *later])) - self._expected(cell)
        return self._share.limit(len(ready) + len(later), others)

    def _owed(self, cell: str, block: int) -> list[int]:
        """Return the blocks, from this one on, that a cell is to have at least and has not had."""
        owed = range(block, least_blocks(self._comparison, cell))
        return [b for b in owed if self._is_planned(cell, b) and (cell, b) not in self._ran]

    def _expected(self, cell: str) -> float:
        if cell == ANCHOR:
            assert self._comparison.anchor is not None
            return self._pace.of(self._comparison.name, cell, self._comparison.anchor)
        return self._pace.by_what_was_seen(self._comparison.name, cell, self.trials[cell])
