"""Published and earlier results: where what was measured lies, against what counts as agreement."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.reproductions import COMPARISON, NUMBERS, Judged, Reproduction, statements
from paceline.bench.analysis.statistics import Interval
from paceline.bench.report.plots.style import BLUE, FAINT, GREEN, VERMILLION, context, new_figure, styled
from paceline.bench.report.wording import number

COLORS = {
    "agrees": GREEN,
    "holds": GREEN,
    "disagrees": VERMILLION,
    "fails": VERMILLION,
    "equivalent": VERMILLION,
}  # else BLUE
GREY = "#555555"

BEHIND: Any = {"fc": "white", "ec": "none", "pad": 0.5}  # of a text: what runs there would strike it through
MOST = 3.0  # times the way to the end of what counts as agreement: what lies farther is an arrow at the edge


@styled
def reproductions(results: Results) -> Figure | None:
    """Draw each measured number over the expected one, and each published comparison as a difference in score.

    Left: the grey bar is what counts as agreement, from its lower end over the expected number to its upper end; the
    dot is the measured median, an arrow where it leaves the picture, the line its interval. Right:
    differences in per cent of the score, positive in favour of what was published.

    Args:
        results: of a run.

    Returns:
        The figure; None if none of them was measured.
    """
    measured = [(wanted, wanted.measured(results)) for wanted in NUMBERS]
    numbers = [(wanted, found) for wanted, found in measured if not math.isnan(found.median)]
    judged = statements(results)
    if not numbers and not judged:
        return None
    count = max(len(numbers), len(judged))
    figure = new_figure("Do published and earlier results come out here?", 1.1 + 0.55 * count)
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    if len(trials):
        figure.supxlabel(context(results, trials, None), x=0.008, ha="left", size=8.5, color=GREY)
    kinds = [kind for kind, there in (("numbers", numbers), ("statements", judged)) if there]
    for kind, axes in zip(kinds, figure.subplots(1, len(kinds), squeeze=False)[0], strict=True):
        if kind == "numbers":
            _numbers(axes, numbers)
        else:
            _statements(axes, judged)
    return figure


def _numbers(axes: Axes, numbers: list[tuple[Reproduction, Interval]]) -> None:
    for place, (wanted, found) in enumerate(numbers):
        value, least, most = (_within(v, wanted) for v in (found.median, found.low, found.high))
        color = COLORS.get(wanted.verdict(found), BLUE)
        axes.barh(place, 2, left=-1, height=0.42, color="#e3e3e3", zorder=1)
        if not math.isnan(found.low):
            axes.hlines(place, least, most, color=color, lw=2.2, alpha=0.6)
        marker = "o" if abs(value) < MOST else "<" if value < 0 else ">"
        axes.plot([value], [place], marker, color=color, ms=6, mec="white", mew=0.6, zorder=4)
        whose = "" if wanted.published else " (our own)"
        text = f"{wanted.what}{whose}: {number(found.median)} {wanted.unit}".strip() + f" ({wanted.verdict(found)})"
        axes.text(0.0, place - 0.36, text, transform=axes.get_yaxis_transform(), size=8.5, color="#222222", va="bottom",
                  bbox=BEHIND)  # fmt: skip
    axes.axvline(0.0, color=FAINT, lw=1, ls=":", zorder=0)
    axes.set_xlim(-1.04 * MOST, 1.04 * MOST)
    axes.set_xticks([-1, 0, 1], ["least", "expected", "most"])
    axes.set_xlabel("measured, against what counts as agreement (grey: its range)")
    _rows(axes, len(numbers))


def _within(value: float, wanted: Reproduction) -> float:
    """Return where a value lies in its own range of agreement: -1 at the lower end, 0 as expected, 1 at the upper."""
    room = wanted.high - wanted.expected if value > wanted.expected else wanted.expected - wanted.low
    return float(np.clip((value - wanted.expected) / room, -MOST, MOST)) if room else 0.0


def _statements(axes: Axes, judged: list[Judged]) -> None:
    for place, found in enumerate(judged):
        share, color = 100 / abs(found.score), COLORS.get(found.verdict, BLUE)
        difference = found.difference
        if not math.isnan(difference.low):
            axes.hlines(place, difference.low * share, difference.high * share, color=color, lw=2.2, alpha=0.6)
        axes.plot([difference.median * share], [place], "o", color=color, ms=6, mec="white", mew=0.6, zorder=4)
        text = f"{found.workload}: {found.what} ({found.verdict})"
        axes.text(0.0, place - 0.36, _wrapped(text), transform=axes.get_yaxis_transform(), size=8.5, va="bottom",
                  bbox=BEHIND)  # fmt: skip
    axes.axvline(0.0, color=FAINT, lw=1, ls=":", zorder=0)
    axes.set_xlabel("difference in final score (% of the score)")
    _rows(axes, len(judged))


def _wrapped(text: str) -> str:
    """Break a long line near its middle."""
    if len(text) < 64:
        return text
    middle = text.find(" ", len(text) // 2)
    return f"{text[:middle]}\n{text[middle + 1 :]}"


def _rows(axes: Axes, count: int) -> None:
    axes.set_ylim(count - 0.4, -0.85)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
