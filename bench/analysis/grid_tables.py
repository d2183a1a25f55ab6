"""The tables of exhaustive grids in ``results/regret``, and what it takes and costs to train in each of their cells.

A run's steps are known for every batch size, rate and seed; a step's seconds for every batch size, precision and number
of threads. Seconds are their product.
"""

import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from paceline.bench.analysis.advising import Outcome, Space
from paceline.bench.analysis.noise_scale import unbiased

SEEDS = (0, 1, 2)  # of the grid, on which advisors search
AGAIN, JUDGING = range(100, 110), range(200, 210)  # fresh ones: the best compete on those, regret is measured on these
MISSED_COUNTS = 2.0  # times what it was given: what a run that missed the target, or diverged, is taken to have needed
# A way to make a step that takes more than so many times what the fastest does is clearly slower.
SLOWER = 1.1

Cell = tuple[int, float]
Way = tuple[str, int]  # precision and threads: how a step is made


@dataclass(frozen=True)
class GridTable:
    """All that is known of one workload.

    Attributes:
        name: of the workload.
        held_out: whether advisors were frozen before it was run.
        optimizer: what it is called.
        batch_sizes, rates: of the grid, rising.
        samples: of the training set; None of a stream.
        most: what a run may cost, in samples, a step counting ``overhead`` samples more than it has.
        spacing: evaluations are so far apart.
        runs: what came of each, by batch size, rate and seed.
        seconds_per_step: by batch size, precision and threads.
        noise: of the gradient along one run.
        higher_is_better: whether a higher score is a better one.
    """

    name: str
    held_out: bool
    optimizer: str
    batch_sizes: tuple[int, ...]
    rates: tuple[float, ...]
    samples: int | None
    most: float
    overhead: float
    spacing: float
    runs: Mapping[tuple[int, float, int], Mapping[str, Any]]
    seconds_per_step: Mapping[tuple[int, str, int], float]
    noise: Mapping[str, Sequence[Any]]
    higher_is_better: bool

    @property
    def cells(self) -> list[Cell]:
        """Every batch size with every rate."""
        return [(size, lr) for size in self.batch_sizes for lr in self.rates]

    @cached_property
    def ways(self) -> list[Way]:
        """Every way to make a step that was timed at all batch sizes: in some a step may not work."""
        timed = self.seconds_per_step
        ways = sorted({(dtype, threads) for _, dtype, threads in timed})
        return [way for way in ways if all((size, *way) in timed for size in self.batch_sizes)]

    @cached_property
    def fastest(self) -> dict[int, float]:
        """Seconds of a step by batch size, made in the fastest way."""
        return {size: min(self.seconds_per_step[size, *way] for way in self.ways) for size in self.batch_sizes}

    @cached_property
    def kept(self) -> list[Way]:
        """The ways that a search times at every batch size: those not clearly slower at the smallest or the largest."""
        ends = self.batch_sizes[0], self.batch_sizes[-1]
        per_step = self.seconds_per_step
        return [way for way in self.ways if any(per_step[at, *way] <= SLOWER * self.fastest[at] for at in ends)]

    @cached_property
    def timed(self) -> dict[int, float]:
        """Seconds of a step by batch size, made in the fastest way that a search knows of."""
        return {size: min(self.seconds_per_step[size, *way] for way in self.kept) for size in self.batch_sizes}

    def space(self, first: Cell | None = None) -> Space:
        """Return what an advisor may choose from."""
        return Space(self.batch_sizes, self.rates, self.timed, first)

    def outcome(self, size: int, lr: float, seed: int, most_steps: float = math.inf) -> Outcome:
        """Return how a run goes that is stopped after so many steps."""
        run = self.runs[size, lr, seed]
        needed = steps_of(run)
        if run["status"] == "reached" and needed <= most_steps:
            return Outcome(size, lr, seed, needed, True)
        if run["status"] == "diverged" and run["steps"] <= most_steps:
            return Outcome(size, lr, seed, float(run["steps"]), False, ended=True)
        return Outcome(size, lr, seed, min(most_steps, float(run["steps"])), False)

    def steps(self, cell: Cell, seeds: Sequence[int]) -> float:
        """Return the mean steps to target over ``seeds``, a run that missed it counting twice what it was given."""
        return fmean(self._needed(cell, seed) for seed in seeds)

    def _needed(self, cell: Cell, seed: int) -> float:
        run = self.runs[*cell, seed]
        return steps_of(run) if run["status"] == "reached" else MISSED_COUNTS * self.most / (self.overhead + cell[0])

    def seconds(self, cell: Cell, seeds: Sequence[int]) -> float:
        """Return the mean seconds to target over ``seeds``, each step made in the fastest way."""
        return self.steps(cell, seeds) * self.fastest[cell[0]]

    def has(self, cell: Cell, seeds: Sequence[int]) -> bool:
        """Return whether a cell was run on all of ``seeds``."""
        return all((*cell, seed) in self.runs for seed in seeds)

    @cached_property
    def cost(self) -> float:
        """Seconds of one exhaustive search: every cell in every way on one seed, to its end or its bound."""
        return math.fsum(
            self.runs[size, lr, SEEDS[0]]["steps"] * self.seconds_per_step[size, *way]
            for size, lr in self.cells
            for way in self.ways
        )

    def scores(self, cell: Cell, seed: int) -> list[tuple[int, float]]:
        """Return after which steps a run was scored, and the scores; larger is better, and none is minus infinity."""
        found = self.runs[*cell, seed]["scores"]
        sign = 1.0 if self.higher_is_better else -1.0
        return [
            (step, -math.inf if score is None else sign * score)
            for step, score in zip(evaluations(self.spacing), found, strict=False)
        ]

    @cached_property
    def noise_scale(self) -> float:
        """The gradient noise scale, a mean over the steps of the run along which it was observed; NaN where it was not.

        It grows along the way, so each look stands for the steps since the one before.
        """
        scales, weights, before = list[float](), list[int](), 0
        for look, step in enumerate(self.noise.get("step", ())):
            trace, square = unbiased(
                self.noise["small_batch"][look],
                self.noise["small_squares"][look],
                self.noise["big_batch"][look],
                self.noise["big_squares"][look],
                self.samples or math.inf,
            )
            if trace.mean() > 0 and square.mean() > 0:
                scales.append(trace.mean() / square.mean())
                weights.append(step - before)
            before = step
        return float(np.average(scales, weights=weights)) if scales else math.nan


