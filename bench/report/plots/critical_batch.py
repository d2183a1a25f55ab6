"""Critical batch size: steps, samples and seconds to target over batch size, and the learning rate that each needs."""

import math
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.batch_size_sweep import Sweep, sweeps
from paceline.bench.analysis.best_batch_size import Best, best
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.rate_exponent import Exponent, exponent
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.plots.labels import Label, around
from paceline.bench.report.plots.style import (
    FAINT,
    Style,
    log_axis,
    log_limits,
    number,
    panels,
    short,
    size_ticks,
    styled,
    styles,
)

INK = "#6f6f6f"
CROWD = 9  # most batch sizes, and rates of one, whose numbers have room


@styled
def critical_batch(results: Results) -> Figure | None:
    """Draw steps, samples and seconds to target over batch size, each at its own best learning rate.

    A dot is a trial, at the rate that is best on the other seeds; markers are medians; an open triangle at the upper
    edge stands for trials that missed the target. The line is the fitted hyperbola with its 95 % band, of which the
    dotted line is the limit of small batches; seconds, which follow no such law, join their medians. The shaded strip
    is the critical batch size with its 95 % interval. Rings are the best batch size and those that are not resolved
    from it.

    Args:
        results: of a run.

    Returns:
        The figure; None if no trial of "critical_batch" reached its target.
    """
    found = [sweep for sweep in sweeps(results) if any(cell["n_reached"] for cell in sweep.cells)]
    if not found:
        return None
    trials = pd.concat([sweep.measured.trials for sweep in found])
    figure, rows = panels(_fastest(found), results, trials, 3, 3.5)
    drawn = []
    for workload, chosen, row in rows:
        own = [sweep for sweep in found if sweep.workload == workload]
        for axes, metric in zip(row, ("steps_to_target", "samples_to_target", "seconds_to_target"), strict=True):
            drawn.append((axes, chosen, *_panel(axes, metric, own, chosen, results)))
    for axes, chosen, labels, lines in drawn:  # after all panels have their final size
        size_ticks(axes, chosen["batch_size"])
        around(axes, labels, lines + [_circle(axes, label) for label in labels])
    return figure


def _fastest(found: list[Sweep]) -> str:
    """Return which batch size of a lone sweep is the fastest, and the price of the next; else the question."""
    fastest = best(found[0], "seconds_to_target")
    if len(found) > 1 or not fastest.decided or fastest.cell is None:
        return "Where does a larger batch stop paying?"
    names = " or ".join(f"B={size:g}" for size in sorted([float(fastest.cell["batch_size"]), *fastest.tied]))
    said = f"{names}: which is faster is not resolved" if fastest.tied else f"{names} is the fastest"
    known = {size: one.comparison.ratio for size, one in fastest.prices.items() if size not in fastest.tied}
    if not known or not math.isfinite(min(known.values())):
        return said
    next_ = min(known, key=lambda size: known[size])
    return f"{said}; B={next_:g} takes {number(known[next_])} times as long"


def _circle(axes: Axes, label: Label) -> tuple[object, object]:
    """Return the ring around a label's point, in data units: no text is to lie on it."""
    angle = np.linspace(0, 2 * np.pi, 13)
    radius = 6 * axes.figure.dpi / 72  # pixels, of 6 points
    ring = axes.transData.transform((label.x, label.y)) + radius * np.column_stack([np.cos(angle), np.sin(angle)])
    x, y = axes.transData.inverted().transform(ring).T
    return x, y


Lines = list[tuple[object, object]]


def _panel(
    axes: Axes, metric: str, own: list[Sweep], trials: pd.DataFrame, results: Results
) -> tuple[list[Label], Lines]:
    """Draw one metric of a workload's sweeps; return the labels to place and the lines that they must not meet."""
    critical = [s.fit.critical_batch_size for s in own if s.fit.identifiable]
    log_axis(axes, "x", *log_limits(trials["batch_size"], critical, pad=0.07))
    low, high = log_limits(trials[metric], pad=0.09)
    wide = high / low
    log_axis(axes, "y", low / wide**0.05, high * wide**0.1, spacing=0.3)  # room for a label, and for the triangles
    axes.set_xlabel("batch size (samples per step)")
    axes.set_ylabel(SHOWN[metric].label)
    labels: list[Label] = []
    lines: Lines = []
    for sweep in own:
        style = styles(results)[sweep.trainer]
        name = f"{short(sweep.trainer)} " if len(own) > 1 else ""
        if metric != "seconds_to_target":
            _hyperbola(axes, metric, sweep, style, name, labels, lines)
        _trials(axes, metric, sweep, style, lines)
        found = best(sweep, metric)
        if found.decided:
            medians = {float(cell["batch_size"]): float(cell[metric]) for cell in sweep.cells}
            labels.insert(0, _mark(axes, found, medians, style, name))
    return labels, lines


