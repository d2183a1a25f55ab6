"""What a run that is gone on with holds already: which trials are not run again, and which are for the second time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from paceline.bench.records.record import Record

# By comparison, cell and block: where a trial stands.
Place = tuple[str, str, int]


def place_of(record: Record) -> Place:
    """Return where a finished trial stands."""
    return record.comparison, record.cell, record.block


@dataclass
class Held:
    """The trials of the run that is continued.

    Attributes:
        done: those that are not run again.
        superseded: how often those were repeated that do not count.
        repeated: which of these are run again because they were disturbed, and so not a third time.
    """

    done: dict[Place, Record] = field(default_factory=dict)
    superseded: dict[Place, int] = field(default_factory=dict)
    repeated: set[Place] = field(default_factory=set)

    @classmethod
    def of(cls, found: Iterable[Record]) -> "Held":
        """Return what a run holds whose records that count are ``found``: one cut short for want of time is none."""
        held = cls()
        for record in found:
            if record.cut_short:
                held.superseded[place_of(record)] = record.repeat
            else:
                held.done[place_of(record)] = record
        return held

    def repeat(self, disturbed: Iterable[Record]) -> None:
        """Have the ``disturbed`` ones run again."""
        for record in disturbed:
            del self.done[place_of(record)]
            self.superseded[place_of(record)] = record.repeat
            self.repeated.add(place_of(record))

    def repeats_before(self, place: Place) -> int:
        """Return how many times the trial at ``place`` was run that do not count."""
        return self.superseded.get(place, -1) + 1
