"""The gradient noise scale along a run, from what its trials observed, and its mean over the progress of the run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.noise_scale import NoiseScale, exact, noise_scale, two_batch_sizes, unbiased
from paceline.bench.analysis.statistics import Floats, Interval, median_interval
from paceline.bench.records.record import Record

# Of a run's steps, how many may be without an observation in its mean: those that lack one are no random choice.
LARGEST_SHARE_WITHOUT = 0.2

METHODS = ("samples", "batch sizes", "parts")


@dataclass(frozen=True)
class Series:
    """The noise scale along a run.

    Attributes:
        steps: after how many steps ``[points]``.
        scales: the noise scale there ``[points]``.
        batch_size: samples of one step of the run.
    """

    steps: tuple[int, ...]
    scales: tuple[NoiseScale, ...]
    batch_size: float

    @property
    def values(self) -> Floats:
        """B_simple at each point, NaN where it has none."""
        return np.array([scale.value for scale in self.scales], dtype=float)

    def average(self) -> float:
        """Return the mean over the run's progress; see ``over_progress``."""
        traces, squares = ([getattr(scale, part) for scale in self.scales] for part in ("trace", "squared_gradient"))
        return over_progress(self.steps, traces, squares, self.batch_size)

    def at(self, step: float) -> float:
        """Return the value at the point nearest to ``step``."""
        return float(self.values[int(np.argmin(np.abs(np.array(self.steps) - step)))])


def over_progress(steps: Sequence[float], traces: ArrayLike, squares: ArrayLike, batch_size: float) -> float:
    """Return the mean noise scale over a run's progress: what the critical batch size is, if theory holds.

    One step at batch size B makes 1 / (1 + phi / B) of the progress of a step without noise, phi being the noise scale.
    A mean over steps would count the noisy end, where steps achieve least, as much as the start. With the parts of phi
    = tr / |G|^2 that share is |G|^2 / (|G|^2 + tr / B), so that no point has to be left out where |G|^2 is estimated at
    or below 0: those are the noisiest ones. Between points by the trapezoidal rule over steps.

    NaN if points that stand for more than ``LARGEST_SHARE_WITHOUT`` of the steps were not observed, or if the gradient
    is hidden over the run as a whole.

    Args:
        steps: of the points ``[points]``.
        traces: estimates of tr at each.
        squares: estimates of |G|^2 at each.
        batch_size: B, of the run that was observed.

    Source: McCandlish et al. 2018, arXiv 1812.06162, appendix D: B_crit = E_min / S_min, the integral of phi over
    progress over that of progress.
    """
    s, trace, square = (np.asarray(each, dtype=float) for each in (steps, traces, squares))
    if not len(s):
        return math.nan
    edges = np.concatenate([s[:1], (s[1:] + s[:-1]) / 2, s[-1:]])
    weights = np.diff(edges) if len(s) > 1 else np.ones(1)
    of_batch = square + trace / batch_size  # what the squared norm of one batch's gradient is expected to be
    known = of_batch > 0
    if weights[~known].sum() > LARGEST_SHARE_WITHOUT * weights.sum():
        return math.nan
    progress, noise = (float((weights * part / of_batch)[known].sum()) for part in (square, trace))
    return noise / progress if min(progress, noise) > 0 else math.nan


def series(record: Record) -> dict[str, Series]:
    """Return the noise scale along the run of ``record`` by each of ``METHODS`` that observed it.

    What the parts of single steps say is averaged over the steps around each point, tr Σ and |G|² apart.
    """
    columns, population = record.noise, float(record.train_samples or math.inf)
    if not columns.get("step"):
        return {}
    batch_size = columns["samples"][-1] / columns["step"][-1]
    rows = [dict(zip(_PROBE, values, strict=True)) for values in zip(*(columns[name] for name in _PROBE), strict=True)]
    found = {}
    exactly = [row for row in rows if row["exact_n"] is not None]
    if exactly:
        found["samples"] = Series(
            tuple(row["step"] for row in exactly), tuple(_of_samples(row, population) for row in exactly), batch_size
        )
    found["batch sizes"] = Series(
        tuple(row["step"] for row in rows), tuple(_of_sizes(row, population) for row in rows), batch_size
    )
    if columns["parts_step"]:
        found["parts"] = _of_parts(columns, population, batch_size)
    return {method: found[method] for method in METHODS if method in found}


_PROBE = (
    "step", "small_batch", "big_batch", "small_squares", "big_squares", "exact_n", "exact_mean_square",
    "exact_big_batch", "exact_big_square",
)  # fmt: skip


def _of_samples(row: Mapping[str, Any], population: float) -> NoiseScale:
    return exact(row["exact_mean_square"], row["exact_big_batch"], row["exact_big_square"], population)


def _of_sizes(row: Mapping[str, Any], population: float) -> NoiseScale:
    sizes = row["small_batch"], row["small_squares"], row["big_batch"], row["big_squares"]
    return two_batch_sizes(*sizes, population)


def _of_parts(columns: Mapping[str, list[Any]], population: float, batch_size: float) -> Series:
    steps, at = np.array(columns["parts_step"], dtype=float), np.array(columns["step"], dtype=float)
    each = [
        unbiased(batch / parts, small, batch, big, population)
        for parts, batch, small, big in zip(
            *(columns[name] for name in ("parts", "parts_batch", "parts_small_square", "parts_big_square")), strict=True
        )
    ]
    traces, squares = (np.concatenate(column) for column in zip(*each, strict=True))
    # Points are spaced geometrically, and each takes the steps that are nearest to it as a factor.
    nearest = np.abs(np.log(steps)[:, np.newaxis] - np.log(at)).argmin(axis=1)
    used = sorted(set(nearest.tolist()))
    scales = tuple(noise_scale(traces[nearest == i], squares[nearest == i]) for i in used)
    return Series(tuple(int(at[i]) for i in used), scales, batch_size)


def variance_exponent(record: Record) -> float:
    """Return the power of the batch size with which the variance of the gradient changes: -1 for 1 / B.

    A mean over the points of the run of the slope of log variance over log batch size. Batches without replacement
    have less than 1 / B by the share of the training set that they leave: that factor is divided out, and a batch that
    is the training set, which has no variance, left out. NaN where there are not two sizes.
    """
    columns, population = record.noise, float(record.train_samples or math.inf)
    slopes = []
    for sizes, variances in zip(columns.get("batch_sizes", []), columns.get("variances", []), strict=True):
        b, v = np.array(sizes, dtype=float), np.array(variances, dtype=float)
        usable = (b < population) & (v > 0)
        if usable.sum() >= 2:
            b, v = b[usable], v[usable]
            slopes.append(float(np.polyfit(np.log(b), np.log(v / (1 - b / population)), 1)[0]))
    return float(np.mean(slopes)) if slopes else math.nan


def observed(results: Results) -> dict[str, list[Record]]:
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
    """Return what one of ``METHODS`` is called in a trial: the parts of a step are named."""
    parts = "ranks" if record.world_size > 1 else "micro-batches"
    return {"samples": "single samples", "batch sizes": "two batch sizes", "parts": parts}[method]


def averages(records: Sequence[Record]) -> Interval:
    """Return the noise scale, a mean over each run's progress, over seeds, by the most exact method of each."""
    best = [next(iter(series(record).values())) for record in records]
    return median_interval([each.average() for each in best], seeds=[record.seed for record in records])
