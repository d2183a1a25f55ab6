"""What makes a reader doubt that a target was really reached when it was first crossed."""

from collections.abc import Iterable, Sequence

from paceline.bench.analysis.cells import Cell, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.time_to_target import Crossing, crossings, first_hit


def flag(own: Crossing, before: Sequence[str]) -> str:
    """Return what makes a reader doubt the first crossing; empty where nothing does.

    Args:
        own: of a cell.
        before: the cells that it reaches the target before, yet scores worse than at equal seconds.
    """
    flags = [_luck(own)]
    if before:
        flags.append(f"reaches the target before {', '.join(before)}, but scores less at equal seconds")
    return "; ".join(filter(None, flags))


def _luck(own: Crossing) -> str:
    hits = sum(first_hit(record) is not None for record in own.records)
    if not hits or 2 * own.lucky < hits:
        return ""
    return f"lucky crossing? {own.lucky} of {hits} hits stand out of a level below the target"


def doubts(results: Results, cells: Iterable[Cell]) -> str:
    """Return a sentence for each of ``cells`` whose time to the target may be luck; or ""."""
    found = crossings(results)
    said = [(name_of(c), _luck(own)) for c in cells if (own := found.get((c["cell"], c["environment"]))) is not None]
    return " ".join(f"Beware of {name}: {why}." for name, why in said if why)
