"""The noise scale beside what the sweep of batch sizes found: the critical batch size, and which is fastest."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.best_batch_size import Best, best
from paceline.bench.analysis.cells import Cell, by_workload, cells_of, in_order
from paceline.bench.analysis.critical_batch_fit import CriticalBatch
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.goodput import predicted_best
from paceline.bench.analysis.noise_along_run import averages, observed, optimizer_of
from paceline.bench.analysis.statistics import CONFIDENCE, Floats, Interval

# Draws of noise scale and throughput, for the interval of what they predict.
DRAWS = 4000

# These follow no mean gradient, but one rescaled, entry by entry or as a matrix.
ADAPTIVE = ("Adagrad", "Adadelta", "RmsProp", "Adam", "AdamW", "Lion", "Muon", "ScheduleFreeAdamW")


def ratio_to(noise: Interval, sweep: CriticalBatch) -> tuple[float, float, float]:
    """Return noise scale over critical batch size with its 95 % interval; NaN ends where either has none.

    The two come from different trials, so that their uncertainties, on logarithms, add as squares.
    """
    ratio = noise.median / sweep.critical_batch_size
    down = math.hypot(_log(noise.median, noise.low), _log(sweep.high, sweep.critical_batch_size))
    up = math.hypot(_log(noise.high, noise.median), _log(sweep.critical_batch_size, sweep.low))
    return ratio, ratio * math.exp(-down), ratio * math.exp(up)


def _log(high: float, low: float) -> float:
    return math.inf if low == 0 or math.isinf(high) else math.log(high / low)


@dataclass(frozen=True)
class Prediction:
    """The batch size that throughput times statistical efficiency predicts to be the fastest to the target.

    Attributes:
        workload: its name.
        cell: whose noise scale it is.
        noise: the noise scale, a mean over each run's progress.
        reached: how many of the trials it was observed in went to the target.
        batch_sizes: at which throughput is known, from short trials (``bench_batch_size.py``).
        fastest: that is predicted, one of them.
        ends: of its 95 % interval, from the uncertainty of the noise scale and that of throughput; None where either
            has no interval.
        measured: what the sweep, which takes far longer, found to be the fastest; None without a sweep.
    """

    workload: str
    cell: str
    noise: Interval
    reached: int
    batch_sizes: tuple[float, ...]
    fastest: float
    ends: tuple[float, float] | None
    measured: Best | None


def predictions(results: Results) -> list[Prediction]:
    """Return what each cell's noise scale predicts, where there is one, and throughput was measured beside it."""
    throughput = by_workload(in_order(cells_of(results, "batch_size"), "workload", "batch_size"))
    sweeps, found = of_mini_batch(results), []
    for cell, records in observed(results).items():
        workload, noise = records[0].workload, averages(records)
        measured = [c for c in throughput.get(workload, []) if c["trainer"] == "MiniBatch"]
        if optimizer_of(records[0]) in ADAPTIVE or not measured or not noise.median > 0:
            continue
        sizes, rates = ([float(c[name]) for c in measured] for name in ("batch_size", "samples_per_second"))
        fastest = predicted_best(sizes, rates, noise.median).batch_size
        reached = sum(record.status == "reached" for record in records)
        ends = _ends(noise, sizes, _throughputs(results, measured))
        best_measured = best(sweeps[workload], "seconds_to_target") if workload in sweeps else None
        found.append(Prediction(workload, cell, noise, reached, tuple(sizes), fastest, ends, best_measured))
    return found


def _throughputs(results: Results, cells: list[Cell]) -> Floats:
    """Return the logarithms of samples/s [blocks, cells] of the blocks in which every one of ``cells`` has a value."""
    trials = results.trials
    trials = trials[(trials["comparison"] == "batch_size") & ~trials["superseded"].astype(bool)]
    columns = [trials[trials["cell"] == c["cell"]].set_index(["seed", "block"])["samples_per_second"] for c in cells]
    return np.asarray(np.log(pd.concat(columns, axis=1).dropna().to_numpy(float)))


def _ends(noise: Interval, sizes: list[float], logs: Floats) -> tuple[float, float] | None:
    """Return between which of ``sizes`` the fastest lies in 95 % of draws of noise scale and throughput.

    Both are drawn log-normal. What a block as a whole suffered changes no order: the throughput's error is what is left
    of its logarithms when the means of blocks and of cells are taken off.
    """
    if not (0 < noise.low < noise.high < math.inf) or len(logs) < 2:
        return None
    random, (blocks, cells) = np.random.default_rng(0), logs.shape
    left = logs - logs.mean(axis=1, keepdims=True) - logs.mean(axis=0) + logs.mean()
    freedom = max(1, (blocks - 1) * (cells - 1))
    # The spread itself is known from few trials: Student's t.
    spread = np.sqrt((left**2).sum() / random.chisquare(freedom, (DRAWS, 1)) / blocks)
    throughput = np.exp(logs.mean(axis=0) + spread * random.standard_normal((DRAWS, cells)))
    sigma = math.log(noise.high / noise.low) / (2 * 1.96)
    scales = noise.median * np.exp(sigma * random.standard_normal((DRAWS, 1)))
    goodput = throughput * scales / (scales + np.asarray(sizes))  # efficiency: see ``analysis.goodput``
    fastest = np.asarray(sizes)[goodput.argmax(axis=1)]
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(fastest, [outside, 1 - outside], method="inverted_cdf")
    return float(low), float(high)
