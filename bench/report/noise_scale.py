"""The gradient noise scale as tables to read: along the run, beside the sweep's critical batch size, and as advice."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from paceline.bench.analysis.batch_size_sweep import Sweep, best, of_mini_batch
from paceline.bench.analysis.critical_batch_fit import CriticalBatch
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.goodput import predicted_best
from paceline.bench.analysis.noise_scale import Series, series
from paceline.bench.analysis.statistics import Interval, median_interval
from paceline.bench.records.record import Record
from paceline.bench.report.tables import (
    MISSING,
    by_workload,
    cells_of,
    in_order,
    listed,
    number,
    number_of,
    with_interval,
)

# These follow no mean gradient, but one rescaled entry by entry.
ADAPTIVE = ("Adagrad", "Adadelta", "RmsProp", "Adam", "AdamW")

UNDER_ADAPTIVE = (
    "it is no critical batch size here: {optimizer} rescales the gradient entry by entry, and under Adam the noise "
    "scale underestimated that size by orders of magnitude (Merrill et al. 2025, arXiv 2505.23971)"
)


def cells(results: Results) -> dict[str, list[Record]]:
    """Return the trials whose gradient noise was observed, by cell, in order of names."""
    found: dict[str, list[Record]] = {}
    for record in results.records:
        if record.comparison == "noise_scale" and record.noise.get("step"):
            found.setdefault(record.cell, []).append(record)
    return dict(sorted(found.items()))


def optimizer_of(record: Record) -> str:
    """Return the name of the optimizer; "" where the strategy has none."""
    return str((record.hyperparameters.get("optimizer") or {}).get("name", ""))


def method_name(method: str, record: Record) -> str:
    """Return what one of ``analysis.noise_scale.METHODS`` is called in a trial: the parts of a step are named."""
    parts = "ranks" if record.world_size > 1 else "micro-batches"
    return {"samples": "single samples", "batch sizes": "two batch sizes", "parts": parts}[method]


def averages(records: Sequence[Record]) -> Interval:
    """Return the noise scale averaged over each run, over trials, by the most exact method that observed it."""
    best = [next(iter(series(record).values())) for record in records]
    return median_interval([each.average() for each in best])


def table(results: Results) -> pd.DataFrame:
    """Return the noise scale along the runs, a row each strategy and method."""
    rows = []
    for cell, records in cells(results).items():
        along = [series(record) for record in records]
        for method in along[0]:
            of = [each[method] for each in along if method in each]
            reference = [each.get("samples", each[method]) for each in along if method in each]
            ratios = [a.average() / b.average() for a, b in zip(of, reference, strict=True)]
            middles = [each.at(each.steps[-1] / 2) for each in of]
            rows.append(
                {
                    "workload": records[0].workload,
                    "strategy": cell.removeprefix(f"{records[0].workload}-"),
                    "optimizer": optimizer_of(records[0]) or MISSING,
                    "measured by": method_name(method, records[0]),
                    "start": _over_seeds([float(each.values[0]) for each in of]),
                    "middle": _over_seeds(middles),
                    "end": _over_seeds([float(each.values[-1]) for each in of]),
                    "mean over the run": _over_seeds([each.average() for each in of]),
                    "of that by single samples": MISSING if method == "samples" else _over_seeds(ratios),
                    "without a value": _without(of),
                }
            )
    return pd.DataFrame(rows)


def _over_seeds(values: Sequence[float]) -> str:
    found = median_interval(values)
    return with_interval(found.median, found.low, found.high, found.n)


def _without(of: Sequence[Series]) -> str:
    """Return at how many points no noise scale could be told, and why."""
    scales = [scale for each in of for scale in each.scales]
    reasons = [scale.reason.split(" is estimated")[0] for scale in scales if scale.reason]
    if not reasons:
        return "none"
    not_above = listed(f"{name} not above 0" for name in dict.fromkeys(reasons))
    return f"{len(reasons)} of {len(scales)} points: {not_above}"


def against_the_sweep(results: Results) -> pd.DataFrame:
    """Return the noise scale beside the critical batch size that the sweep of batch sizes found, and their ratio."""
    sweeps, rows = of_mini_batch(results), []
    for cell, records in cells(results).items():
        found = averages(records)
        sweep = sweeps[records[0].workload].fit if records[0].workload in sweeps else None
        optimizer = optimizer_of(records[0])
        notes = [UNDER_ADAPTIVE.format(optimizer=optimizer)] if optimizer in ADAPTIVE else []
        if sweep is None:
            notes.append("no sweep of batch sizes: run bench_critical_batch.py")
        elif not sweep.identifiable:
            notes.append(f"the sweep does not tell the critical batch size: {sweep.reason}")
        told = sweep if sweep is not None and sweep.identifiable else None
        rows.append(
            {
                "workload": records[0].workload,
                "strategy": cell.removeprefix(f"{records[0].workload}-"),
                "noise scale, mean over the run": with_interval(found.median, found.low, found.high, found.n),
                "critical batch size (sweep)": MISSING if told is None else _with_ends(told),
                "ratio": MISSING if told is None else _ratio(found, told),
                "beware": "; ".join(notes) or MISSING,
            }
        )
    return pd.DataFrame(rows)


def _with_ends(sweep: CriticalBatch) -> str:
    return f"{number(sweep.critical_batch_size)} [{number(sweep.low)}, {number(sweep.high)}]"


def _ratio(noise: Interval, sweep: CriticalBatch) -> str:
    ratio, low, high = ratio_to(noise, sweep)
    return with_interval(ratio, low, high, noise.n)


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


def prediction(results: Results) -> pd.DataFrame:
    """Return the batch size that throughput and the noise scale predict to be the fastest, and what it would cost.

    Throughput is that of short trials at each batch size (bench_batch_size.py), the noise scale that of short runs: the
    sweep, which takes far longer, is only what the prediction is held against.
    """
    throughput = by_workload(in_order(cells_of(results, "batch_size"), "workload", "batch_size"))
    sweeps, rows = of_mini_batch(results), []
    for cell, records in cells(results).items():
        workload, noise = records[0].workload, averages(records)
        measured = [c for c in throughput.get(workload, []) if c["trainer"] == "MiniBatch"]
        if optimizer_of(records[0]) in ADAPTIVE or not measured or not noise.median > 0:
            continue
        sizes, rates = ([float(c[name]) for c in measured] for name in ("batch_size", "samples_per_second"))
        at = {
            end: predicted_best(sizes, rates, value).batch_size
            for end, value in (("at", noise.median), ("low", noise.low), ("high", noise.high))
            if np.isfinite(value) and value > 0
        }
        rows.append(
            {
                "workload": workload,
                "strategy": cell.removeprefix(f"{workload}-"),
                "noise scale": with_interval(noise.median, noise.low, noise.high, noise.n),
                "throughput known at": listed(map(number_of, sizes)),
                "predicted fastest": _predicted(at),
                **_held_against(sweeps.get(workload), at["at"]),
            }
        )
    return pd.DataFrame(rows)


def _held_against(sweep: Sweep | None, predicted: float) -> dict[str, str]:
    """Return what the sweep found to be the fastest, and the seconds of the predicted batch size over its own."""
    fastest = None if sweep is None else best(sweep, "seconds_to_target")
    if fastest is None or fastest.cell is None:
        return {"fastest in the sweep": MISSING, "regret": MISSING}
    also = f" (not resolved from it: {listed(map(number_of, fastest.tied))})" if fastest.tied else ""
    size = float(fastest.cell["batch_size"])
    if predicted == size:
        regret = "none: it is the fastest"
    elif predicted in fastest.others:
        regret = f"{fastest.others[predicted].ratio} the seconds"
    else:
        regret = f"not known: B={number_of(predicted)} is not in the sweep"
    return {"fastest in the sweep": number_of(size) + also, "regret": regret}


def _predicted(best: Mapping[str, float]) -> str:
    """Return the batch size, and those at the ends of the noise scale's interval."""
    text = number_of(best["at"])
    return f"{text} [{number_of(best['low'])}, {number_of(best['high'])}]" if {"low", "high"} <= set(best) else text
