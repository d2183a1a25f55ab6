"""Scales of the inputs: samples to the target over the learning rate."""

import numpy as np
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.input_scales import COMPARISON, SCALES, scales
from paceline.bench.report.plots.labels import Label, around
from paceline.bench.report.plots.style import context, log_axis, log_limits, new_figure, short, styled, styles_of

GREY = "#555555"


@styled
def inputs(results: Results) -> Figure | None:
    """Draw the search of each scale: a dot is a trial that reached the target, at its learning rate.

    Lines join the means of rates at which all trials did; the large marker is the best rate. Rates at which some trials
    missed the target stand as triangles at the top, those at which some diverged as crosses.

    Args:
        results: of a run.

    Returns:
        The figure; None if no rate of any scale reached the target.
    """
    found = [(scale.name, one) for scale in scales(results) if (one := scale.search) and not one.failed.all()]
    if not found:
        return None
    figure = new_figure("How many samples does the target take, on which scale of the inputs?", 3.6)
    trials = results.trials[(results.trials["comparison"] == COMPARISON) & (results.trials["search"] != "")]
    key = "at the top: triangles missed the target, crosses diverged"
    figure.supxlabel(f"{context(results, trials, None)}; {key}", x=0.008, ha="left", size=8.5, color=GREY)
    axes = figure.subplots()
    values = {name: np.where(one.failed, np.nan, one.cost) for name, one in found}
    log_axis(axes, "x", *log_limits(*(one.rates for _, one in found), pad=0.04))
    low, high = log_limits(*values.values(), pad=0.1)
    log_axis(axes, "y", low, high * (high / low) ** 0.2)
    axes.set_xlabel("learning rate (no unit)")
    axes.set_ylabel("samples to target (samples)")
    known, labels, lines = styles_of({*SCALES, *(name for name, _ in found)}), [], []
    for row, (name, one) in enumerate(found):
        style, of = known[name], values[name]
        axes.plot(one.rates, of, "o", color=style.color, ms=2.6, alpha=0.5, mew=0, label="_trials")
        axes.plot(one.rates, of.mean(axis=1), color=style.color, ls=style.line, lw=1.3, label=name)
        lines.append((one.rates, of.mean(axis=1)))
        place, value = float(one.rates[one.best]), float(np.nanmean(of[one.best]))
        axes.plot(
            [place], [value], style.marker, color=style.color, ms=8, mec="white", mew=0.8, zorder=4, label="_best"
        )
        labels.append(Label(place, value, short(name), style.ink))
        lost = one.trials[one.trials["failed"]]
        for marker, chosen in (("x", lost["status"] == "diverged"), ("^", lost["status"] != "diverged")):
            rates = lost.loc[chosen, "lr"].unique()
            heights = np.full(len(rates), 0.97 - 0.04 * row)
            axes.plot(
                rates, heights, marker, transform=axes.get_xaxis_transform(), mfc="white", mec=style.color, ms=4,
                label="_lost",
            )  # fmt: skip
    around(axes, labels, lines)
    return figure
