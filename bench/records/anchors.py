"""The anchor: one and the same cell in every block of every comparison, told apart from what is compared."""

from collections.abc import Iterable

from paceline.bench.records.record import Record

# What its cell is called: in the blocks, and while learning rates are searched, where its block is the search's turn.
ANCHOR, ANCHOR_OF_SEARCHES = "anchor", "anchor-search"

ANCHORS = (ANCHOR, ANCHOR_OF_SEARCHES)


def is_anchor(record: Record) -> bool:
    """Return whether ``record`` is of an anchor. Other cells are called after their workload and their strategy."""
    return record.cell in ANCHORS


def apart(records: Iterable[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return the records of what is compared, and those of anchors."""
    everything = tuple(records)
    return tuple(r for r in everything if not is_anchor(r)), tuple(r for r in everything if is_anchor(r))
