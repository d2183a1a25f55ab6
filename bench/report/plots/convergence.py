"""Convergence: the validation score against training time, steps and samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results, summary
from paceline.bench.analysis.statistics import median_interval
from paceline.bench.records.record import WITH_RESULT
from paceline.bench.report.plots.labels import Label, flags
from paceline.bench.report.plots.style import FAINT, label_of, log_axis, log_limits, panels, short, styled, styles

Floats = npt.NDArray[np.float64]

AXES = {
    "seconds": "training time (s)",
    "steps": "parameter updates (steps)",
    "samples": "samples seen (samples)",
}
APART = 1.05  # between drawn points of a median: three seeds have three times as many evaluations as one
SHOWN = 0.4  # the share of the way from the first score to the target that the y-axis shows


@dataclass(frozen=True)
class Curve:
    """The scored points of one trial: ``x`` rising, ``score``, and how the trial ended."""

    x: Floats
    score: Floats
    status: str


@dataclass(frozen=True)
class Middle:
    """The median over seeds and the band around it, at the points ``x``."""

    x: Floats
    median: Floats
    low: Floats
    high: Floats


@styled
def convergence(results: Results) -> Figure | None:
    """Draw the validation score of every strategy on its way to the target.

    One panel each for training seconds, steps and samples. A line is the median over seeds, see ``median_curve`` for
    what becomes of seeds that are done, and the band is all seeds' range below six seeds, from there on the 95 %
    interval of the median.

    Args:
        results: of a run.

    Returns:
        The figure; None if no trial of "strategies" was scored along the way.
    """
    trials = results.trials[results.trials["comparison"] == "strategies"]
    scored = results.curves[results.curves["score"].notna() & (results.curves["seconds"] > 0)]
    trials = trials[trials["trial"].isin(scored["trial"])]
    if trials.empty:
        return None
    names = dict.fromkeys(trials["trainer"])
    deepest = 0.15 * min(len(names), 14)  # inches: as many flags may have to fly above each other
    figure, rows = panels(_finding(trials), results, trials, 3, 3.6 + deepest, sharey=True)
    higher = {record.workload: record.higher_is_better for record in results.records}
    for workload, chosen, row in rows:
        up = higher.get(workload, True)
        for axes, column in zip(row, AXES, strict=True):
            _panel(axes, column, _curves(chosen, scored, column), float(chosen["target"].iloc[0]), up, results)
        _score_axis(row, chosen, scored, up)
        for axes, column in zip(row, AXES, strict=True):
            curves, target = _curves(chosen, scored, column), float(chosen["target"].iloc[0])
            _finish(axes, column, curves, target, up, results, workload)
        _name_target(row[-1], float(chosen["target"].iloc[0]))
        row[0].set_ylabel(
            f"validation score, the last {SHOWN:.0%} of the way\n(no unit, {'higher' if up else 'lower'} is better)"
        )
    return figure


def _finding(trials: pd.DataFrame) -> str:
    """Return who is first in seconds, in steps and in samples, by the medians of one workload; else the question."""
    metrics = {"seconds": "seconds_to_target", "steps": "steps_to_target", "samples": "samples_to_target"}
    cells = summary(trials)
    if trials["workload"].nunique() > 1 or len(cells) < 2 or not np.isfinite(cells[[*metrics.values()]]).any().all():
        return "How does each strategy approach the target?"
    first: dict[str, list[str]] = {}
    for word, metric in metrics.items():
        first.setdefault(short(str(cells["trainer"].iloc[int(np.nanargmin(cells[metric]))])), []).append(word)
    said = [f"{name} in {' and '.join(words)}" for name, words in first.items()]
    return f"By its median first at the target: {', '.join(said)}"


def median_curve(curves: Sequence[Curve], target: float, higher_is_better: bool) -> Middle | None:
    """Return the median over seeds on the union of their scored points, with its band.

    Between two evaluations a seed has the score of the earlier one. A seed's curve ends where it reaches
    the target; from there on it counts with that last score, for leaving it out would make the median one
    of the slow seeds only. A seed that diverged counts as worst from there on. A seed that ran out of its
    budget says nothing of what would have come, so the median ends with the first such seed. Seeds that
    ended without a result (crashed, out of memory) are left out. The line ends where it meets the target.
    Of the union, points closer than 5 % to the next are left out.

    Returns:
        None if no seed counts, or they have no range of ``x`` in common.
    """
    counted = [curve for curve in curves if curve.status in WITH_RESULT and len(curve.x)]
    if not counted:
        return None
    first = max(curve.x[0] for curve in counted)
    last = min((curve.x[-1] for curve in counted if curve.status in ("missed", "plateaued")), default=np.inf)
    grid = np.unique(np.concatenate([curve.x for curve in counted]))
    grid = grid[(grid >= first) & (grid <= last)]
    if not len(grid):
        return None
    sign = 1.0 if higher_is_better else -1.0
    values = np.sort([_held(curve, grid, worst=-sign * np.inf) for curve in counted], axis=0)
    median = np.median(values, axis=0)
    hits = np.flatnonzero(sign * median >= sign * target)
    end = hits[0] + 1 if len(hits) else len(grid)
    lowest, highest = _band_ranks(len(counted))
    kept = _thinned(grid[:end])
    return Middle(grid[kept], median[kept], values[lowest, kept], values[highest, kept])


def _thinned(grid: Floats) -> npt.NDArray[np.intp]:
    """Return which points to draw: the last one, and going back each that is ``APART`` from the next."""
    kept = [len(grid) - 1]
    for i in range(len(grid) - 2, -1, -1):
        if grid[i] * APART <= grid[kept[-1]]:
            kept.append(i)
    return np.array(kept[::-1])


def _held(curve: Curve, grid: Floats, worst: float) -> Floats:
    """Return the score last seen at each point of ``grid``."""
    values = curve.score[np.searchsorted(curve.x, grid, side="right") - 1]
    return np.where(grid > curve.x[-1], worst, values) if curve.status == "diverged" else values


def _band_ranks(n: int) -> tuple[int, int]:
    """Return which of ``n`` sorted values bound the band."""
    if n < 6:
        return 0, n - 1
    ranks = median_interval([float(rank) for rank in range(n)], positive=False)  # made of two order statistics
    return round(ranks.low), round(ranks.high)


def _curves(trials: pd.DataFrame, scored: pd.DataFrame, column: str) -> dict[str, list[Curve]]:
    """Return the curves of each strategy, x in the unit of ``column``."""
    points = dict(iter(scored.groupby("trial")))
    found: dict[str, list[Curve]] = {}
    for trial, trainer, status in trials[["trial", "trainer", "status"]].itertuples(index=False):
        rows = points[trial]
        x = rows["step" if column == "steps" else column].to_numpy(float)
        found.setdefault(trainer, []).append(Curve(x, rows["score"].to_numpy(float), status))
    return found


def _panel(axes: Axes, column: str, curves: dict[str, list[Curve]], target: float, up: bool, results: Results) -> None:
    known = styles(results)
    axes.axhline(target, color=FAINT, lw=1, ls=(0, (4, 3)), zorder=1)
    for name, seeds in curves.items():
        style = known[name]
        middle = median_curve(seeds, target, up)
        if middle is None:
            continue
        finite = np.isfinite(middle.median)
        x, median = middle.x[finite], middle.median[finite]
        axes.plot(x, median, color=style.color, ls=style.line, lw=1.6, label=name, zorder=3)
        axes.fill_between(
            middle.x, middle.low, middle.high, where=np.isfinite(middle.low) & np.isfinite(middle.high),
            color=style.color, alpha=0.1, lw=0,
        )  # fmt: skip
        axes.plot(x[-1:], median[-1:], style.marker, color=style.color, ms=5.5, mec="white", mew=0.6, zorder=4)
    axes.set_xlabel(AXES[column])


def _score_axis(row: list[Axes], trials: pd.DataFrame, scored: pd.DataFrame, up: bool) -> None:
    """Show the last part of the way to the target; more, if a strategy never came that far."""
    scores = scored[scored["trial"].isin(trials["trial"])].groupby("trial")["score"]
    target = float(trials["target"].iloc[0])
    start, best = float(scores.first().median()), scores.max() if up else scores.min()
    if not up and min(start, target) > 0 and start > 3 * target:
        # A loss falls by factors.
        bottom, top = (
            min(target, float(best.min())),
            max(target * (start / target) ** SHOWN, float(best.max())),
        )
        low, high = log_limits([bottom, top])
        log_axis(row[0], "y", low, high, spacing=0.25)
        return
    edge = target - SHOWN * (target - start)
    values = np.array([target, edge, *best])
    pad = 0.06 * max(float(np.ptp(values)), 0.01 * abs(target), 1e-9)
    row[0].set_ylim(values.min() - pad, values.max() + pad)


def _finish(
    axes: Axes,
    column: str,
    curves: dict[str, list[Curve]],
    target: float,
    up: bool,
    results: Results,
    workload: str,
) -> None:
    """Leave out what lies before anything is in sight, and name each line where it ends."""
    low, high = axes.get_ylim()
    known, labels, seen = styles(results), [], []
    for name, seeds in curves.items():
        middle = median_curve(seeds, target, up)
        if middle is not None and np.isfinite(middle.median).any():
            end = np.flatnonzero(np.isfinite(middle.median))[-1]
            y = float(np.clip(middle.median[end], low, high))
            labels.append(Label(float(middle.x[end]), y, label_of(results, workload, name), known[name].ink))
        for seed in seeds:
            visible = seed.x[(seed.score >= low) & (seed.score <= high)]
            seen += [visible[:1], seed.x[-1:]]
    left, right = log_limits(*seen, pad=0.03)
    axes.set(xscale="log", xlim=(left, right))
    flags(axes, labels)
    log_axis(axes, "x", left, axes.get_xlim()[1])


def _name_target(axes: Axes, target: float) -> None:
    where: Any = axes.get_yaxis_transform()
    axes.text(1.02, target, f"target\n{target:.4g}", transform=where, size=9, color="#555555", va="center")