def steps_of(run: Mapping[str, Any]) -> float:
    """Return the middle of the steps after which the target may have been reached: exact where each one was scored."""
    return float(run["missed"] + 1 + run["steps"]) / 2


def evaluations(spacing: float) -> Iterator[int]:
    """Yield after which steps a run was scored."""
    step = 1
    while True:
        yield step
        step = max(step + 1, math.ceil(spacing * step))


def load_tables(folder: Path) -> list[GridTable]:
    """Return the tables of ``folder`` that are complete and timed, in order of their names.

    Raises:
        FileNotFoundError: if there are no step times; one line.
    """
    times = folder / "step_times.csv"
    if not times.exists():
        raise FileNotFoundError(f"{times} is missing: run 'python -m paceline.bench.regret time'")
    by_step = pd.read_csv(times).groupby(["workload", "batch_size", "dtype", "threads"])["seconds_per_step"]
    medians = by_step.median().dropna()
    found = []
    for file in sorted(folder.glob("*.jsonl.gz")):
        first, *lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
        name = first["grid"]["workload"]
        seconds = {} if name not in medians.index else medians.loc[name].to_dict()
        table = table_of(first, lines, seconds)
        if seconds and all(table.has(cell, SEEDS) for cell in table.cells):
            found.append(table)
    return found


def table_of(
    first: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], seconds: Mapping[tuple[int, str, int], float]
) -> GridTable:
    """Return the table of a file's first line, its other lines, and the seconds of a step."""
    grid = first["grid"]
    return GridTable(
        name=grid["workload"],
        held_out=first.get("held_out", False),  # the first files of those for development do not say
        optimizer=grid["optimizer"]["name"],
        batch_sizes=tuple(grid["batch_sizes"]),
        rates=tuple(grid["rates"]),
        samples=first["samples"],
        most=first["most"],
        overhead=grid["overhead"],
        spacing=grid["spacing"],
        runs={(line["batch_size"], line["lr"], line["seed"]): line for line in lines},
        seconds_per_step=seconds,
        noise=first["noise"],
        higher_is_better=grid["higher_is_better"],
    )
