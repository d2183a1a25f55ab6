"""The gradient noise scale along a run, by each way of measuring it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.critical_batch_fit import CriticalBatch
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.noise_along_run import method_name, observed, optimizer_of, series
from paceline.bench.analysis.noise_prediction import ADAPTIVE
from paceline.bench.records.record import Record
from paceline.bench.report.plots.labels import Label, beside
from paceline.bench.report.plots.style import (
    BLACK,
    BLUE,
    ORANGE,
    PURPLE,
    SKY,
    Style,
    log_axis,
    log_limits,
    number,
    panels,
    styled,
)

STYLES = {
    "single samples": Style(BLACK, "s", "-"),
    "two batch sizes": Style(BLUE, "o", "-"),
    "micro-batches": Style(ORANGE, "D", (0, (4, 1, 1, 1))),
    "ranks": Style(SKY, "p", (0, (5, 1.5))),
}

GREY = "#6f6f6f"

Lines = dict[str, dict[int, list[float]]]  # by method, the values of each trial at each step


@styled
def noise_scale(results: Results) -> Figure | None:
    """Draw the noise scale over steps, both logarithmic: one panel for plain gradients, one for adaptive optimizers.

    Lines join medians over seeds, where every seed has a value. Dots are single trials, each with its last at the
    target. The purple band is the critical batch size that a sweep found, with its interval.

    Args:
        results: of a run.

    Returns:
        The figure; None if no noise was observed.
    """
    found = observed(results)
    trials = results.trials[results.trials["cell"].isin(set(found)) & (results.trials["comparison"] == "noise_scale")]
    if trials.empty:
        return None
    adaptive = any(optimizer_of(records[0]) in ADAPTIVE for records in found.values())
    plain = any(optimizer_of(records[0]) not in ADAPTIVE for records in found.values())
    kinds = [kind for kind, there in ((False, plain), (True, adaptive)) if there]
    figure, rows = panels(_finding(found), results, trials, len(kinds), 3.9, sharey=True)
    drawn, sweeps = [], of_mini_batch(results)
    for workload, _, columns in rows:
        of = [records for records in found.values() if records[0].workload == workload]
        lines = {kind: _lines([r for r in of if (optimizer_of(r[0]) in ADAPTIVE) == kind]) for kind in kinds}
        band = sweeps[workload].fit if workload in sweeps and sweeps[workload].fit.identifiable else None
        values = [v for each in lines.values() for line in each.values() for some in line.values() for v in some]
        limits = log_limits(values, [] if band is None else [band.critical_batch_size])
        for kind, axes in zip(kinds, columns, strict=True):
            names = dict.fromkeys(optimizer_of(r[0]) for r in of if (optimizer_of(r[0]) in ADAPTIVE) == kind)
            axes.set_title("under " + " and ".join(names), loc="left")
            drawn.append((axes, _panel(axes, lines[kind], limits, band)))
        columns[0].set_ylabel("gradient noise scale (samples)")
    for axes, labels in drawn:
        beside(axes, labels)
    return figure


def _finding(found: Mapping[str, Sequence[Record]]) -> str:
    """Return from where to where the noise scale goes, by the first method of the first cell of a lone workload."""
    cells = list(found.values())
    if len({records[0].workload for records in cells}) == 1:
        lines = _lines(cells[:1])
        for name in (name for name in STYLES if name in lines):
            seeds = max(map(len, lines[name].values()))
            whole = [v for _, v in sorted(lines[name].items()) if len(v) == seeds and np.isfinite(v).all()]
            if len(whole) > 1:
                first, last = (number(float(np.median(values))) for values in (whole[0], whole[-1]))
                return f"Under {optimizer_of(cells[0][0])} the noise scale goes from {first} to {last} samples"
    return "How noisy is the gradient: which batch is as much noise as signal?"


def _lines(cells: Sequence[Sequence[Record]]) -> Lines:
    """Return the values to draw; of strategies that make the same steps, each method is drawn once."""
    found: Lines = {}
    for records in cells:
        here: Lines = {}
        for record in records:
            for method, along in series(record).items():
                line = here.setdefault(method_name(method, record), {})
                for step, value in zip(along.steps, along.values, strict=True):
                    line.setdefault(step, []).append(float(value))
        found = here | found
    return found


def _panel(axes: Axes, lines: Lines, limits: tuple[float, float], critical: CriticalBatch | None) -> list[Label]:
    """Draw the lines and the critical batch size; return what is to be written beside them."""
    steps = [step for line in lines.values() for step in line] or [1]
    log_axis(axes, "x", *log_limits(steps, pad=0.04))
    log_axis(axes, "y", *limits)
    axes.set_xlabel("training (steps)")
    labels: list[Label] = []
    if not any(np.isfinite(v) for line in lines.values() for values in line.values() for v in values):
        axes.text(0.5, 0.5, "hidden: |G|² or the noise not above 0", transform=axes.transAxes, ha="center", color=GREY)
    if critical is not None:
        axes.axhspan(critical.low, critical.high, color=PURPLE, alpha=0.15, lw=0, zorder=0)
        axes.axhline(critical.critical_batch_size, color=PURPLE, lw=1, zorder=0)
        at = max(steps), critical.critical_batch_size
        labels.append(Label(*at, f"critical batch {number(at[1])}", Style(PURPLE, "", "-").ink))
    for name in sorted(lines, key=list(STYLES).index):
        style, line = STYLES[name], dict(sorted(lines[name].items()))
        dots = [(step, v) for step, values in line.items() for v in values if np.isfinite(v)]
        if not dots:
            continue
        axes.plot(*zip(*dots, strict=True), style.marker, color=style.color, ms=3.2, alpha=0.45, mew=0, label="_trials")
        seeds = max(map(len, line.values()))
        whole = {step: v for step, v in line.items() if len(v) == seeds and np.isfinite(v).all()}
        x, y = list(whole), [float(np.median(v)) for v in whole.values()]
        axes.plot(x, y, color=style.color, ls=style.line, lw=1.5, label=name)
        last = (x[-1], y[-1]) if x else dots[-1]
        # A lone point stands amid its axes, which names beside them would push it away from.
        end = axes.get_xlim()[1] if len(set(steps)) == 1 else float(last[0])
        labels.append(Label(end, float(last[1]), name, style.ink))
    return labels
