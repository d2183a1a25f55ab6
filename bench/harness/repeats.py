"""Which trials are run once more, since they told of their surroundings rather than of their strategy."""

import itertools
from collections.abc import Iterable

from paceline.bench.records.anchors import is_anchor
from paceline.bench.records.contamination import contaminated, slow_limits, slowed
from paceline.bench.records.record import Record

# Of the planned trials, how many may be run again because their surroundings disturbed them; each once at most.
LARGEST_SHARE = 0.10


class Repeats:
    """Says whether a trial is to be run again: by its surroundings and the trials before it, never by its result."""

    def __init__(self, trials: int = 0, seen: Iterable[Record] = ()) -> None:
        """Begin a run of so many ``trials``, of which some were ``seen``, and some repeated, if it is continued."""
        self._seen = list(seen)
        made = sum(record.repeat > 0 for record in self._seen)
        self._left = max(0, int(LARGEST_SHARE * trials) - made)

    def saw(self, record: Record) -> str:
        """Take a trial in that has ended; return what disturbed it, "" if nothing that a repeat would help.

        An anchor is never repeated: what disturbed it is what it is there to tell.
        """
        limits = slow_limits(self._seen)
        self._seen.append(record)
        if self._left < 1 or is_anchor(record):
            return ""
        if contaminated(record):
            return "others used the cores"
        return "the machine was slower than before" if slowed(record, limits) else ""

    def owed(self, held: Iterable[Record]) -> list[Record]:
        """Return which ``held`` trials were disturbed and not repeated, as many as there are repeats left for.

        Searches apart: their rates are chosen, and ranked by what a disturbance leaves alone.
        """
        limits = slow_limits(self._seen)
        disturbed = (
            record
            for record in held
            if not (record.repeat or record.search or is_anchor(record))
            and (contaminated(record) or slowed(record, limits))
        )
        found = list(itertools.islice(disturbed, self._left))
        self._left -= len(found)
        return found

    def spend(self) -> None:
        """Take note that one trial is run again."""
        self._left -= 1
