"""Regularization: what each kind does to the final score, and to the gap between test and training loss."""

import math

from matplotlib.figure import Figure

from paceline.bench.analysis.families import stand
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.regularization import COMPARISON, NONE, effects
from paceline.bench.analysis.statistics import ERROR, p_value
from paceline.bench.report.plots.style import BLUE, FAINT, GREEN, VERMILLION, context, new_figure, short, styled

GREY = "#555555"

COLORS: dict[str, str] = {"better": GREEN, "worse": VERMILLION}  # else BLUE


@styled
def regularization(results: Results) -> Figure | None:
    """Draw the difference of each kind to training without any: small dots are seeds, bars their 95 % intervals.

    Green is an improvement that stands among all that are judged, as in the claim, vermillion a harm, blue what is not
    resolved, or no difference that counts.

    Args:
        results: of a run.

    Returns:
        The figure; None if no kind was measured beside training without any.
    """
    found = [effect for effect in effects(results) if effect.kind != NONE]
    if not found:
        return None
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    key = "green: better than without, vermillion: worse, blue: neither is resolved"
    judged = [judge for effect in found for judge in (effect.improved, effect.narrower)]
    stands = stand([p_value(judge) for judge in judged])
    colors = [COLORS.get(judge(ERROR), BLUE) if kept else BLUE for judge, kept in zip(judged, stands, strict=True)]
    several = len({effect.workload for effect in found}) > 1
    names = [short(f"{e.workload} {e.kind}", 30) if several else e.kind for e in found]
    better = [name for name, color in zip(names, colors[::2], strict=True) if color == GREEN]
    said = (
        f"Better than without: {short(', '.join(better), 62)}"
        if better
        else "No regularizer is resolved to be better than none"
    )
    figure = new_figure(said, 1.3 + 0.42 * len(found))
    figure.supxlabel(f"{context(results, trials, None)}; {key}", x=0.008, ha="left", size=8.5, color=GREY)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, column, of_column, label in (
        (left, "better", colors[::2], "final score, better than without (units of the score)"),
        (right, "wider", colors[1::2], "gap of test to training loss, minus that without (loss)"),
    ):
        for place, (effect, color) in enumerate(zip(found, of_column, strict=True)):
            one = effect.interval(column)
            if not math.isnan(one.low):
                axes.hlines(place, one.low, one.high, color=color, lw=2.2, alpha=0.6)
            values = effect.trials[column]
            axes.plot(values, [place + 0.2] * len(values), "o", color=FAINT, ms=3, label="_seeds")
            axes.plot([one.median], [place], "o", color=color, ms=6, mec="white", mew=0.6, zorder=4, label=names[place])
        axes.axvline(0.0, color=FAINT, lw=1, ls=":", zorder=0)
        axes.set_xlabel(label)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    left.set_yticks(range(len(found)), names)
    left.set_ylim(len(found) - 0.5, -0.5)
    return figure
