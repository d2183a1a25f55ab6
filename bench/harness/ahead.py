"""What is still ahead of a run, and how far it has come, in words."""

from collections.abc import Iterable

from paceline.bench.harness.budget import Budget
from paceline.bench.harness.comparison import Comparison
from paceline.bench.records.record import Record


class Ahead:
    """The comparisons that are not yet at their end, and how many trials each cell of theirs has still to come."""

    def __init__(self, comparisons: Iterable[Comparison], done: Iterable[Record] = ()) -> None:
        """Begin with all trials of ``comparisons`` but those that are ``done``."""
        self._comparisons = {comparison.name: comparison for comparison in comparisons}
        self._trials = {
            (comparison.name, name): trial
            for comparison in self._comparisons.values()
            for name, (trial, _) in comparison.trials().items()
        }
        self._left = {
            (comparison.name, name): count
            for comparison in self._comparisons.values()
            for name, (_, count) in comparison.trials().items()
        }
        self._finished = 0
        for record in done:
            self._count_down(record.comparison, record.search or record.cell)

    def _count_down(self, comparison: str, cell: str) -> None:
        if (comparison, cell) in self._left:
            self._left[comparison, cell] = max(0, self._left[comparison, cell] - 1)

    def finished(self, comparison: str, cell: str) -> None:
        """Take note that a trial of ``cell``, or of its search, has ended."""
        self._finished += 1
        self._count_down(comparison, cell)

    def leave_out(self, comparison: Comparison, cell: str) -> None:
        """Take note that ``cell`` gets no further trials."""
        self._left.pop((comparison.name, cell), None)

    def end(self, comparison: Comparison) -> None:
        """Take note that ``comparison`` has had all the trials it gets."""
        for cell in comparison.trials():
            self.leave_out(comparison, cell)
        del self._comparisons[comparison.name]

    def after(self, comparison: Comparison) -> list[Comparison]:
        """Return the others that are still to be run."""
        return [other for name, other in self._comparisons.items() if name != comparison.name]

    def trials(self) -> int:
        """Return how many trials are still to come."""
        return sum(self._left.values())

    def need(self, budget: Budget) -> float:
        """Return what they are expected to take, in wall seconds."""
        return sum(
            count * budget.pace.of(comparison, cell, self._trials[comparison, cell])
            for (comparison, cell), count in self._left.items()
        )

    def in_words(self, budget: Budget) -> str:
        """Return "[12/66, 1:05 left]": trials that have ended, of all, and the time that the others may take."""
        left = min(self.need(budget), max(0.0, budget.left()))
        return f"[{self._finished}/{self._finished + self.trials()}, {left // 60:.0f}:{left % 60:02.0f} left]"


def outcome(record: Record, to_target: bool = True) -> str:
    """Return how a trial ended, in a few words; one that was not run to the target cannot have missed it."""
    if not record.curve["step"]:
        return f"{record.status} ({record.reason})"
    seconds, steps = record.curve["seconds"][-1], record.curve["step"][-1]
    score = record.curve["score"][-1]
    text = f"{steps} steps in {seconds:.2f} s" + ("" if score is None else f", score {score:.4g}")
    if record.status not in ("reached", "missed", "plateaued"):
        return f"{record.status} after {text} ({record.reason})"
    return f"{record.status}: {text}" if to_target else text
