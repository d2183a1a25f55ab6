"""The sweep over batch sizes, each at the best of the learning rates that were searched for it.

Samples and steps to target over batch size follow a hyperbola (``analysis.critical_batch_fit``), seconds do not: they
add what a step costs on this machine. That the training set ends, at N samples, leaves a hyperbola: batches without
replacement have a noise of 1/B - 1/N, and 1/B_crit is less by 1/N.
"""

from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from paceline.bench.analysis.cells import Cell, cells_of, in_order
from paceline.bench.analysis.critical_batch_fit import CriticalBatch, fit
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.leave_one_out import LeaveOneOut, leave_one_out

COMPARISON = "critical_batch"

# Below this share of B_crit a step saves steps almost in proportion (20 % more samples than the least); from its
# inverse on it saves almost none (steps within 20 % of the least). Source: H. Zhang et al. 2024, arXiv 2410.21676, for
# the 20 %; C. J. Shallue et al. 2019, JMLR 20(112), for the three regimes.
PERFECT = 0.2


@dataclass(frozen=True)
class Rate:
    """The best of the learning rates that a search tried at one batch size.

    Attributes:
        best: what was then measured, on other seeds than the search's.
        tried: all of them, ascending.
        trials: number of trials of the search.
        failed: how many of them did not reach the target.
        hopeless: the rates of which no trial reached it.
    """

    best: float
    tried: tuple[float, ...]
    trials: int
    failed: int
    hopeless: tuple[float, ...] = ()

    @property
    def outermost(self) -> bool:
        """Whether no larger one, or no smaller one, was tried: the best may lie anywhere beyond."""
        return not self.tried or self.best in (self.tried[0], self.tried[-1])

    @property
    def beside_failure(self) -> bool:
        """Whether the next larger or smaller one never reached the target: the best may lie up to there."""
        if self.outermost:
            return False
        i = self.tried.index(self.best)
        return not {self.tried[i - 1], self.tried[i + 1]}.isdisjoint(self.hopeless)


@dataclass(frozen=True)
class Sweep:
    """One strategy on one workload over batch sizes.

    Attributes:
        workload: its name.
        trainer: the strategy.
        searched: the trials of its searches, at every rate that was tried.
        measured: results whose trials are those at the best rate of each batch size, a cell each.
        cells: the summary of ``measured``, batch sizes ascending.
        rates: the best rate by batch size.
        fit: samples to target over batch size.
        left_out: how well it predicts.
    """

    workload: str
    trainer: str
    searched: pd.DataFrame
    measured: Results
    cells: list[Cell]
    rates: dict[float, Rate]
    fit: CriticalBatch
    left_out: LeaveOneOut


def sweeps(results: Results) -> list[Sweep]:
    """Return every strategy's sweep, in the order of workloads and strategies; only of what was measured already."""
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    trials = trials[(trials["batch_size"] > 0) & trials["lr"].notna() & ~trials["superseded"].astype(bool)]
    series = trials.groupby(["workload", "trainer", "environment"])
    return [
        _sweep(results, str(workload), str(trainer), own)
        for (workload, trainer, _), own in series
        if (own["search"] == "").any()
    ]


def _sweep(results: Results, workload: str, trainer: str, trials: pd.DataFrame) -> Sweep:
    searched, measured = trials[trials["search"] != ""], trials[trials["search"] == ""]
    rates = {}
    for size, own in measured.groupby("batch_size"):
        tried = searched[searched["search"] == own["cell"].iloc[0]]
        rates[float(size)] = Rate(  # type: ignore[arg-type]
            float(own["lr"].iloc[0]),
            tuple(float(rate) for rate in sorted(tried["lr"].unique())),
            len(tried),
            int(tried["samples_to_target"].isna().sum()),
            tuple(float(rate) for rate, own in tried.groupby("lr") if own["samples_to_target"].isna().all()),
        )
    own_results = replace(results, trials=measured)
    sizes, samples = measured["batch_size"].tolist(), measured["samples_to_target"].tolist()
    cells = in_order(cells_of(own_results, COMPARISON), "batch_size")
    seeds = measured["seed"].tolist()
    hyperbola, left_out = fit(sizes, samples, seeds=seeds), leave_one_out(sizes, samples, seeds)
    return Sweep(workload, trainer, searched, own_results, list(cells), rates, hyperbola, left_out)


def of_mini_batch(results: Results) -> dict[str, Sweep]:
    """Return mini-batch training's sweep by workload: what noise scales and goodput are held against."""
    return {sweep.workload: sweep for sweep in sweeps(results) if sweep.trainer == "MiniBatch"}


Regime = Literal["perfect scaling", "diminishing returns", "maximal parallelism"]


def regimes(found: CriticalBatch, batch_size: float) -> tuple[Regime, ...]:
    """Return where a batch size lies on the hyperbola; two names where B_crit's interval leaves it open.

    "perfect scaling": twice the batch takes almost half the steps. "maximal parallelism": steps are almost at their
    least. "diminishing returns" in between. None where B_crit is not identifiable.
    """
    if not found.identifiable:
        return ()
    return tuple(dict.fromkeys(_regime(batch_size / critical) for critical in (found.high, found.low)))


def _regime(share: float) -> Regime:
    if share <= PERFECT:
        return "perfect scaling"
    return "maximal parallelism" if share >= 1 / PERFECT else "diminishing returns"
