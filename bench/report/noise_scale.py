"""What the report shows of ``bench_noise_scale.py``: along the run, beside the critical batch size, and as advice."""

import math
from collections.abc import Callable, Sequence

import pandas as pd

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.critical_batch_fit import CriticalBatch
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.noise_along_run import (
    Series,
    averages,
    method_name,
    observed,
    optimizer_of,
    series,
    variance_exponent,
)
from paceline.bench.analysis.noise_prediction import ADAPTIVE, Prediction, predictions, ratio_to
from paceline.bench.analysis.statistics import Interval, median_interval
from paceline.bench.records.record import Record
from paceline.bench.report.plots import noise_scale as plots
from paceline.bench.report.wording import MISSING, interval, listed, number, number_of, ratio, with_interval

PLOTS = {"noise_scale": plots.noise_scale}

# By how much the power of B comes out too large where a variance is of a few batches: the logarithm of it is too small.
OF_FEW_BATCHES = 0.05

# An interval that reaches further from the power of 1/B than this tells nothing.
TELLING = 0.5

UNDER_ADAPTIVE = (
    "it is no critical batch size here: {optimizer} rescales the gradient entry by entry, and under Adam the noise "
    "scale underestimated that size by orders of magnitude (Merrill et al. 2025, arXiv 2505.23971)"
)


def table(results: Results) -> pd.DataFrame:
    """Return the noise scale along the runs, a row each strategy and method."""
    rows = []
    for cell, records in observed(results).items():
        along = [series(record) for record in records]
        for method in along[0]:
            of = [each[method] for each in along if method in each]
            over_seeds = _over([record.seed for record, each in zip(records, along, strict=True) if method in each])
            reference = [each.get("samples", each[method]) for each in along if method in each]
            ratios = [a.average() / b.average() for a, b in zip(of, reference, strict=True)]
            middles = [each.at(each.steps[-1] / 2) for each in of]
            rows.append(
                {
                    "workload": records[0].workload,
                    "strategy": cell.removeprefix(f"{records[0].workload}-"),
                    "optimizer": optimizer_of(records[0]) or MISSING,
                    "learning rate": _rate(records[0]),
                    "measured by": method_name(method, records[0]),
                    "start": over_seeds([float(each.values[0]) for each in of]),
                    "middle": over_seeds(middles),
                    "end": over_seeds([float(each.values[-1]) for each in of]),
                    "mean over its progress": over_seeds([each.average() for each in of]),
                    "of that by single samples": MISSING if method == "samples" else over_seeds(ratios),
                    "without a value": _without(of),
                }
            )
    return pd.DataFrame(rows)


def _rate(record: Record) -> str:
    rate = (record.hyperparameters.get("optimizer") or {}).get("lr")
    return MISSING if rate is None else f"{rate:g}"


def _over(seeds: Sequence[int]) -> Callable[[Sequence[float]], str]:
    """Return what puts values of trials of these seeds into words; a seed that ran twice counts once."""
    return lambda values: interval(median_interval(values, seeds=seeds))


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
    for cell, records in observed(results).items():
        found = averages(records)
        sweep = sweeps[records[0].workload].fit if records[0].workload in sweeps else None
        optimizer = optimizer_of(records[0])
        notes = [UNDER_ADAPTIVE.format(optimizer=optimizer)] if optimizer in ADAPTIVE else []
        if sweep is None:
            notes.append("no sweep of batch sizes: run bench_critical_batch.py")
        elif not sweep.identifiable:
            notes.append(f"the sweep does not tell the critical batch size: {sweep.reason}")
        told = sweep if sweep is not None and sweep.identifiable and optimizer not in ADAPTIVE else None
        rows.append(
            {
                "workload": records[0].workload,
                "strategy": cell.removeprefix(f"{records[0].workload}-"),
                "learning rate": _rate(records[0]),
                "noise scale, mean over its progress": interval(found),
                "critical batch size (sweep)": MISSING if told is None else _with_ends(told),
                "ratio": MISSING if told is None else _ratio(found, told),
                "beware": "; ".join(notes) or MISSING,
            }
        )
    return pd.DataFrame(rows)


def _with_ends(sweep: CriticalBatch) -> str:
    return f"{number(sweep.critical_batch_size)} [{number(sweep.low)}, {number(sweep.high)}]"


def _ratio(noise: Interval, sweep: CriticalBatch) -> str:
    return with_interval(*ratio_to(noise, sweep), noise.n)


def prediction(results: Results) -> pd.DataFrame:
    """Return the batch size that throughput and the noise scale predict to be the fastest, and what it would cost."""
    return pd.DataFrame(
        [
            {
                "workload": found.workload,
                "strategy": found.cell.removeprefix(f"{found.workload}-"),
                "noise scale": interval(found.noise),
                "observed": f"to the target in {found.reached} of {found.noise.n} trials",
                "throughput known at": listed(map(number_of, found.batch_sizes)),
                "predicted fastest": _predicted(found),
                **_held_against(found),
            }
            for found in predictions(results)
        ]
    )


def _predicted(found: Prediction) -> str:
    """Return the batch size, and the interval that noise scale and throughput leave it."""
    text = number_of(found.fastest)
    return text if found.ends is None else f"{text} [{number_of(found.ends[0])}, {number_of(found.ends[1])}]"


def _held_against(found: Prediction) -> dict[str, str]:
    """Return what the sweep found to be the fastest, and the seconds of the predicted batch size over its own."""
    measured = found.measured
    if measured is None or measured.cell is None:
        return {"fastest in the sweep": MISSING, "regret": MISSING}
    also = f" (not resolved from it: {listed(map(number_of, measured.tied))})" if measured.tied else ""
    size = float(measured.cell["batch_size"])
    if found.fastest == size:
        regret = "none: it is the fastest"
    elif found.fastest in measured.prices:
        regret = f"{ratio(measured.prices[found.fastest])} the seconds"
    else:
        regret = f"not known: B={number_of(found.fastest)} is not in the sweep"
    return {"fastest in the sweep": number_of(size) + also, "regret": regret}


def sampling_law(results: Results) -> str:
    """Return whether the gradients that were observed keep the law of sampling, or "" where none were.

    Their variance over batches of B samples goes as 1/B whatever the gradients are, once what batches lack by being
    drawn without replacement is divided out. So this says nothing of training: if it fails, they were measured wrongly.
    """
    said, seen = [], set()
    for records in observed(results).values():
        first = records[0]
        if first.workload in seen:
            continue  # strategies that make the same steps say the same
        seen.add(first.workload)
        powers, seeds = [variance_exponent(record) for record in records], [record.seed for record in records]
        found = median_interval(powers, positive=False, seeds=seeds)
        if math.isnan(found.low):
            continue
        off = found.high + OF_FEW_BATCHES < -1 or found.low - OF_FEW_BATCHES > -1
        known = max(-1 - found.low, found.high + 1) < TELLING
        law = "1/B, as sampling demands." if known else "too few were drawn to tell that from 1/B."
        sizes = first.noise["batch_sizes"][0]
        said.append(
            f"On {first.workload} the variance of the gradient over batches of {number_of(min(sizes))} to "
            f"{number_of(max(sizes))} samples goes as the batch size to the power of {interval(found)} (n={found.n}): "
            f"{'not 1/B, so that noise scales here are measured wrongly.' if off else law}"
        )
    return " ".join(said)
