"""Loading samples: what more processes that read them bring, and how many are enough."""

import re
from dataclasses import dataclass, replace

from paceline.bench.analysis.best_of import BestOf, best_of
from paceline.bench.analysis.cells import Cell, cells_of
from paceline.bench.analysis.families import together
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, speedup
from paceline.bench.analysis.statistics import MARGIN, Interval, median_interval

COMPARISON = "loading"

NAME = re.compile(r"-workers(\d+)-B\d+$")


@dataclass(frozen=True)
class Loaded:
    """A cell: so many workers at a batch size.

    Attributes:
        cell: which.
        workers: processes that read samples; 0 is the trial's own.
        waiting: share of the training seconds spent waiting for samples.
        memory: bytes of all processes at the end, a page that several share counted in parts.
        gain: throughput over that without workers; None of that itself, and where it was not measured.
    """

    cell: Cell
    workers: int
    waiting: Interval
    memory: Interval
    gain: Pair | None

    @property
    def oversubscribed(self) -> bool:
        """Whether there are more workers than cores."""
        return self.workers > int(self.cell["cores"])


def loads(results: Results) -> list[Loaded]:
    """Return what was measured, by workload, batch size and number of workers; gains stand among all of them."""
    found = [(cell, int(match[1])) for cell in cells_of(results, COMPARISON) if (match := NAME.search(cell["cell"]))]
    found.sort(key=lambda one: (one[0]["workload"], _size(one[0]), one[1]))
    without = {_series(cell): cell for cell, workers in found if not workers}
    rows = [_loaded(results, cell, workers, without.get(_series(cell))) for cell, workers in found]
    verdicts = iter(together([one.gain for one in rows if one.gain is not None]))
    return [one if one.gain is None else replace(one, gain=next(verdicts)) for one in rows]


def _loaded(results: Results, cell: Cell, workers: int, base: Cell | None) -> Loaded:
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    trials = trials[(trials["cell"] == cell["cell"]) & (trials["environment"] == cell["environment"])]
    seeds = trials["seed"].tolist()
    waiting = (trials["data_wait_seconds"] / trials["train_seconds"]).tolist()
    return Loaded(
        cell,
        workers,
        median_interval(waiting, positive=False, seeds=seeds),
        median_interval(trials["family_bytes"].tolist(), seeds=seeds),
        speedup(results, cell, base) if workers and base is not None else None,
    )


def _size(cell: Cell) -> int:
    return int(str(cell["cell"]).rpartition("-B")[2])


def _series(cell: Cell) -> tuple[str, int, str]:
    return cell["workload"], _size(cell), cell["environment"]


@dataclass(frozen=True)
class Enough:
    """How many workers are enough at one batch size, of those that have cores.

    Attributes:
        workload: its name.
        batch_size: samples a step.
        fewest: the smallest number that none is resolved to beat.
        beyond: larger numbers that may be faster than that by more than the margin, and are not resolved to be.
        best: how the others compare with it.
        shared: numbers beyond the cores.
    """

    workload: str
    batch_size: int
    fewest: Loaded
    beyond: tuple[Loaded, ...]
    best: BestOf
    shared: tuple[Loaded, ...]


def enough(results: Results) -> list[Enough]:
    """Return, for each workload and batch size, how many workers are enough."""
    series: dict[tuple[str, int, str], list[Loaded]] = {}
    for one in loads(results):
        series.setdefault(_series(one.cell), []).append(one)
    return [_enough(results, own) for own in series.values() if sum(not one.oversubscribed for one in own) > 1]


def _enough(results: Results, own: list[Loaded]) -> Enough:
    candidates = [one for one in own if not one.oversubscribed]
    best = best_of(results, [one.cell for one in candidates], "seconds_per_step")
    of_cell = {one.cell["cell"]: one for one in candidates}
    fewest = of_cell[best.cell["cell"]]
    maybe = [
        of_cell[cell["cell"]]
        for cell, found in best.others
        if found.verdict == "undecided" and found.comparison.ratio < 1 / (1 + MARGIN)
    ]
    beyond = tuple(one for one in maybe if one.workers > fewest.workers)
    shared = tuple(one for one in own if one.oversubscribed)
    return Enough(fewest.cell["workload"], _size(fewest.cell), fewest, beyond, best, shared)
