"""Which records count: of a trial that was repeated, and of a strategy that solves another problem."""

from collections.abc import Iterable, Mapping
from typing import Any

from paceline.bench.records.record import Record


def those_that_count(records: Iterable[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """Return the records that count, and those whose trial was repeated: the last repeat counts, however it ended.

    Which counts is settled before it runs: to choose between the two by their results would favour one.
    """
    everything = tuple(records)
    last: dict[tuple[Any, ...], int] = {}
    for record in everything:
        last[_place(record)] = max(record.repeat, last.get(_place(record), 0))
    counting = tuple(record for record in everything if record.repeat == last[_place(record)])
    return counting, tuple(record for record in everything if record.repeat < last[_place(record)])


def _place(record: Record) -> tuple[Any, ...]:
    return record.environment, record.suite, record.comparison, record.cell, record.seed, record.block


def another_problem(found: Mapping[str, Any]) -> str:
    """Return what one finding of ``harness.equivalence.gate`` says against a strategy, to be read after its name."""
    if found["passed"]:
        return ""
    if found["gap"] is None:  # a check that could not be made proves no difference, and no sameness either
        return f"is not shown to solve the same problem: {found['reason']}"
    return f"solves another problem: {found['reason']}"
