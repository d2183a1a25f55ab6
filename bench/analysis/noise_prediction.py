"""The noise scale beside what the sweep of batch sizes found: the critical batch size, and which is fastest."""

import math
from dataclasses import dataclass

import numpy as np

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.best_batch_size import Best, best
from paceline.bench.analysis.cells import by_workload, cells_of, in_order
from paceline.bench.analysis.critical_batch_fit import CriticalBatch
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.goodput import predicted_best
from paceline.bench.analysis.noise_along_run import averages, observed, optimizer_of
from paceline.bench.analysis.statistics import Interval

# These follow no mean gradient, but one rescaled entry by entry.
ADAPTIVE = ("Adagrad", "Adadelta", "RmsProp", "Adam", "AdamW")


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
        noise: the noise scale, a mean over each run.
        batch_sizes: at which throughput is known, from short trials (``bench_batch_size.py``).
        fastest: that is predicted, one of them.
        ends: likewise at the ends of the noise scale's interval; None where that has not two.
        measured: what the sweep, which takes far longer, found to be the fastest; None without a sweep.
    """

    workload: str
    cell: str
    noise: Interval
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
        fastest, low, high = (
            predicted_best(sizes, rates, value).batch_size if np.isfinite(value) and value > 0 else None
            for value in (noise.median, noise.low, noise.high)
        )
        assert fastest is not None  # the median is above 0; where it is infinite there is no such trial
        ends = None if low is None or high is None else (low, high)
        best_measured = best(sweeps[workload], "seconds_to_target") if workload in sweeps else None
        found.append(Prediction(workload, cell, noise, tuple(sizes), fastest, ends, best_measured))
    return found
