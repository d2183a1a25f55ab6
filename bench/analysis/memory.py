"""Under a limit of memory: who went on, and whether what they took grew with the samples they had seen."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from paceline.bench.analysis.cells import Cell, cells_of, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import ERROR, MARGIN, Interval, mean_interval, p_value
from paceline.bench.records.over_ranks import total
from paceline.bench.records.record import WITH_RESULT, Record

# Memory is read where so many samples have been seen, and its slope taken from a tenth of the way on: before that the
# allocator has not met all that a step asks for.
SEEN = (10_000, 100_000, 1_000_000)
FROM = 0.1

FlatVerdict = Literal["flat", "grows", "undecided"]


@dataclass(frozen=True)
class OutOfCore:
    """How the trials of a cell fared under a limit.

    Attributes:
        cell: which.
        limit: bytes of private memory that each might take beside the samples.
        went_on: trials that came to a result; the others have a ``reason``.
        trials: all of them.
        reason: why the first of the others ended, with its status; "".
        samples: that were seen, in the median.
        at: private memory in place when so many samples (``SEEN``) had been seen, in bytes; NaN where fewer were.
        slope: bytes by which private memory grew with each sample; the mean over seeds.
        floor: a slope below this is none: 5 % of what a sample itself takes.
        judged: the verdict on it, at another error rate than 5 %.
    """

    cell: Cell
    limit: int
    went_on: int
    trials: int
    reason: str
    samples: float
    at: dict[int, Interval]
    slope: Interval
    floor: float
    judged: Callable[[float], FlatVerdict] = field(repr=False, compare=False)

    @property
    def verdict(self) -> FlatVerdict:
        """Whether memory stayed flat: undecided below three seeds, and where nothing was measured."""
        return self.judged(ERROR)

    @property
    def p(self) -> float:
        """The smallest error rate at which the verdict falls; 1 if undecided."""
        return p_value(self.judged)


def out_of_core(results: Results) -> list[OutOfCore]:
    """Return how each strategy fared under its limit, by workload."""
    return [_found(results, cell) for cell in in_order(cells_of(results, "memory"), "workload", "cell")]


def _found(results: Results, cell: Cell) -> OutOfCore:
    records = [r for r in results.records if (r.comparison, r.cell) == ("memory", cell["cell"]) and not r.search]
    on = [record for record in records if record.status in WITH_RESULT and record.memory.get("samples")]
    lost = next((record for record in records if record.status not in WITH_RESULT), None)
    seeds = [record.seed for record in on]
    floor = MARGIN * float(np.median([total(record, "sample_bytes") for record in on])) if on else math.nan
    slopes = [slope(record) for record in on]

    def judged(error: float) -> FlatVerdict:
        found = mean_interval(slopes, seeds, error)
        return "flat" if found.high < floor else "grows" if found.low > floor else "undecided"

    return OutOfCore(
        cell,
        next((record.memory_limit_bytes or 0 for record in records), 0),
        len(on),
        len(records),
        "" if lost is None else f"{lost.status}: {lost.reason}",
        float(np.median([record.memory["samples"][-1] for record in on])) if on else math.nan,
        {count: mean_interval([private_at(record, count) for record in on], seeds) for count in SEEN},
        mean_interval(slopes, seeds),
        floor,
        judged,
    )


def private_at(record: Record, samples: int) -> float:
    """Return the most private memory that was seen until ``samples`` had been, in bytes; NaN where they were fewer."""
    seen, taken = (np.asarray(record.memory[name], float) for name in ("samples", "private_bytes"))
    return float(np.nanmax(taken[seen <= samples])) if seen[-1] >= samples and (seen <= samples).any() else math.nan


def slope(record: Record) -> float:
    """Return by how many bytes private memory grew with each sample: the line of least squares."""
    seen, taken = (np.asarray(record.memory[name], float) for name in ("samples", "private_bytes"))
    late = (seen >= FROM * seen[-1]) & ~np.isnan(taken)
    return float(np.polyfit(seen[late], taken[late], 1)[0]) if late.sum() >= 3 else math.nan
