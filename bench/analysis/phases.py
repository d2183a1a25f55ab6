"""Where a step's time goes: the share of each phase, and whether one is the largest."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from paceline.bench.analysis.cells import Cell, cells_of, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import ERROR, Interval, mean_interval, median_interval
from paceline.bench.records.record import PHASES, Record

COMPARISON = "phases"


@dataclass(frozen=True)
class Breakdown:
    """A cell's step.

    Attributes:
        cell: which.
        trials: a row a trial, with the share of each of ``PHASES``, ``step_seconds`` of a profiled step and ``seed``.
    """

    cell: Cell
    trials: pd.DataFrame

    def share(self, phase: str) -> float:
        """Return the mean share of a phase: those of all phases add up to 1."""
        return float(self.trials[phase].mean())

    def interval(self, phase: str) -> Interval:
        """Return the same with its interval."""
        return mean_interval(self.trials[phase].tolist(), self.trials["seed"].tolist())

    @property
    def step_seconds(self) -> Interval:
        """What a profiled step takes."""
        return median_interval(self.trials["step_seconds"].tolist(), seeds=self.trials["seed"].tolist())

    def lead(self, phase: str, error: float = ERROR) -> Interval:
        """Return by how much of a step ``phase`` is more than the largest of the others, trial by trial."""
        others = self.trials[[name for name in PHASES if name != phase]].max(axis=1)
        return mean_interval((self.trials[phase] - others).tolist(), self.trials["seed"].tolist(), error)

    @property
    def largest(self) -> str:
        """The phase that takes most; "" where none is resolved to."""
        first = max(PHASES, key=self.share)
        return first if self.lead(first).low > 0 else ""


def breakdowns(results: Results) -> list[Breakdown]:
    """Return what was measured, by workload and cell."""
    seen: dict[tuple[str, str], list[dict[str, float]]] = {}
    for record in results.records:
        if record.comparison == COMPARISON and (shares := _shares(record)) is not None:
            seen.setdefault((record.cell, record.environment), []).append(shares | {"seed": record.seed})
    cells = in_order(cells_of(results, COMPARISON), "workload", "cell")
    places = [(cell, seen.get((cell["cell"], cell["environment"]))) for cell in cells]
    return [Breakdown(cell, pd.DataFrame(rows)) for cell, rows in places if rows]


def _shares(record: Record) -> dict[str, float] | None:
    """Return the share of each phase in a profiled step, over all ranks, and what such a step took."""
    ranks = [rank for rank in record.ranks if rank.get("phase_steps")]
    if not ranks or len(ranks) < record.world_size:
        return None
    spent = {phase: sum(rank["phase_seconds"][phase] for rank in ranks) for phase in PHASES}
    total = sum(spent.values())
    step = float(np.mean([rank["phase_wall_seconds"] / rank["phase_steps"] for rank in ranks]))
    return {phase: seconds / total for phase, seconds in spent.items()} | {"step_seconds": step}
