"""Regret against cost: how wrong each way to choose is, the longer it searches."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from paceline.bench.analysis.regret import GOAL, SHARE_OF_COST, SHARE_OF_WORKLOADS, at_cost, curve, judged
from paceline.bench.analysis.searches import ADVISOR, VERIFIED
from paceline.bench.report.plots.style import BLACK, FAINT, WIDTH, log_axis, styled, styles_of

COSTS = tuple(np.geomspace(0.003, 1.0, 40).tolist())
SHOWN = (0.003, 3.0)  # of regrets, as a share


@styled
def regret(found: pd.DataFrame) -> Figure | None:
    """Draw the share of searches within the goal, and the 90th percentile of regret, against what they cost.

    Args:
        found: of ``analysis.regret.regrets``.

    Returns:
        The figure; None if there are no searches.
    """
    if found.empty:
        return None
    curves = curve(judged(found), COSTS)
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    looks = styles_of(set(curves["search"]))
    for name, points in curves.groupby("search", sort=False):
        look = looks[str(name)]
        ours = name in (ADVISOR, VERIFIED)
        line = {
            "color": BLACK if ours else look.color,
            "lw": 2.6 if ours else 1.3,
            "ls": "-" if name == ADVISOR else "--" if ours else look.line,
            "zorder": 3 if ours else 2,
        }
        left.plot(100 * points["cost"], 100 * points["within"], label=name, drawstyle="steps-post", **line)
        ninetieth = points["ninetieth"].clip(*SHOWN).where(np.isfinite(points["ninetieth"]))
        right.plot(100 * points["cost"], 100 * ninetieth, drawstyle="steps-post", **line)
    left.set_ylabel(f"searches within {GOAL:.0%} of the best (%)")
    right.set_ylabel("regret, 90th percentile (%)")
    left.set_ylim(0, 102)
    left.axhline(100 * SHARE_OF_WORKLOADS, color=FAINT, lw=1, zorder=0)
    right.axhline(100 * GOAL, color=FAINT, lw=1, zorder=0)
    for axes in (left, right):
        axes.set_xlabel("cost (% of training every configuration)")
        axes.axvline(100 * SHARE_OF_COST, color=FAINT, lw=1, zorder=0)
        log_axis(axes, "x", 100 * COSTS[0], 100 * COSTS[-1])
    log_axis(right, "y", 100 * SHOWN[0], 100 * SHOWN[1])
    figure.suptitle(_finding(found), x=0.01, ha="left", weight="bold")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def _finding(found: pd.DataFrame) -> str:
    ours = at_cost(judged(found[found["search"] == ADVISOR]), SHARE_OF_COST)["regret"]
    return (
        f"{(ours <= GOAL).mean():.0%} of searches end within {GOAL:.0%} of the best, for at most {SHARE_OF_COST:.0%} "
        "of what training everything takes"
    )
