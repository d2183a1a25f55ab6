"""Regularization: what each regularizer does to the final score, and to the gap between held-out and training loss."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.frames import Results
from bench.plots.style import BLUE, FAINT, panels, styled
from bench.regularization import COMPARISON, LABELS, Effect, effects
from bench.statistics import Interval


@styled
def regularization(results: Results) -> Figure | None:
    """Draw, a row a regularizer, how much better the final score is than without it, and the gap between the losses.

    Dots are medians over seeds, lines their 95 % intervals (none below three seeds).

    Args:
        results: of a run.

    Returns:
        The figure; None if there are no trials of "regularization".
    """
    found = effects(results)
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    if not found:
        return None
    of_problem = {effect.cell["workload"]: effect.problem for effect in found}
    trials = trials.assign(workload=trials["workload"].map(of_problem)).dropna(subset=["workload"])
    figure, rows = panels("What does each regularizer do?", results, trials, 2, 3.0)
    for problem, _, (left, right) in rows:
        own = [effect for effect in found if effect.problem == problem]
        _panel(left, own, [effect.better for effect in own], "final score, better than without (difference)")
        _panel(right, own, [effect.gap for effect in own], "held-out less training loss")
        left.axvline(0, color=FAINT, lw=1, zorder=0)
        right.set_yticklabels([])
    return figure


def _panel(axes: Axes, effects: list[Effect], values: list[Interval], label: str) -> None:
    for place, (effect, value) in enumerate(zip(effects, values, strict=True)):
        if not value.n:
            axes.plot([0], [place], "|", color=FAINT, ms=10, label="_none")
            continue
        color = FAINT if effect.label == "none" else BLUE
        if not np.isnan(value.low):
            axes.hlines(place, value.low, value.high, color=color, lw=3, alpha=0.45)
        axes.plot([value.median], [place], "o", color=color, ms=7, mec="white", mew=0.7, label=effect.label)
    axes.set_yticks(range(len(effects)), [LABELS[effect.label] for effect in effects])
    axes.set_ylim(len(effects) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.locator_params(axis="x", nbins=6)
