"""The card as a picture, and the time to the target of everything that was tried."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from paceline.bench.analysis.card import Alternative, Card, Pays, Row
from paceline.bench.analysis.card_of_run import cards
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.tried import Role, Tried, everything_tried
from paceline.bench.report.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    SKY,
    VERMILLION,
    log_axis,
    log_limits,
    new_figure,
    short,
    styled,
    tick_text,
)

COLORS: dict[Pays, str] = {"no": VERMILLION, "yes": GREEN, "same": SKY, "undecided": ORANGE}
SAID: dict[Pays, str] = {"no": "costs more", "yes": "pays", "same": "as good", "undecided": "undecided"}

MOST = 70  # characters in the width of a figure beside the card
BESIDE = 8.0  # inches, its width: it is shown smaller than others, and its words are to be read
ROW = 0.23  # inches
WIDEST = 32.0  # times: what takes longer leaves the picture


@styled
def card(results: Results) -> Figure | None:
    """Draw each decision of each card: what every alternative takes over what was chosen, with its interval.

    Left of 1 an alternative takes less. Colours say whether to take it; where its interval leaves the picture it ends
    in an arrow.

    Args:
        results: of a run.

    Returns:
        The figure; None if there is no card.
    """
    found = [one for one in cards(results) if one.rows]
    if not found:
        return None
    heights = [0.9 + ROW * sum(1 + len(row.alternatives) for row in one.rows) for one in found]
    figure = new_figure("What each alternative takes over what is used", sum(heights))
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for one, part in zip(found, parts, strict=True):
        part.suptitle(_heading(one), x=0.008, ha="left", size=10, color="#555555")
        _draw(part.subplots(), one.rows)
    return figure


def _heading(one: Card) -> str:
    if one.use is None:
        return "elsewhere: what steps alone take"
    return f"{short(one.workload, 40)}: {short(one.use.python, 90)}"


def _draw(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set(xscale="log", xlim=(1 / 3, WIDEST))
    labels, y = [], 0
    for row in rows:
        chosen = row.chosen if row.decision == "memory" else " or ".join(row.any_of)
        heading, across = f"{row.decision}: {short(chosen, 60)}", axes.get_yaxis_transform()
        axes.text(0.006, y, heading, transform=across, weight="bold", size=9, va="center")
        y += 1
        for one in row.alternatives:
            _alternative(axes, one, y)
            labels.append((y, short(one.name, 40)))
            y += 1
    axes.axvline(1, color=FAINT, lw=0.8, zorder=0)
    axes.set_yticks([place for place, _ in labels], [name for _, name in labels], size=9)
    axes.set_ylim(y - 0.4, -0.6)
    axes.xaxis.set_major_locator(FixedLocator([0.5, 1, 2, 4, 8, 16, 32]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.set_xlabel("takes so many times what is used (x)")
    for pays, color in COLORS.items():
        axes.plot([], [], "o", color=color, label=SAID[pays])
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=9, handletextpad=0.1)


def _alternative(axes: Axes, one: Alternative, y: int) -> None:
    found, color = one.takes.comparison, COLORS[one.pays]
    ratio = found.ratio if math.isfinite(found.ratio) else WIDEST
    shown = min(max(ratio, 0.34), WIDEST * 0.97)
    if not math.isnan(found.low):
        axes.plot([max(found.low, 0.34), min(found.high, WIDEST)], [y, y], color=color, lw=2.5, alpha=0.5)
    axes.plot([shown], [y], "o" if shown == ratio and not one.takes.bound else ">", color=color, ms=6)


ROLES: dict[Role, tuple[str, str, str]] = {
    "chosen": ("*", BLUE, "what to use"),
    "tie": ("o", ORANGE, "not resolved from it"),
    "default": ("D", VERMILLION, "the default"),
    "": ("o", "#777777", "takes more"),
}


@styled
def tried(results: Results, only: str | None = None) -> Figure | None:
    """Draw when everything that was tried reached the target: a configuration a row, the soonest on top.

    Large: the median and its interval. Small: a trial each, filled; hollow those at the other rates that were searched.
    At the right edge: trials that missed the target.

    Args:
        results: of a run.
        only: a workload; None draws all.

    Returns:
        The figure; None if nothing raced to a target.
    """
    wanted = [one for one in cards(results) if one.workload and only in (None, one.workload)]
    found = [(one, everything_tried(results, one)) for one in wanted]
    found = [(one, rows) for one, rows in found if any(row.seconds.median > 0 for row in rows)]
    if not found:
        return None
    heights = [0.95 + 0.27 * max(len(rows), 3) for _, rows in found]
    heading = _finding(*found[0]) if len(found) == 1 else "Time to target of everything that was tried"
    figure = new_figure(heading, sum(heights), BESIDE)
    parts = figure.subfigures(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for (one, rows), part in zip(found, parts, strict=True):
        if len(found) > 1:
            part.suptitle(_finding(one, rows), x=0.008, ha="left", size=10, color="#555555")
        _rows(part.subplots(), one, rows)
    return figure


def _finding(one: Card, rows: Sequence[Tried]) -> str:
    best = next((row for row in rows if row.role == "chosen"), None)
    if best is None:
        return f"{short(one.workload, 30)}: nothing reached {one.target:g} in every trial"
    ties = [row.name for row in rows if row.role == "tie"]
    rest = f"; not told apart: {', '.join(ties)}" if ties else "; everything else takes longer"
    seconds = tick_text(float(f"{best.seconds.median:.2g}"))
    said = f"{short(one.workload, 24)}: {short(best.name)} is at {one.target:g} after {seconds} s"
    fewer = f"; {len(ties)} not told apart from it" if len(ties) > 1 else ""
    return next(whole for whole in (said + rest, said + fewer, said) if len(whole) <= MOST or whole == said)


def _rows(axes: Axes, one: Card, rows: Sequence[Tried]) -> None:
    known = np.concatenate([[row.seconds.low, row.seconds.median, *row.trials, *row.searched] for row in rows])
    low, high = log_limits(known, pad=0.08)
    missed = max(sum(not second > 0 for second in row.trials) for row in rows)
    edge = high * (high / low) ** (0.16 if missed else 0.0)  # room for how many missed
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [short(row.name, 24) for row in rows], size=9)
    log_axis(axes, "x", low, edge)
    for y, row in enumerate(rows):
        _configuration(axes, row, y, high)
    axes.set_xlabel(f"training time to a score of {one.target:g}; hollow: at other rates that were searched (s)")
    for role in dict.fromkeys(row.role for row in rows):
        marker, color, said = ROLES[role]
        axes.plot([], [], marker, color=color, label=said, ls="")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, frameon=False, fontsize=9, handletextpad=0.1)


def _configuration(axes: Axes, row: Tried, y: int, high: float) -> None:
    marker, color, _ = ROLES[row.role]
    for seconds, face, below in ((row.trials, color, 0.0), (row.searched, "none", 0.25)):
        hits = [second for second in seconds if second > 0]
        axes.scatter(hits, [y + below] * len(hits), s=9, facecolors=face, edgecolors=color, lw=0.8, alpha=0.7)
    missed = sum(not second > 0 for second in row.trials)
    if missed:
        axes.text(0.995, y, f"{missed} of {len(row.trials)} missed", transform=axes.get_yaxis_transform(), size=8.5,
                  ha="right", va="center")  # fmt: skip
    if row.seconds.median > 0 and math.isfinite(row.seconds.median):
        if not math.isnan(row.seconds.low):
            axes.plot([row.seconds.low, min(row.seconds.high, high)], [y, y], color=color, lw=3, alpha=0.35)
        size = 11 if marker == "*" else 7
        axes.plot([row.seconds.median], [y], marker, color=color, ms=size, mec="white", mew=0.7)
