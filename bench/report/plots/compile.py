"""Compiling: seconds since the start over steps, of a compiled model and of the same as it was written."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.compiling import Payoff, payoffs
from paceline.bench.analysis.frames import Results
from paceline.bench.report.plots.style import FAINT, KNOWN, log_axis, log_limits, number, panels, styled

LEAST, FURTHER = 1e4, 10.0  # steps that are shown at least; so many times further than where the lines meet


@styled
def compile(results: Results) -> Figure | None:
    """Draw the seconds that so many steps take from the start of the process, a panel a kind of batches.

    A compiled model starts later. Where its steps are faster the lines meet: there it has paid. The band is the 95 %
    interval of where that is.

    Args:
        results: of a run.

    Returns:
        The figure; None if no compiled model was measured beside the same as written.
    """
    found = [one for one in payoffs(results) if one.later_seconds.n]
    if not found:
        return None
    trials = results.trials[results.trials["comparison"] == "compile"]
    trials = trials[trials["workload"].isin({one.compiled["workload"] for one in found})]
    most = max(sum(other.compiled["workload"] == one.compiled["workload"] for other in found) for one in found)
    figure, rows = panels("After how many steps has compiling paid?", results, trials, most, 3.0)
    for workload, _, row in rows:
        own = [one for one in found if one.compiled["workload"] == workload]
        for axes, one in zip(row, own, strict=False):
            _panel(axes, one, first=one is own[0])
        for axes in row[len(own) :]:
            axes.set_axis_off()
    return figure


def _panel(axes: Axes, found: Payoff, first: bool) -> None:
    step = float(found.plain["seconds_per_step"])
    even = found.even_after
    last = LEAST if not math.isfinite(even.median) else max(LEAST, FURTHER * even.median)
    steps = np.geomspace(1, last, 200)
    started = float(found.started_seconds.median)
    lines = {
        "MiniBatch": ("as written", started + step * steps),
        "Compiled": ("compiled", started + found.later_seconds.median + step / found.speedup.comparison.ratio * steps),
    }
    if math.isfinite(even.low) and even.low < last:
        axes.axvspan(max(even.low, 1.0), min(even.high, last), color=FAINT, alpha=0.2, lw=0, label="_interval")
    for style, (name, seconds) in lines.items():
        axes.plot(steps, seconds, color=KNOWN[style].color, lw=2, label=name)
    if math.isfinite(even.median):
        axes.axvline(even.median, color=FAINT, lw=1, label="_even")
    axes.set_title(f"{found.batches} batches\n{_outcome(found)}", loc="left")
    axes.set_xlabel("training (steps)")
    log_axis(axes, "x", 1, last)
    log_axis(axes, "y", *log_limits(*(seconds for _, seconds in lines.values())))
    if first:
        axes.set_ylabel("time since the start (s)")
        axes.legend(loc="upper left", frameon=False, fontsize=9)


def _outcome(found: Payoff) -> str:
    even = found.even_after
    if math.isfinite(even.median) and math.isfinite(even.high):
        return f"has paid after {number(even.median)} steps"
    return "never pays" if math.isinf(even.low) else "not known to pay"
