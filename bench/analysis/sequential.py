"""Verdicts that hold however often one looks: for runs that add blocks until each pair is decided.

An interval made for a fixed number of blocks misses the truth in 5 % of runs at each look, so whoever looks after
each block and stops at the first verdict is wrong far more often. A confidence sequence is a series of intervals
that are all right at once in 95 % of runs, and may be looked at, and stopped at, whenever one likes.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from paceline.bench.analysis.frames import trials_frame
from paceline.bench.analysis.statistics import (
    CONFIDENCE,
    MARGIN,
    Comparison,
    Floats,
    Selection,
    log_ratios,
    pairs_of,
    verdict_of,
)
from paceline.bench.records.record import Record

# Precision of the normal prior on the effect in standard deviations (its own is 3.2). Any value is valid; this one
# gives the shortest intervals between 4 and 8 blocks or close to it: 2.0 standard deviations at 6, 1.2 at 12.
PRECISION = 0.1

# What a pair is decided by: the time to the target where trials race to it, the time of a step elsewhere.
RACED, TIMED = "seconds_to_target", "seconds_per_step"


def anytime_interval(logs: Floats) -> tuple[Floats, Floats]:
    """Return the ends, after all n values of the last axis, of a 95 % confidence sequence of their mean.

    The values are independent and normal, their variance is unknown. Over all n together, the interval misses the
    mean in at most 5 % of sequences. It holds the means m for which the likelihood ratio of "the mean is not m",
    its distance from m in standard deviations mixed over a normal prior of precision c, against "it is m", scale
    integrated out, is below 1 / 0.05: with y = n (mean - m)^2 and W the sum of squares about the mean,

        sqrt(c / (n + c)) * ((W + y) / (W + c y / (n + c)))^(n / 2) < 20,

    which is solved for m. With few values it holds for all m: the ends are then infinite, as they are where a
    value is.

    Source: T. L. Lai 1976, Annals of Statistics 4(2), 265-280; in this form H. Wang & A. Ramdas 2023, "Anytime-valid
    t-tests and confidence sequences for Gaussian means with unknown variance" (arXiv 2310.03722), the Gaussian
    mixture under the right Haar prior of the scale. The bound over all n: J. Ville 1939.
    """
    n = logs.shape[-1]
    known = np.asarray(np.isfinite(logs).all(axis=-1))
    logs = np.where(known[..., np.newaxis], logs, 0.0)
    mean = logs.mean(axis=-1) if n else np.zeros(logs.shape[:-1])
    share = PRECISION / (n + PRECISION)
    # The likelihood ratio is below its limit where (W + y) / (W + share y) is below this.
    most = (share * (1 - CONFIDENCE) ** 2) ** (-1 / n) if n else np.inf
    if most * share >= 1:  # the left side never gets there, however far m is
        return np.full_like(mean, -np.inf), np.full_like(mean, np.inf)
    squares = ((logs - mean[..., np.newaxis]) ** 2).sum(axis=-1)
    half = np.sqrt(squares * (most - 1) / (n * (1 - most * share)))
    return np.where(known, mean - half, -np.inf), np.where(known, mean + half, np.inf)


def compare_anytime(
    trials: pd.DataFrame, a: Selection, b: Selection, metric: str = RACED, margin: float = MARGIN
) -> Comparison:
    """Compare as ``paceline.bench.compare`` does, with an interval and a verdict that hold after any number of looks.

    A trial that missed the target counts as more than it had spent: the lower end is that of the lower bounds'
    mean, and likewise above; an end on which a bound is missing is 0 or infinite, and stays so. Where the cell
    that is elsewhere faster missed once, its pair remains undecided.

    Args:
        trials: see ``paceline.bench.compare``.
        a: see ``paceline.bench.compare``.
        b: see ``paceline.bench.compare``.
        metric: see ``paceline.bench.compare``.
        margin: see ``paceline.bench.compare``.

    Raises:
        ValueError: see ``paceline.bench.compare``.
    """
    lows, highs = log_ratios(trials, a, b, metric)
    known = np.where(np.isfinite(lows), lows, highs)
    known = known[np.isfinite(known)]
    middle = known.mean() if len(known) else np.nan
    low, high = float(anytime_interval(lows)[0]), float(anytime_interval(highs)[1])
    value, low, high = (float(v) for v in np.exp([middle, low, high]))
    verdict = verdict_of(low, high, margin, metric)
    return Comparison(value, low, high, verdict, len(lows), pairs_of(trials, a, b, metric))


def partners(cells: Mapping[str, Record]) -> dict[str, str]:
    """Return what each cell is compared with: mini-batch on the same workload, at the same batch size if it can be.

    Without mini-batch that is the workload's first cell. What others are compared with has no partner itself.

    Args:
        cells: a trial of each cell, in the order in which the benchmark names them.
    """
    found = {}
    for name, record in cells.items():
        peers = [other for other in cells if cells[other].workload == record.workload]
        plain = [other for other in peers if cells[other].trainer == "MiniBatch"]
        alike = [other for other in plain if _batch_size(cells[other]) == _batch_size(record)]
        base = (alike or plain or peers)[0]
        if base != name:
            found[name] = base
    return found


def _batch_size(record: Record) -> object:
    return record.hyperparameters.get("batch_size")


def verdicts(cells: Mapping[str, Sequence[Record]]) -> dict[tuple[str, str], Comparison]:
    """Return how each cell of a comparison compares with its partner, by (cell, partner).

    The error rate of 5 % is that of each pair.

    Args:
        cells: the trials of each cell, in the order in which the benchmark names them.
    """
    trials = trials_frame(tuple(record for records in cells.values() for record in records))
    pairs = partners({name: records[0] for name, records in cells.items() if records})
    found = {}
    for a, b in pairs.items():
        metric = RACED if cells[a][0].stop_at_target else TIMED
        found[a, b] = compare_anytime(trials, {"cell": a}, {"cell": b}, metric)
    return found
