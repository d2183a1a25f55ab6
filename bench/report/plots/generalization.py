"""Large batches against the smallest: the difference in score over batch size, at equal steps, samples and seconds."""

import numpy as np
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.generalization import COMPARISON, HELD, sizes
from paceline.bench.report.plots.labels import Label, beside
from paceline.bench.report.plots.style import FAINT, log_axis, log_limits, panels, styled, styles_of


@styled
def generalization(results: Results) -> Figure | None:
    """Draw how much better each larger batch scored than the smallest, a line for each of what was held equal.

    Bars are 95 % intervals of paired differences; above the dotted line the larger batch is better.

    Args:
        results: of a run.

    Returns:
        The figure; None if no larger batch was measured beside the smallest.
    """
    found = sizes(results)
    if not found:
        return None
    trials = results.trials[(results.trials["comparison"] == COMPARISON) & (results.trials["search"] == "")]
    trials = trials[trials["workload"].isin({one.workload for one in found})]
    figure, rows = panels("What does the score owe to the batch size, each at its own rate?", results, trials, 1, 3.2)
    known = styles_of(set(HELD))
    for (_, _, [axes]), own in zip(rows, found, strict=True):
        smallest = int(own.smallest["batch_size"])
        every = sorted({one.batch_size for one in own.larger})
        log_axis(axes, "x", *log_limits([smallest, *every], pad=0.06))
        labels = []
        for shift, held in enumerate(HELD, -1):
            lines = [one for one in own.larger if one.held == held]
            if not lines:
                continue
            x = np.array([one.batch_size for one in lines]) * 1.04**shift
            y, low, high = np.array([(one.better.median, one.better.low, one.better.high) for one in lines]).T
            style = known[held]
            axes.vlines(x, low, high, color=style.color, lw=2, alpha=0.5, label="_interval")
            whole = np.concatenate([[smallest], x]), np.concatenate([[0.0], y])
            axes.plot(*whole, style.marker, color=style.color, ls=style.line, lw=1.4, ms=5, mec="white", label=held)
            where = "equal seconds (validation)" if held == "seconds" else f"equal {held}"
            labels.append(Label(float(x[-1]), float(y[-1]), where, style.ink))
        axes.axhline(0.0, color=FAINT, lw=1, ls=":", zorder=0)
        axes.set_xticks([smallest, *every], [str(size) for size in [smallest, *every]])
        axes.set_xlabel("batch size (samples)")
        axes.set_ylabel(f"better than B={smallest} by (score)")
        beside(axes, labels)
    return figure
