"""How well a stream was followed: each sample predicted before it was learned from, and what had to be beaten."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, in_order, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.scores import ScoreGap, ScoreVerdict, margin_of, score_verdict
from paceline.bench.analysis.statistics import ERROR, Floats, Interval, mean_interval, median_interval
from paceline.bench.records import streams
from paceline.bench.records.record import Record

# What a sample still counts for one sample later, in a score that fades: after 1,000 samples 0.7 %, and on the whole as
# much as the last 200.
ALPHA = 0.995

# How samples arrive: when the trainer asks for them, at a rate it may keep up with, and at one it may not.
KINDS = ("asked", "paced", "flooded")


def faded(right: Sequence[float] | Floats, alpha: float = ALPHA) -> Floats:
    """Return the share that was right after each sample, the earlier ones counting less and less, ``[N]``.

    It is S_i / N_i, where S_i = right_i + alpha S_(i-1) and N_i = 1 + alpha N_(i-1).

    Source: J. Gama, R. Sebastiao, P. P. Rodrigues 2013, Machine Learning 90, 317-346, on evaluating stream learning
    algorithms (prequential error with fading factors).
    """
    x = np.asarray(right, float)
    sums, counts = (lfilter([1.0], [1.0, -alpha], part) for part in (x, np.ones_like(x)))
    shares: Floats = sums / counts
    return shares


def no_change(labels: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
    """Return where a sample's class was that of the one before it, 1 or 0: what predicts the last label is right there.

    Source: A. Bifet et al. 2013, ECML PKDD, on pitfalls in benchmarking data stream classification.
    """
    y = np.asarray(labels, int)
    return np.concatenate([np.zeros(min(len(y), 1)), (y[1:] == y[:-1]).astype(float)])


def majority(labels: Sequence[int] | npt.NDArray[np.int64]) -> Floats:
    """Return where a sample's class was the most frequent one before it (of equals the smallest), 1 or 0."""
    y = np.asarray(labels, int)
    before = np.zeros((len(y) + 1, int(y.max(initial=0)) + 1))
    before[1:][np.arange(len(y)), y] = 1
    most = before.cumsum(axis=0)[:-1].argmax(axis=1)
    found: Floats = ((most == y) & (np.arange(len(y)) > 0)).astype(float)
    return found


BASELINES: dict[str, Callable[[Sequence[int]], Floats]] = {"no change": no_change, "majority": majority}


@dataclass(frozen=True)
class Followed:
    """How one strategy followed a stream whose samples arrived in one way.

    Attributes:
        cell: which.
        kind: how samples arrived: one of ``KINDS``.
        records: its trials that came to a result.
        score: share of samples that were predicted right.
        at_end: the same, faded, after the last sample.
        p50, p99: seconds from a sample's arrival to when the model had learned it, in the median and for all but 1 %.
        behind: samples that waited, at the worst.
        learned: of those that were to arrive, the share that was learned from.
    """

    cell: Cell
    kind: str
    records: tuple[Record, ...]
    score: Interval
    at_end: Interval
    p50: Interval
    p99: Interval
    behind: Interval
    learned: Interval


def followed(results: Results) -> list[Followed]:
    """Return how each strategy followed each stream, by workload and by how samples arrived."""
    found = []
    for cells in by_workload(in_order(cells_of(results, "stream"), "workload", "cell")).values():
        of_kinds = [(kind, cell) for kind in KINDS for cell in cells if name_of(cell).endswith(f"-{kind}")]
        found += [_followed(results, cell, kind) for kind, cell in of_kinds]
    return [one for one in found if one.records]


def _followed(results: Results, cell: Cell, kind: str) -> Followed:
    records = tuple(
        record
        for record in results.records
        if (record.comparison, record.cell) == ("stream", cell["cell"]) and record.stream.get("label")
    )
    seeds = [record.seed for record in records]

    def over(values: list[float], positive: bool = False) -> Interval:
        return median_interval(values, positive, seeds)

    return Followed(
        cell,
        kind,
        records,
        over([streams.prequential_score(record) for record in records]),
        over([float(faded(streams.right(record))[-1]) for record in records]),
        over([streams.latency_quantile(record, 0.5) for record in records], True),
        over([streams.latency_quantile(record, 0.99) for record in records], True),
        over([streams.most_behind(record) for record in records], True),
        over([len(record.stream["label"]) / record.arrivals["samples"] for record in records]),
    )


def lead(a: Followed, b: Followed) -> ScoreGap:
    """Return by how much more of the samples ``a`` predicted right than ``b``, seed by seed.

    It is over the samples that both had time for: the first ones, which are the hardest. A difference counts as none
    where it is within the margin of ``analysis.scores``.
    """
    theirs = {(record.seed, record.block): streams.right(record) for record in b.records}
    gaps, seeds, others, samples = [], [], [], 0
    for record in a.records:
        own, other = streams.right(record), theirs.get((record.seed, record.block))
        if other is not None:
            samples = min(len(own), len(other))
            others.append(float(other[:samples].mean()))
            gaps.append(float(own[:samples].mean()) - others[-1])
            seeds.append(record.seed)
    return _gap(gaps, seeds, float(np.median(others)) if others else np.nan, samples)


def lead_over(a: Followed, baseline: str) -> ScoreGap:
    """Return the same against a baseline, which knows nothing but the classes that have come."""
    rights = [float(BASELINES[baseline](record.stream["label"]).mean()) for record in a.records]
    gaps = [streams.prequential_score(record) - right for record, right in zip(a.records, rights, strict=True)]
    seeds = [record.seed for record in a.records]
    return _gap(gaps, seeds, float(np.median(rights)), len(a.records[0].stream["label"]))


def _gap(gaps: list[float], seeds: list[int], other: float, samples: int) -> ScoreGap:
    margin = margin_of(other, True)

    def interval(error: float) -> Interval:
        return mean_interval(gaps, seeds, error)

    def judged(error: float) -> ScoreVerdict:
        found = interval(error)
        return score_verdict(found.low, found.high, margin)

    return ScoreGap(interval(ERROR), judged(ERROR), True, samples, margin, judged)
