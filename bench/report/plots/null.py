"""The null test: how far apart the same strategy comes out under two names."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.null_test import Null, nulls
from paceline.bench.report.plots.style import (
    BLUE,
    FAINT,
    log_axis,
    panels,
    styled,
    tick_text,
)
from paceline.bench.report.wording import in_words, two_digits

WIDE = 3.0  # a range of more than so many times is drawn on a logarithmic axis


@styled
def null(results: Results) -> Figure | None:
    """Draw the ratio of A to B in each block as a dot, and the 95 % interval of all of them.

    A and B are one strategy: without noise every dot would lie at 1. Beside a row stands by how much a single
    pair differs (one standard deviation).

    Args:
        results: of a run.

    Returns:
        The figure; None if no workload's null test has three blocks.
    """
    found = nulls(results)
    trials = results.trials[(results.trials["comparison"] == "null")]
    trials = trials[trials["workload"].isin({null.workload for null in found})]
    if trials.empty:
        return None
    apart = two_digits(float(np.expm1(found[0].noise)))
    said = f"One strategy under two names: a pair of trials differs by {apart}, of noise alone"
    question = "How far apart is one strategy under two names?"
    figure, rows = panels(said if len(found) == 1 else question, results, trials, 1, 2.2)
    for workload, _, [axes] in rows:
        _panel(axes, [null for null in found if null.workload == workload])
    return figure


def _panel(axes: Axes, found: list[Null]) -> None:
    shown = np.concatenate([np.exp(null.logs) for null in found])
    low, high = min(1.0, shown.min()), max(1.0, shown.max())
    ends = np.array([end for null in found for end in (null.comparison.low, null.comparison.high)])
    # An interval may widen the picture by its own width at each side; one that is wider leaves it.
    least, most = low**2 / high, high**2 / low
    low, high = min(low, max(least, ends.min())), max(high, min(most, ends.max()))
    span = max(high / low, 1.01)  # all but equal: a tick needs some width to stand in
    low, high = low / span**0.08, high * span**0.4  # room for what stands at the right
    axes.set_xlabel("A over B in the same block, A and B being the same (ratio)")
    axes.set_yticks(range(len(found)), [in_words(null.metric) for null in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    if high / low > WIDE:
        log_axis(axes, "x", low, high)
    else:
        axes.set_xlim(low, high)
        axes.xaxis.set_major_formatter(FuncFormatter(tick_text))
        axes.locator_params(axis="x", nbins=8)
    axes.axvline(1.0, color=FAINT, lw=1, zorder=0)
    for row, null in enumerate(found):
        heights = row + 0.2 + 0.08 * (np.arange(len(null.logs)) % 3 - 1)
        axes.plot(np.exp(null.logs), heights, "o", color=BLUE, ms=4, alpha=0.8, mew=0, label="_pairs")
        ends = np.clip([null.comparison.low, null.comparison.high], low, high)
        axes.plot(ends, [row - 0.12] * 2, color=BLUE, lw=3, alpha=0.45, label="_interval")
        axes.plot([null.comparison.ratio], [row - 0.12], "o", color=BLUE, ms=7, mec="white", mew=0.7, label=null.metric)
        text = f"a pair differs by {two_digits(float(np.expm1(null.noise)))}"
        axes.text(0.995, row, text, transform=axes.get_yaxis_transform(), ha="right", va="center", size=9)
