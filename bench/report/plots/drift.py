"""The run's picture of drift: what one and the same cell took, from the first block of a run to its last."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from paceline.bench.analysis.anchor import anchors
from paceline.bench.analysis.frames import Results
from paceline.bench.report.plots.style import (
    BLUE,
    FAINT,
    log_axis,
    log_limits,
    new_figure,
    number,
    short,
    styled,
    tick_text,
)
from paceline.bench.report.wording import in_words

WIDE = 1.6  # a range of more than so many times is drawn on a logarithmic axis


@styled
def drift(results: Results) -> Figure | None:
    """Draw the time per step of each anchor as a dot, in the order in which they ran, and the mean of each comparison.

    A steady machine is a level row of dots. Anchors that ran while learning rates were searched are hollow.

    Args:
        results: of a run.

    Returns:
        The figure; None for a run without anchors.
    """
    found = anchors(results)
    if found.empty:
        return None
    took = 1e3 * found["seconds"].to_numpy(float)
    means = [float(np.exp(np.log(took[first : last + 1]).mean())) for _, first, last in _spans(found)]
    said = f"One and the same step took from {number(min(means))} to {number(max(means))} ms, comparison by comparison"
    figure = new_figure(said if len(means) > 1 else "How steady was the machine?", 3.4)
    axes = figure.subplots()
    places = np.arange(len(found))
    low, high = log_limits(took, pad=0.2)
    if high / low > WIDE:
        log_axis(axes, "y", low, high)
    else:
        axes.set_ylim(low, high)
        axes.yaxis.set_major_formatter(FuncFormatter(tick_text))
    axes.set_xlim(-0.7, len(found) - 0.3)
    axes.set_ylabel("anchor: time per step (ms)")
    axes.set_xlabel("anchors in the order in which they ran (one a block)")
    axes.axhline(float(np.exp(np.log(took).mean())), color=FAINT, lw=1, zorder=0)
    searched = found["search"].to_numpy(bool)
    axes.plot(places[~searched], took[~searched], "o", color=BLUE, ms=4.5, mew=0, label="_blocks")
    axes.plot(places[searched], took[searched], "o", color=BLUE, ms=4.5, mfc="white", label="_searches")
    middles, names = [], []
    for (name, first, last), mean in zip(_spans(found), means, strict=True):
        axes.plot([first - 0.3, last + 0.3], [mean] * 2, color=BLUE, lw=4, alpha=0.35, label="_means")
        if first:
            axes.axvline(first - 0.5, color=FAINT, lw=0.6, zorder=0)
        middles.append((first + last) / 2)
        names.append(short(name))
    axes.set_xticks(middles, names, rotation=90, size=9)
    axes.tick_params(axis="x", length=0)
    return figure


def _spans(found: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Return each comparison's name with the places of its first and last anchor, where they follow one another."""
    spans: list[tuple[str, int, int]] = []
    for place, (comparison, environment) in enumerate(zip(found["comparison"], found["environment"], strict=True)):
        name = in_words(comparison) + (f"@{environment}" if environment else "")
        if spans and spans[-1][0] == name:
            spans[-1] = name, spans[-1][1], place
        else:
            spans.append((name, place, place))
    return spans
