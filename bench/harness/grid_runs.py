"""The runs that a table of exhaustive grids is made of: how many steps each cell needs to its target.

This counts steps and times nothing, so several runs share a process and a core. Each starts from its seed alone, by the
trainer, the ends of training and the geometric schedule of evaluations of any trial.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from paceline.bench.harness.ending import Ending
from paceline.bench.harness.rate_search import with_rate
from paceline.bench.harness.trial import Trial
from paceline.bench.harness.windows import SPACING
from paceline.bench.probes.noise_probe import NoiseProbe
from paceline.bench.workloads.data import Data
from paceline.bench.workloads.regret_grid import Grid
from paceline.trainers import MiniBatch
from paceline.trainers.task import Step, Steps

# What bounds a run is its cost: a step counts as so many samples more than it has, about what its overhead is worth on
# a CPU. So the bound needs no clock, and is the same on any machine.
OVERHEAD = 64
# A run may cost so many times what the cheapest of its grid does; without having reached the target it is censored.
TIMES = 30

# Of a search for the cheapest cell: the first bound, how fast it rises, and where it is given up.
FIRST, RISE, LAST = 1e3, 1.3, 1e8

CPU = torch.device("cpu")


def evaluations() -> Iterator[int]:
    """Yield after which steps a run is scored: after each one at first, then 3 % apart."""
    step = 1
    while True:
        yield step
        step = max(step + 1, math.ceil(SPACING * step))


@dataclass
class GridRun:
    """A run of one cell, that can be continued.

    Attributes:
        grid, data: what is trained.
        batch_size, lr, seed: the cell, and from what it starts.
        status: how it ended; "" while it has not.
        steps, samples: how many were made so far.
        missed: after how many steps the target was last missed.
        scores: those at each of ``evaluations()`` so far.
    """

    grid: Grid
    data: Data
    batch_size: int
    lr: float
    seed: int
    probe: NoiseProbe | None = None
    status: str = ""
    steps: int = 0
    samples: int = 0
    missed: int = 0
    scores: list[float] = field(default_factory=list)
    _training: Steps = field(init=False, repr=False)
    _ending: Ending = field(init=False, repr=False)
    _evaluations: Iterator[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin training."""
        trainer = with_rate(MiniBatch(self.grid.optimizer, self.batch_size), self.lr)
        task = self.grid.workload.task(self.data.train, self.seed, CPU)
        self._training, self._evaluations = trainer(task), evaluations()
        self._ending = Ending(Trial(self.grid.workload, trainer, self.seed))

    @property
    def cost(self) -> int:
        """What its steps cost, in samples."""
        return self.samples + OVERHEAD * self.steps

    def train(self, most: float) -> "GridRun":
        """Go on until the end, or the first evaluation that finds it to cost ``most`` or more; return itself."""
        while not self.status and self.cost < most:
            step = self._to_next_evaluation()
            loss = step.loss.item()
            score = self.grid.workload.evaluate(step.model, *self.data.validation)
            self.scores.append(score)
            ended = self._ending.after(self.steps, loss, score, "")
            self.status = ended[0] if ended else ""
            if not self.status:
                self.missed = self.steps
            if self.probe is not None:
                self.probe.look(self.steps, self.samples, step.model, last=bool(self.status))
        return self

    def _to_next_evaluation(self) -> Step:
        until = next(self._evaluations)
        while self.steps < until:
            step = next(self._training)
            self.steps += 1
            self.samples += step.samples
        return step

    def record(self) -> dict[str, Any]:
        """Return what is kept: the target was reached in (``missed``, ``steps``], or after more than ``steps``.

        Where no evaluation comes after the end, the curve's steps are those of ``evaluations()``.
        """
        return {
            "batch_size": self.batch_size,
            "lr": self.lr,
            "seed": self.seed,
            "status": self.status or "missed",
            "missed": self.missed,
            "steps": self.steps,
            "samples": self.samples,
            "scores": [float(f"{score:.4g}") if math.isfinite(score) else None for score in self.scores],
        }


def data_of(grid: Grid) -> Data:
    """Return a grid's samples.

    Raises:
        FileNotFoundError, ModuleNotFoundError: if they are not to be had; says how to get them.
    """
    return Data.of(grid.workload.data())


def cheapest(grid: Grid, data: Data, seed: int = 0) -> GridRun:
    """Return a run of the cell that reaches the target at the least cost: all are raised together until one does.

    Raises:
        ValueError: if none does; one line.
    """
    runs = [GridRun(grid, data, size, lr, seed) for size in grid.batch_sizes for lr in grid.rates]
    most = FIRST
    while most < LAST and any(not run.status for run in runs):
        reached = [run for run in runs if run.train(most).status == "reached"]
        if reached:
            return min(reached, key=lambda run: run.cost)
        most *= RISE
    raise ValueError(f"{grid.name}: no cell reaches {grid.workload.target:g}: give it a target that can be reached")


def with_noise(grid: Grid, data: Data, of: GridRun) -> dict[str, list[Any]]:
    """Return the noise of the gradient along the run ``of``, made once more: ``Record.noise`` of the batches' sizes."""
    task = grid.workload.task(data.train, of.seed, CPU)
    probe = NoiseProbe(task, 1, True, lambda _: None)
    GridRun(grid, data, of.batch_size, of.lr, of.seed, probe).train(math.inf)
    kept = ("step", "samples", "small_batch", "big_batch", "small_squares", "big_squares")
    return {name: probe.columns[name] for name in kept}
