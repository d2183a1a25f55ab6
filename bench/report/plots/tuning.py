"""Tuning: what each search found over the learning rate, and what to expect of fewer tried rates."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from paceline.bench.analysis.cotuned import found_along
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.rate_searches import SCORE, Searched, searches
from paceline.bench.analysis.tuning_effort import best_of
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.plots.findings import MOST
from paceline.bench.report.plots.labels import SIZE, Label, around, beside, flags
from paceline.bench.report.plots.style import (
    FAINT,
    Style,
    log_axis,
    log_limits,
    number,
    panels,
    short,
    styled,
    styles_of,
    tick_text,
)

STRIP = 0.2  # share of the height, at the worse end, for trials without a value
CROWD = 8  # most names that find a place among the lines; more stand beside the right panel only
ROWS = 24  # most searches that get a height of their own within it

Line = tuple[object, object]  # its x and its y


@styled
def tuning(results: Results) -> Figure | None:
    """Draw the searches of "tuning"; see ``drawn``."""
    return drawn(results, "tuning", "How much does each strategy owe to its learning rate?")


@styled
def optimizers(results: Results) -> Figure | None:
    """Draw the searches of "optimizers"; see ``drawn``."""
    return drawn(results, "optimizers", "How much does each optimizer owe to its learning rate?")


def drawn(results: Results, comparison: str, question: str) -> Figure | None:
    """Draw what each search of a comparison found, a line a search.

    On the left a dot is a trial at its learning rate; lines join the means of rates whose trials all have a value,
    and the large marker is the best rate. Trials that missed the target (open triangles) or diverged (crosses) have
    no value, and stand in a strip at the worse end. Full triangles at that end are means beyond it. On the right,
    what to expect of the best of fewer rates than were tried: see ``analysis.tuning_effort.best_of``.

    Args:
        results: of a run.
        comparison: whose searches.
        question: what the figure answers.

    Returns:
        The figure; None if the comparison holds no search.
    """
    # Where more than the rate changes along a line, it is no line over the rate.
    found = [one for one in searches(results, comparison) if not found_along(one)]
    if not found:
        return None
    trials = results.trials[(results.trials["comparison"] == comparison) & (results.trials["search"] != "")]
    trials = trials[trials["workload"].isin({one.workload for one in found})]
    known = styles_of({one.name for one in found})
    most = max(sum(one.workload == workload for one in found) for workload in trials["workload"].unique())
    deepest = 0.15 * min(most, 14) if found[0].higher else 0.0  # inches: as many flags may fly above each other
    height = max(3.6, 1.2 + 0.19 * most) + deepest
    figure, rows = panels(_finding(found, question), results, trials, 2, height, width_ratios=(3, 2))
    bests, ends = [], []
    for workload, _, (left, right) in rows:
        group = [one for one in found if one.workload == workload]
        bests.append((left, *_over_rates(left, group, known)))
        ends.append((right, _over_effort(right, group, known)))
    # Names beside an axes narrow it, and names above make it lower: room for both, before either is placed.
    reserved = [_reserve(axes, labels) for axes, labels in ends]
    for axes, labels, lines in bests:
        if found[0].higher:  # the best are on top: their names fly above
            flags(axes, labels)
        elif len(labels) <= CROWD:
            around(axes, labels, lines)
    for (axes, labels), room in zip(ends, reserved, strict=True):
        room.remove()
        beside(axes, labels)
    return figure


def _finding(found: list[Searched], question: str) -> str:
    """Return the score of each search of a lone workload at the rate it chose, the best first; else the question."""
    known = [one for one in found if not one.failed[one.best].all()]
    if len({one.workload for one in found}) > 1 or len(known) < 2 or known[0].metric != SCORE:
        return question
    known.sort(key=lambda one: float(one.cost[one.best].mean()))
    scores = [f"{short(one.name)} {one.sign * float(one.cost[one.best].mean()):.3g}" for one in known]
    said = f"Score at the rate chosen for each: {', '.join(scores)}"
    return said if len(said) <= MOST else question


def _reserve(axes: Axes, labels: list[Label]) -> Text:
    """Write the longest of ``labels`` where ``beside`` will, and return it."""
    longest = max((label.text for label in labels), key=len)
    place: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "annotation_clip": False}
    return axes.annotate(longest, (1, 0.5), (12, 0), size=SIZE, **place)


def _over_rates(axes: Axes, group: list[Searched], known: dict[str, Style]) -> tuple[list[Label], list[Line]]:
    """Draw the trials; return the names at the best rates, and the lines that they must not hide."""
    labels: list[Label] = []
    lines: list[Line] = []
    log_axis(axes, "x", *log_limits(*(one.rates for one in group), pad=0.04))
    axes.set_xlabel("learning rate (no unit)")
    _value_axis(axes, group, [one.sign * np.where(one.failed, np.nan, one.cost) for one in group])
    strip = any(one.failed.any() for one in group)
    if strip:
        _strip(axes, group[0])
    for row, one in enumerate(group):
        style = known[one.name]
        values = np.where(one.failed, np.nan, one.sign * one.cost)
        axes.plot(one.rates, values, "o", color=style.color, ms=2.6, alpha=0.5, mew=0, label="_trials")
        axes.plot(one.rates, values.mean(axis=1), color=style.color, ls=style.line, lw=1.3, label=one.name)
        lines.append((one.rates, values.mean(axis=1)))
        _beyond(axes, one, values.mean(axis=1), style, strip, row)
        if not one.failed[one.best].all():
            labels.append(
                Label(float(one.rates[one.best]), float(np.nanmean(values[one.best])), short(one.name), style.ink)
            )
            axes.plot(
                one.rates[[one.best]], np.nanmean(values[[one.best]], axis=1), style.marker, color=style.color,
                ms=8, mec="white", mew=0.8, zorder=4, label="_best",
            )  # fmt: skip
        if strip:
            _without_value(axes, one, style, 0.1 + 0.55 * (row % ROWS) / max(1, min(len(group), ROWS) - 1))
    return labels, lines


def _value_axis(axes: Axes, group: list[Searched], values: list[np.typing.NDArray[np.float64]]) -> None:
    """Set the y-axis to what the searches are worth, with room for a strip at the worse end."""
    metric, room = group[0].metric, STRIP if any(one.failed.any() for one in group) else 0.0
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    if metric != SCORE:
        low, high = log_limits(finite, pad=0.08)
        log_axis(axes, "y", low, high * (high / low) ** (room / (1 - room)))
        axes.set_ylabel(SHOWN[metric].label)
        return
    # What is far from the best score would press all that matters into a line: those leave the picture.
    higher = group[0].higher
    axes.set_ylabel(f"final score (no unit, {'higher' if higher else 'lower'} is better)")
    axes.yaxis.set_major_formatter(FuncFormatter(tick_text))
    if not len(finite):
        axes.set_ylim(0, 1)
        return
    best, worst = (finite.max(), finite.min()) if higher else (finite.min(), finite.max())
    typical = np.median([one.sign * np.median(one.cost.mean(axis=1)) for one in group])
    far, usual = abs(best - worst), 2 * abs(best - typical)
    span = (min(far, usual) if usual else far) or 0.02 * abs(best) or 1.0
    worse = -span if higher else span
    axes.set_ylim(*sorted((best - 0.06 * worse, best + worse * (1.04 + room / (1 - room)))))


def _strip(axes: Axes, first: Searched) -> None:
    """Mark the strip, and cover lines that would run through it."""
    bottom = first.metric == SCORE and first.higher
    low, high = (0.0, STRIP) if bottom else (1 - STRIP, 1.0)
    edge = high if bottom else low
    axes.add_patch(Rectangle((0, low), 1, high - low, fc="white", ec="none", transform=axes.transAxes, zorder=2.5))
    axes.plot([0, 1], [edge, edge], color=FAINT, lw=0.8, ls=":", transform=axes.transAxes, zorder=2.6, label="_edge")
    what = "crosses: diverged" if first.metric == SCORE else "crosses: diverged, triangles: target missed"
    inner, side = (high - 0.01, "top") if bottom else (low + 0.01, "bottom")
    axes.text(0.99, inner, what, transform=axes.transAxes, ha="right", va=side, size=8.5, color="#555555")
    limit = axes.transData.inverted().transform(axes.transAxes.transform((0, edge)))[1]
    for minor in (False, True):
        ticks = [tick for tick in axes.get_yticks(minor=minor) if (tick >= limit if bottom else tick <= limit)]
        axes.set_yticks([tick for tick in ticks if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]], minor=minor)


def _beyond(
    axes: Axes, one: Searched, means: np.typing.NDArray[np.float64], style: Style, strip: bool, row: int
) -> None:
    """Mark with a triangle the rates whose mean is so far from the best that it leaves the picture."""
    if one.metric != SCORE:
        return
    low, high = axes.get_ylim()
    room = (STRIP if strip else 0.0) * (high - low)
    beyond = means < low + room if one.higher else means > high - room
    place = (STRIP if strip else 0.0) + 0.02 + 0.025 * (row % 8)  # of several at one rate each is seen
    y = np.full(int(beyond.sum()), place if one.higher else 1 - place)
    axes.plot(
        one.rates[beyond], y, "v" if one.higher else "^", color=style.color, ms=5, mew=0, zorder=4, label="_beyond",
        transform=axes.get_xaxis_transform(),
    )  # fmt: skip


def _without_value(axes: Axes, one: Searched, style: Style, height: float) -> None:
    """Draw the trials without a value of one search, in its own row of the strip."""
    lost = one.trials[one.trials["failed"]]
    diverged = lost["status"] == "diverged"
    bottom = one.metric == SCORE and one.higher
    y = STRIP * height if bottom else 1 - STRIP * height
    for marker, chosen in (("x", lost[diverged]), ("^", lost[~diverged])):
        rates = chosen["lr"].unique()
        shape: Any = {"mfc": "white", "mec": style.color, "ms": 4, "mew": 1.0, "zorder": 3}
        axes.plot(rates, np.full(len(rates), y), marker, transform=axes.get_xaxis_transform(), label="_lost", **shape)


def _over_effort(axes: Axes, group: list[Searched], known: dict[str, Style]) -> list[Label]:
    """Draw the expected best over the number of tried rates; return the names at the lines' ends."""
    labels, curves = [], []
    for one in group:
        ks = np.arange(1, len(one.rates) + 1)
        curves.append((one, ks, np.array([one.sign * best_of(one, int(k)).mean() for k in ks])))
    score = group[0].metric == SCORE
    if score:  # of one or two rates nobody expects much, and it would press all others into a line
        ends = [float(v) for _, _, y in curves for v in y[min(2, len(y) - 1) :]]
        room = 0.08 * (max(ends) - min(ends)) or 0.01 * abs(max(ends)) or 1.0
        axes.set_ylim(min(ends) - room, max(ends) + room)
    else:
        log_axis(axes, "y", *log_limits(np.concatenate([y for _, _, y in curves]), pad=0.08))
    for one, ks, y in curves:
        style = known[one.name]
        line: Any = {"color": style.color, "ls": style.line, "lw": 1.4, "ms": 4.5, "mec": "white", "mew": 0.5}
        axes.plot(ks, y, style.marker, **line, label=one.name)
        value = f"{y[-1]:.3g}" if score else f"{number(float(y[-1]))}{' s' * one.metric.startswith('seconds')}"
        value = "not reached" if one.failed[one.best].all() else value  # what is drawn is what a miss counts as
        labels.append(Label(float(ks[-1]), float(y[-1]), f"{short(one.name)} {value}", style.ink))
    axes.set_xlabel("rates tried (number)")
    axes.set_ylabel(f"expected best {'score (no unit)' if score else SHOWN[group[0].metric].label}")
    most = max(int(ks[-1]) for _, ks, _ in curves)
    axes.set_xlim(0.6, most + 0.4)
    axes.set_xticks(range(1, most + 1, 1 if most <= 10 else 2))
    return labels
