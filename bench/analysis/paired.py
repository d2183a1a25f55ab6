"""Pairs of cells: how each came out against the other, block by block."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.scores import score_gap
from paceline.bench.analysis.sequential import compare_anytime
from paceline.bench.analysis.statistics import MARGIN, Comparison, Selection, Verdict, compare, log_ratios, verdict_of
from paceline.bench.records.record import Record

# Resident memory is known no better: pages, and what the allocator keeps or takes anew. One cell's training memory came
# out 2.96, 3.02, 3.12 and 3.48 MB in four comparisons of one run, each time to within 1 %.
FLOOR = 1e6

RESIDENT = ("training_memory_bytes", "peak_rss_bytes", "peak_pss_bytes")


@dataclass(frozen=True)
class Pair:
    """How cell ``a`` compares with ``b``, block by block.

    Attributes:
        comparison: ratio a / b with interval and verdict.
        bound: "at least" where trials that missed the target leave the ratio open above, "at most" where
            they leave it open below; otherwise empty.
        floored: whether the difference is below what the measurement can tell: more blocks would not help.
    """

    comparison: Comparison
    bound: str = ""
    floored: bool = False

    @property
    def verdict(self) -> str:
        """The comparison's verdict."""
        return self.comparison.verdict


def compared(results: Results, a: Selection, b: Selection, metric: str) -> Comparison:
    """Compare two selections of a run's trials as its number of blocks demands: see ``paceline.bench.compare``.

    A run that added blocks until its verdicts fell was looked at after each. An interval for a number of blocks that
    was fixed beforehand would err more often than it says: one that holds at every look stands in its place.

    Raises:
        ValueError: see ``paceline.bench.compare``.
    """
    comparison = "" if isinstance(a, str) else str(a.get("comparison", ""))
    return (compare_anytime if looked_at_often(results, comparison) else compare)(results.trials, a, b, metric)


def looked_at_often(results: Results, comparison: str) -> bool:
    """Return whether blocks were added after verdicts could be seen, so that intervals must hold at every look.

    By ``--until-decided``, or by resuming with more blocks a comparison that was complete. To go on with one that was
    interrupted is no second look.
    """
    if results.environment.get("until_decided"):
        return True
    everything = (results.whole or results).records  # of which it was decided whether to go on
    records = [r for r in everything if r.comparison == comparison and not r.search]
    return any(
        _grew(records, datetime.fromisoformat(again["captured"]))
        for again in results.environment.get("resumed", [])
        if again.get("captured")
    )


def _grew(records: Sequence[Record], when: datetime) -> bool:
    """Return whether each cell had the same three blocks or more by then, and blocks were added afterwards."""
    blocks: dict[str, set[int]] = {record.cell: set() for record in records}
    for record in records:
        if datetime.fromisoformat(record.started) < when:
            blocks[record.cell].add(record.block)
    before = set().union(*blocks.values())
    complete = len(before) >= 3 and all(own == before for own in blocks.values())
    return complete and any(record.block not in before for record in records)


def pair(results: Results, a: Cell, b: Cell, metric: str) -> Pair:
    """Compare two cells in ``metric``; what a trial that missed the target says of it: see ``compare``."""
    select_a, select_b = ({"comparison": cell["comparison"], "cell": cell["cell"]} for cell in (a, b))
    found = compared(results, select_a, select_b, metric)
    lows, highs = log_ratios(results.trials, select_a, select_b, metric)
    # An end may be open for too few blocks as well: that is no bound.
    below, above = found.low == 0 and np.isneginf(lows).any(), math.isinf(found.high) and np.isposinf(highs).any()
    bounds = {(False, True): "at least", (True, False): "at most", (True, True): "both missed: about"}
    bound = bounds.get((bool(below), bool(above)), "")
    if metric in RESIDENT and a["device"] == "cpu" and b[metric] > 0:
        ranks = max(int(cell["world_size"]) for cell in (a, b))
        coarse = no_finer(found, FLOOR * ranks / b[metric], metric)
        return Pair(coarse, bound, found.verdict != "undecided" and coarse.verdict == "undecided")
    return Pair(found, bound)


def no_finer(found: Comparison, floor: float, metric: str) -> Comparison:
    """Return ``found`` with an interval that is wider by ``floor`` at either end, and the verdict that is left.

    What is off by as much in every block is not seen by comparing blocks.
    """
    ends = found.ends
    if math.isnan(found.low) or ends is None:
        return found

    def coarser(error: float) -> Verdict:
        low, high = ends(error)
        return verdict_of(low - floor, high + floor, MARGIN, metric)

    low, high = max(found.low - floor, 0.0), found.high + floor
    return replace(found, low=low, high=high, verdict=verdict_of(low, high, MARGIN, metric), judged=coarser)


def speedup(results: Results, a: Cell, b: Cell) -> Pair:
    """Return how many times the throughput of ``b`` that of ``a`` is; "faster" where it is more."""
    found = pair(results, a, b, "samples_per_second").comparison
    if found.verdict in ("more", "less"):
        found = replace(found, verdict="faster" if found.verdict == "more" else "slower")
    return Pair(found)


def score_difference(results: Results, a: Cell, b: Cell) -> tuple[float, float, float, int]:
    """Return median, interval and n of how much better ``a`` scored at its end than ``b``: see ``score_gap``."""
    found = score_gap(results, a, b).interval
    return found.median, found.low, found.high, found.n
