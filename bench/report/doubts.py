"""What makes a reader doubt that a target was really reached when it was first crossed."""

from collections.abc import Iterable, Sequence

from paceline.bench.analysis.cells import Cell, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.time_to_target import Crossing, first_hit, lucky
from paceline.bench.records.record import Record


def flag(own: Crossing, before: Sequence[str]) -> str:
    """Return what makes a reader doubt the first crossing; empty where nothing does.

    Args:
        own: of a cell.
        before: the cells that it reaches the target before, yet scores worse than at equal seconds.
    """
    flags = [_luck(own.records)]
    if before:
        flags.append(f"reaches the target before {', '.join(before)}, but scores less at equal seconds")
    return "; ".join(filter(None, flags))


def _luck(records: Iterable[Record]) -> str:
    hits = [record for record in records if first_hit(record) is not None]
    by_luck = sum(map(lucky, hits))
    if not hits or 2 * by_luck < len(hits):
        return ""
    return f"lucky crossing? {by_luck} of {len(hits)} hits stand out of a level below the target"


def doubts(results: Results, cells: Iterable[Cell]) -> str:
    """Return a sentence for each of ``cells`` whose time to the target may be luck; or ""."""
    said = []
    for cell in cells:
        key = cell["comparison"], cell["cell"], cell["environment"]
        own = [r for r in results.records if (r.comparison, r.cell, r.environment) == key and r.score_along]
        if why := _luck(own):
            said.append(f"Beware of {name_of(cell)}: {why}.")
    return " ".join(said)
