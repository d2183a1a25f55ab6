"""Cells of a comparison, and pairs of them: which are compared, and how each pair came out, block by block."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from paceline.bench.analysis.frames import Results, summary
from paceline.bench.analysis.sequential import compare_anytime
from paceline.bench.analysis.statistics import SPENT, Comparison, Selection, compare, log_ratios, median_interval
from paceline.bench.report.wording import ratio, times, with_interval

Cell = Mapping[str, Any]  # a row of ``analysis.frames.summary``


def cells_of(results: Results, comparison: str) -> list[dict[str, Any]]:
    """Return the cells of one comparison with their medians, in the order in which they first ran."""
    trials = results.trials[(results.trials["comparison"] == comparison) & (results.trials["search"] == "")]
    if trials.empty:
        return []
    key = ["comparison", "cell", "environment"]
    facts = trials[[*key, "parameters", "cores"]].groupby(key, as_index=False).first()
    rows = summary(trials).merge(facts, on=key).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def by_workload(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Return ``cells`` by the name of their workload."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell["workload"], []).append(cell)
    return found


def name_of(cell: Cell) -> str:
    """Return what a cell is called within its workload: "MiniBatch", "MiniBatch-B64"."""
    return str(cell["cell"]).removeprefix(f"{cell['workload']}-")


def in_order(cells: Iterable[Cell], *columns: str) -> list[Cell]:
    """Return ``cells`` sorted by ``columns``; blocks run them in random order."""
    return sorted(cells, key=lambda cell: tuple(cell[column] for column in columns))


def find(cells: Iterable[Cell], name: str) -> Cell | None:
    """Return the cell of that name, if it was measured."""
    return next((cell for cell in cells if name_of(cell) == name), None)


def median_of(cell: Cell, metric: str, unit: str = "", scale: float = 1.0) -> str:
    """Return a cell's median of ``metric`` with its interval, multiplied by ``scale`` to be in ``unit``."""
    if metric in SPENT and not cell["n_reached"]:
        return "not reached"
    if math.isinf(cell[metric]):
        return "not reached in half of the trials"
    low, high, n = (cell[f"{metric}_{part}"] for part in ("low", "high", "n"))
    return with_interval(cell[metric], low, high, n, unit, scale)


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

    @property
    def ratio(self) -> str:
        """The ratio with its interval, and whether it is a bound, as in a table."""
        return f"{self.bound} {ratio(self.comparison)}".strip()

    @property
    def times(self) -> str:
        """The same, as it reads within a sentence."""
        return f"{self.bound} {times(self.comparison)}".strip()


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


# The pairs of precision, and of scaling


def precision_pairs(results: Results) -> list[tuple[Cell, Cell]]:
    """Return (autocast, float32) cells that differ in nothing else, by size of the model, then batch size."""
    found: dict[tuple[str, float], dict[str, Cell]] = {}
    for cell in in_order(cells_of(results, "precision"), "parameters", "workload", "batch_size"):
        found.setdefault((cell["workload"], cell["batch_size"]), {})[cell["trainer"]] = cell
    complete = [cells for cells in found.values() if {"Amp", "MiniBatch"} <= set(cells)]
    return [(cells["Amp"], cells["MiniBatch"]) for cells in complete]


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
    interval = median_interval(difference.tolist(), positive=False)
    return interval.median, interval.low, interval.high, interval.n


@dataclass(frozen=True)
class Scaling:
    """One number of ranks against one rank, in throughput.

    Attributes:
        kind: "one", "strong" (the global batch is held) or "weak" (each rank's batch is held).
        cell: the measured cell.
        speedup: throughput over that of one rank; None for one rank itself, and where ranks share cores.
    """

    kind: str
    cell: Cell
    speedup: Comparison | None

    @property
    def efficiency(self) -> Comparison | None:
        """Speed-up over the number of ranks."""
        if self.speedup is None:
            return None
        ranks = self.cell["world_size"]
        value, low, high = (x / ranks for x in (self.speedup.ratio, self.speedup.low, self.speedup.high))
        return replace(self.speedup, ratio=value, low=low, high=high)


def scalings(results: Results, workload: str | None = None) -> list[Scaling]:
    """Return the scaling measurements, those that begin a series first, then by kind and ranks."""
    found = []
    for name, cells in by_workload(in_order(cells_of(results, "scaling"), "workload", "world_size")).items():
        base = next((cell for cell in cells if cell["world_size"] == 1), None)
        if base is None or (workload is not None and name != workload):
            continue
        found.append(Scaling("one", base, None))
        for kind in ("strong", "weak"):
            for cell in cells:
                batch = base["batch_size"] * (1 if kind == "strong" else cell["world_size"])
                if cell["world_size"] > 1 and cell["batch_size"] == batch:
                    speedup = None
                    if not cell["oversubscribed"]:
                        speedup = pair(results, cell, base, "samples_per_second").comparison
                    found.append(Scaling(kind, cell, speedup))
    return found
