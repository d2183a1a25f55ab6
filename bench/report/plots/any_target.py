"""Time to any target: which strategy is first turns on the score one asks for."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from paceline.bench.analysis.any_target import AnyTarget, any_targets
from paceline.bench.analysis.frames import Results
from paceline.bench.report.plots.labels import Label, beside
from paceline.bench.report.plots.style import Style, label_of, log_axis, log_limits, panels, short, styled, styles


@styled
def any_target(results: Results) -> Figure | None:
    """Draw the median seconds to each target up to the run's own, and who is likely to be the fastest there.

    Args:
        results: of a run.

    Returns:
        The figure; None if no trial of "strategies" was scored on its way to a target.
    """
    found = {one.workload: one for one in any_targets(results) if one.reached.any()}
    trials = results.trials[results.trials["comparison"] == "strategies"]
    trials = trials[trials["workload"].isin(found)]
    if trials.empty:
        return None
    figure, rows = panels(_finding(list(found.values())), results, trials, 2, 3.2)
    for workload, _, (left, right) in rows:
        _seconds(left, found[workload], results)
        _chance(right, found[workload], results)
    return figure


def _finding(found: list[AnyTarget]) -> str:
    if len(found) > 1:
        return "Time to any target, and who is the fastest there"
    one = found[0]
    names: list[str] = []
    for k in range(len(one.targets)):
        best = int(one.chance[:, k].argmax())
        if one.chance[best, k] > 0.5 and (not names or names[-1] != one.strategies[best]):
            names.append(one.strategies[best])
    if not names:
        return "At no target is one strategy likely to be the fastest"
    if len(names) == 1:
        return f"{short(names[0], 24)} is likely the fastest, whatever the target"
    return f"The fastest turns on the target: {short(', then '.join(dict.fromkeys(names)), 60)}"


def _seconds(axes: Axes, found: AnyTarget, results: Results) -> None:
    medians = np.array([[one.median for one in row] for row in found.seconds])
    axes.set_xlim(float(found.targets[0]), float(found.targets[-1]))
    log_axis(axes, "y", *log_limits(medians))
    labels = []
    for name, row in zip(found.strategies, medians, strict=True):
        known = np.isfinite(row)
        if known.any():
            style = _style(results, name)
            axes.plot(found.targets[known], row[known], color=style.color, ls=style.line, lw=1.8)
            last = np.flatnonzero(known)[-1]
            where = (float(found.targets[last]), float(row[last]))
            labels.append(Label(*where, label_of(results, found.workload, name), style.ink))
    axes.set(xlabel="target (score)", ylabel="training time to it, median (s)")
    beside(axes, labels)


def _chance(axes: Axes, found: AnyTarget, results: Results) -> None:
    axes.set_xlim(float(found.targets[0]), float(found.targets[-1]))
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    for name, row in zip(found.strategies, found.chance, strict=True):
        style = _style(results, name)
        axes.plot(found.targets, row, color=style.color, ls=style.line, lw=1.8)
    axes.set(xlabel="target (score)", ylabel="chance to be the fastest (%)")


def _style(results: Results, name: str) -> Style:
    known = styles(results)
    return known.get(name, next(iter(known.values())))
