"""Pairs of cells: how each came out against the other, block by block."""

import math
from dataclasses import dataclass, replace

import numpy as np

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.sequential import compare_anytime
from paceline.bench.analysis.statistics import Comparison, Selection, compare, log_ratios, median_interval


@dataclass(frozen=True)
class Pair:
    """How cell ``a`` compares with ``b``, block by block.

    Attributes:
        comparison: ratio a / b with interval and verdict.
        bound: "at least" where trials that missed the target leave the ratio open above, "at most" where
            they leave it open below; otherwise empty.
    """

    comparison: Comparison
    bound: str = ""

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
    looked_at_often = bool(results.environment.get("until_decided"))
    return (compare_anytime if looked_at_often else compare)(results.trials, a, b, metric)


def pair(results: Results, a: Cell, b: Cell, metric: str) -> Pair:
    """Compare two cells in ``metric``; what a trial that missed the target says of it: see ``compare``."""
    select_a, select_b = ({"comparison": cell["comparison"], "cell": cell["cell"]} for cell in (a, b))
    found = compared(results, select_a, select_b, metric)
    lows, highs = log_ratios(results.trials, select_a, select_b, metric)
    # An end may be open for too few blocks as well: that is no bound.
    below, above = found.low == 0 and np.isneginf(lows).any(), math.isinf(found.high) and np.isposinf(highs).any()
    bounds = {(False, True): "at least", (True, False): "at most", (True, True): "both missed: about"}
    return Pair(found, bounds.get((bool(below), bool(above)), ""))


def speedup(results: Results, a: Cell, b: Cell) -> Pair:
    """Return how many times the throughput of ``b`` that of ``a`` is; "faster" where it is more."""
    found = pair(results, a, b, "samples_per_second").comparison
    if found.verdict in ("more", "less"):
        found = replace(found, verdict="faster" if found.verdict == "more" else "slower")
    return Pair(found)


def score_difference(results: Results, a: Cell, b: Cell) -> tuple[float, float, float, int]:
    """Return median, interval and n of how much better ``a`` scored at its end than ``b``, block by block."""
    higher = {record.cell: record.higher_is_better for record in results.records}[a["cell"]]
    trials = results.trials[results.trials["comparison"] == a["comparison"]].set_index(["seed", "block"])
    score_a, score_b = (trials.loc[trials["cell"] == cell["cell"], "final_score"] for cell in (a, b))
    difference = (score_a - score_b).dropna() * (1 if higher else -1)
    # Blocks are added by what trials take, not by their scores: looking often does not favour any score.
    seeds = difference.index.get_level_values("seed").tolist()
    interval = median_interval(difference.tolist(), positive=False, seeds=seeds)
    return interval.median, interval.low, interval.high, interval.n