def _hyperbola(
    axes: Axes, metric: str, sweep: Sweep, style: Style, name: str, labels: list[Label], lines: Lines
) -> None:
    """Draw the fit with its band and limit, and B_crit; say why where it is not identifiable."""
    found = sweep.fit
    if not found.identifiable:
        if metric == "steps_to_target":
            text = textwrap.fill(
                f"{name}critical batch size not identifiable: {found.reason}".replace("95 %", "95\u00a0%"), 44
            )
            for line in reversed(text.splitlines()):
                _above(axes, line, style.ink if name else INK)
        return
    x = np.geomspace(*axes.get_xlim(), 200)
    per_step = x if metric == "steps_to_target" else np.ones_like(x)
    y, (low, high) = found.samples_at(x) / per_step, (end / per_step for end in found.band(x))
    axes.plot(x, y, color=style.color, lw=1.5, label="_hyperbola")
    axes.fill_between(x, low, high, color=style.color, alpha=0.13, lw=0)
    ideal = found.samples_min / per_step
    axes.plot(x, ideal, color=FAINT, lw=1, ls=":", zorder=1, label="_perfect")
    lines += [(x, y), (x[ideal > axes.get_ylim()[0]], ideal[ideal > axes.get_ylim()[0]])]
    axes.axvspan(found.low, found.high, color="#000000", alpha=0.06, lw=0, zorder=0, label="_critical")
    axes.axvline(found.critical_batch_size, color=FAINT, lw=0.8, zorder=0)
    if metric == "steps_to_target":
        text = f"{name}critical batch size {number(found.critical_batch_size)} "
        _above(axes, f"{text}[{number(found.low)}, {number(found.high)}]", style.ink if name else INK)
        if any(label.text == "perfect scaling" for label in labels):
            return
        seen = x[ideal > axes.get_ylim()[0]]
        middle = float(seen[len(seen) * 3 // 5])
        labels.append(Label(middle, found.samples_min / middle, "perfect scaling", INK))


def _above(axes: Axes, text: str, color: str) -> None:
    """Write a line above the axes, over those that already stand there."""
    already = sum(t.get_gid() == "above" for t in axes.texts)
    axes.annotate(
        text, (0.0, 1.0), (0, 4 + 11 * already), xycoords="axes fraction", ha="left",
        textcoords="offset points", size=8.5, color=color, annotation_clip=False, gid="above",
    )  # fmt: skip


def _trials(axes: Axes, metric: str, sweep: Sweep, style: Style, lines: Lines) -> None:
    own = sweep.measured.trials
    axes.plot(own["batch_size"], own[metric], "o", color=style.color, ms=3.2, alpha=0.45, mew=0, label="_trials")
    x = np.array([cell["batch_size"] for cell in sweep.cells], float)
    y = np.array([cell[metric] for cell in sweep.cells], float)
    known = np.isfinite(y)
    axes.plot(x[known], y[known], style.marker, color=style.color, ms=5.5, mec="white", mew=0.6, label=sweep.trainer)
    if metric == "seconds_to_target":
        # A batch size in between that missed the target breaks the line.
        axes.plot(x, np.where(known, y, np.nan), color=style.color, ls=style.line, lw=1.5, label="_medians")
        lines.append((x[known], y[known]))
    dots = own.dropna(subset=[metric]).groupby("batch_size")[metric].agg(["min", "max"])
    lines += [([size, size], [low, high]) for size, low, high in dots.itertuples()]
    missed = own[own[metric].isna()].groupby("batch_size").size()
    if len(missed):
        up = axes.get_xaxis_transform()
        axes.plot(missed.index, [0.965] * len(missed), "^", mfc="white", mec=style.color, ms=5, transform=up, zorder=5,
                  label="_missed")  # fmt: skip
        for size, count in missed.items():
            of = int((own["batch_size"] == size).sum())
            axes.annotate(f"{count}/{of}", (size, 0.965), (0, -6), xycoords=up, textcoords="offset points", ha="center",
                          va="top", size=7, color=style.ink)  # fmt: skip


def _mark(axes: Axes, found: Best, medians: dict[float, float], style: Style, name: str) -> Label:
    """Ring the best batch size and those that are not resolved from it; return the label of the best."""
    assert found.cell is not None
    size, value = float(found.cell["batch_size"]), float(found.cell[found.metric])
    ring: Any = {"mfc": "none", "zorder": 6}
    axes.plot([size], [value], "o", mec=style.ink, ms=11, mew=1.6, label="_best", **ring)
    axes.plot(
        list(found.tied),
        [medians[tied] for tied in found.tied],
        "o",
        mec=style.color,
        ms=10,
        mew=0.8,
        label="_tied",
        **ring,
    )
    unit = SHOWN[found.metric].unit_below
    return Label(size, value, f"{name}B={size:g}: {number(value)}{' ' + unit if unit else ''}", style.ink)


@styled
def best_rate(results: Results) -> Figure | None:
    """Draw every learning rate that was tried over batch size, and how the best one grows.

    A dot is a rate; the darker, the fewer samples it takes, against the best rate of its batch size: where there is
    room, as a number beside it. A cross is one at which no trial reached the target. Large markers are the best. The
    dashed line is the fitted power, which may end.

    Args:
        results: of a run.

    Returns:
        The figure; None if there are no trials of "critical_batch".
    """
    found = sweeps(results)
    if not found:
        return None
    trials = pd.concat([sweep.searched for sweep in found])
    if trials.empty:
        return None
    figure, rows = panels(_finding(found), results, trials, 1, 3.4)
    drawn = []
    for workload, chosen, (axes,) in rows:
        own = [sweep for sweep in found if sweep.workload == workload]
        log_axis(axes, "x", *log_limits(chosen["batch_size"], pad=0.06))
        log_axis(axes, "y", *log_limits(chosen["lr"], pad=0.08), spacing=0.3)
        axes.set_xlabel("batch size (samples per step)")
        axes.set_ylabel("learning rate (no unit)")
        for i, sweep in enumerate(own):
            # Strategies beside each other, where there are several.
            shift = 1.0 if len(own) == 1 else 1.06 ** (i - (len(own) - 1) / 2)
            style = styles(results)[sweep.trainer]
            _rates(axes, sweep, style, shift, numbered=len(own) == 1)
            _power(axes, exponent(sweep), style, f"{short(sweep.trainer)}: " if len(own) > 1 else "")
        numbers = "; numbers: times those of the best rate" if len(own) == 1 else ""
        _above(axes, f"the darker, the fewer samples to target{numbers}; x: not reached", INK)
        drawn.append((axes, chosen))
    for axes, chosen in drawn:
        size_ticks(axes, chosen["batch_size"])
    return figure


def _finding(found: list[Sweep]) -> str:
    """Return from where to where the best rate goes in a lone sweep; else the question."""
    known = {size: rate.best for sweep in found for size, rate in sweep.rates.items() if rate.failed < rate.trials}
    if len(found) > 1 or len(known) < 2:
        return "Which learning rate does each batch size need?"
    least, most = min(known), max(known)
    ends = [f"{known[size]:.2g} at B={size:g}" for size in (least, most)]
    return (
        f"The best rate goes from {' to '.join(ends)}"
        if known[least] != known[most]
        else f"The best rate is {ends[0]} as at B={most:g}"
    )


def _rates(axes: Axes, sweep: Sweep, style: Style, shift: float, numbered: bool) -> None:
    for size in sweep.rates:
        own = sweep.searched[sweep.searched["batch_size"] == size]
        samples = own.groupby("lr")["samples_to_target"].median()  # of those that reached it
        share = (samples.min() / samples).fillna(0.0)
        numbered &= len(share) <= CROWD and len(sweep.rates) <= CROWD
        for tried, closeness in share.items():
            if closeness == 0:
                axes.plot([size * shift], [tried], "x", color=FAINT, ms=4, mew=0.8, label="_failed")
            else:
                # A factor of two in samples is half as dark.
                axes.plot([size * shift], [tried], "o", color=style.color, ms=5, mew=0, alpha=0.1 + 0.7 * closeness**2,
                          label="_tried")  # fmt: skip
                if numbered and closeness < 1:
                    axes.annotate(f"{1 / closeness:.2g}x", (size, tried), (6, 0), textcoords="offset points", size=8,
                                  va="center", color=INK)  # fmt: skip
    known = {size: rate.best for size, rate in sweep.rates.items() if rate.failed < rate.trials}
    axes.plot(np.array(list(known)) * shift, list(known.values()), style.marker, color=style.color, ms=8, mec="white",
              mew=0.8, zorder=4, label=sweep.trainer)  # fmt: skip


def _power(axes: Axes, found: Exponent, style: Style, name: str) -> None:
    """Draw the fitted power of the batch size, and write it above the axes."""
    if math.isnan(found.value):
        _above(axes, f"{name}{found.reason}", style.ink)
        return
    x = np.geomspace(found.batch_sizes[0], found.batch_sizes[-1], 200)
    axes.plot(x, found.at(x), color=style.ink, lw=1.2, ls=(0, (4, 3)), zorder=3, label="_power")
    text = f"{name}best rate grows as B to the {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
    _above(axes, text + (f", up to B={found.ends:g}" if math.isfinite(found.ends) else ""), style.ink)
