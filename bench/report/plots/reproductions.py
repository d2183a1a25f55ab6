"""Published and earlier results: where what was measured lies, against what counts as agreement."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.reproductions import COMPARISON, NUMBERS, Judged, Reproduction, statements
from paceline.bench.analysis.statistics import Interval
from paceline.bench.report.plots.style import BLUE, FAINT, GREEN, VERMILLION, context, log_axis, new_figure, styled
from paceline.bench.report.wording import number

COLORS = {
    "agrees": GREEN,
    "holds": GREEN,
    "disagrees": VERMILLION,
    "fails": VERMILLION,
    "equivalent": VERMILLION,
}  # else BLUE
GREY = "#555555"


@styled
def reproductions(results: Results) -> Figure | None:
    """Draw each measured number over the expected one, and each published comparison as a difference in score.

    Left: the grey bar is what counts as agreement, the dot the measured median, the line its interval. Right:
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
    ends = [1.0]
    for place, (wanted, found) in enumerate(numbers):
        low, high = wanted.low / wanted.expected, wanted.high / wanted.expected
        value, least, most = (v / wanted.expected for v in (found.median, found.low, found.high))
        color = COLORS.get(wanted.verdict(found), BLUE)
        axes.barh(place, high - low, left=low, height=0.42, color="#e3e3e3", zorder=1)
        if not math.isnan(found.low):
            axes.hlines(place, least, most, color=color, lw=2.2, alpha=0.6)
        axes.plot([value], [place], "o", color=color, ms=6, mec="white", mew=0.6, zorder=4)
        whose = "" if wanted.published else " (our own)"
        text = f"{wanted.what}{whose}: {number(found.median)} {wanted.unit}".strip() + f" ({wanted.verdict(found)})"
        axes.text(0.0, place - 0.36, text, transform=axes.get_yaxis_transform(), size=8.5, color="#222222", va="bottom")
        ends += [end for end in (low, high, value, least, most) if not math.isnan(end)]
    axes.axvline(1.0, color=FAINT, lw=1, ls=":", zorder=0)
    log_axis(axes, "x", min(ends) / 1.15, max(ends) * 1.15, spacing=0.5)
    axes.set_xlabel("measured over expected (grey: what counts as agreement)")
    _rows(axes, len(numbers))


def _statements(axes: Axes, judged: list[Judged]) -> None:
    for place, found in enumerate(judged):
        share, color = 100 / abs(found.score), COLORS.get(found.verdict, BLUE)
        difference = found.difference
        if not math.isnan(difference.low):
            axes.hlines(place, difference.low * share, difference.high * share, color=color, lw=2.2, alpha=0.6)
        axes.plot([difference.median * share], [place], "o", color=color, ms=6, mec="white", mew=0.6, zorder=4)
        text = f"{found.workload}: {found.what} ({found.verdict})"
        axes.text(0.0, place - 0.36, _wrapped(text), transform=axes.get_yaxis_transform(), size=8.5, va="bottom")
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
