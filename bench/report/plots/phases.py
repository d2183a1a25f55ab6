"""Where a step's time goes: a stacked bar a cell."""

from collections import Counter

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.phases import COMPARISON, Breakdown, breakdowns
from paceline.bench.records.record import PHASES
from paceline.bench.report.plots.findings import MOST
from paceline.bench.report.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    number,
    panels,
    short,
    styled,
)

NAMES = {
    "data": "waiting for data",
    "host_to_device": "host to device",
    "forward": "forward",
    "backward": "backward",
    "optimizer": "optimizer",
    "communication": "communication",
    "rest": "the rest",
}

COLORS = dict(zip(PHASES, (ORANGE, PURPLE, SKY, BLUE, GREEN, VERMILLION, FAINT), strict=True))

LEAST_WITH_NUMBER = 0.06  # of a step: a narrower part has no room for it


@styled
def phases(results: Results) -> Figure | None:
    """Draw, for each workload, a bar a cell from 0 to 100 % of its profiled step, and what that takes.

    Args:
        results: of a run.

    Returns:
        The figure; None if no step was profiled.
    """
    found = breakdowns(results)
    if not found:
        return None
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    trials = trials[trials["workload"].isin({one.cell["workload"] for one in found})]
    bars = Counter(one.cell["workload"] for one in found)
    heights = {workload: 1.1 + 0.36 * count for workload, count in bars.items()}
    figure, rows = panels(_finding(found), results, trials, 1, heights)
    drawn = [phase for phase in PHASES if any(one.share(phase) > 0 for one in found)]
    for index, (workload, _, (axes,)) in enumerate(rows):
        own = [one for one in found if one.cell["workload"] == workload]
        _bars(axes, own, drawn)
        if index == 0:
            axes.legend(
                loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(drawn), frameon=False, fontsize=8.5,
                handlelength=1.0, columnspacing=1.2,
            )  # fmt: skip
    return figure


def _finding(found: list[Breakdown]) -> str:
    """Return what takes most of a step, where that is resolved: of most strategies, and of whom it is another part."""
    of = {_name(one, found): one.largest for one in found}
    question = "Where does a step's time go, and what does it take when it is profiled?"
    if any(of[_name(one, found)] != one.largest or not one.largest for one in found):
        return question
    (usual, _), *others = Counter(of.values()).most_common()
    said = f"Most of a step goes to {NAMES[usual]}"
    for phase, _ in others:
        said += f"; with {' and '.join(name for name, most in of.items() if most == phase)} to {NAMES[phase]}"
    return said if len(said) <= MOST else question


def _bars(axes: Axes, found: list[Breakdown], drawn: list[str]) -> None:
    for place, one in enumerate(found):
        left = 0.0
        for phase in drawn:
            share = 100 * one.share(phase)
            label = NAMES[phase] if place == 0 else f"_{phase}"
            axes.barh(place, share, 0.72, left=left, color=COLORS[phase], ec="white", lw=0.6, label=label)
            if share >= 100 * LEAST_WITH_NUMBER:
                ink = "white" if phase in ("backward", "communication", "optimizer") else "black"
                axes.text(left + share / 2, place, f"{share:.0f}", ha="center", va="center", color=ink, fontsize=8.5)
            left += share
        step = f"{number(1e3 * one.step_seconds.median)} ms"
        axes.text(101, place, step, ha="left", va="center", fontsize=9)
    axes.set_yticks(range(len(found)), [_name(one, found) for one in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(0, 109)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("share of a profiled step (%)")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _name(found: Breakdown, all_found: list[Breakdown]) -> str:
    name, ranks = short(str(found.cell["trainer"])), int(found.cell["world_size"])
    again = sum(other.cell["trainer"] == found.cell["trainer"] for other in all_found) > 1
    name = short(str(found.cell["cell"]).removeprefix(f"{found.cell['workload']}-"), 24) if again else name
    return f"{name}, {ranks} ranks" if ranks > 1 else name
