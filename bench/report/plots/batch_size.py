"""Batch size: what a larger batch buys in throughput, and what it costs in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results, summary
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.plots.labels import Label, around, beside
from paceline.bench.report.plots.style import (
    FAINT,
    MB,
    log_axis,
    log_limits,
    memory_label,
    number,
    panels,
    short,
    size_ticks,
    styled,
    styles,
)

WIDE = 5.0  # memory that grows by more than so many times is drawn on a logarithmic axis, or hides all small batches


@styled
def batch_size(results: Results) -> Figure | None:
    """Draw throughput and the memory that training added against the batch size, in samples per step.

    Dots are trials, lines join medians, bars are 95 % intervals (none below three trials). The faint line
    is what the smallest batch would give if throughput grew in proportion.

    Args:
        results: of a run.

    Returns:
        The figure; None if there are no timed trials of "batch_size".
    """
    trials = results.trials[results.trials["comparison"] == "batch_size"]
    trials = trials[trials["batch_size"] > 0]
    if not (trials["samples_per_second"] > 0).any():
        return None
    figure, rows = panels(_finding(trials), results, trials, 2, 3.9)
    drawn = []
    for _, chosen, (left, right) in rows:
        low, high = log_limits(chosen["batch_size"], pad=0.05)
        for axes in (left, right):
            axes.set_xlabel("batch size (samples per step)")
            log_axis(axes, "x", low / (high / low) ** 0.13, high)  # numbers stand left of the first points
        drawn.append((chosen, left, right, _throughput(left, chosen, results), _memory(right, chosen, results)))
    # Names beside the axes narrow them, so all stand before anything is placed by pixels within.
    for _, left, right, throughputs, memories in drawn:
        beside(left, throughputs[1])
        beside(right, memories[1])
    for chosen, left, right, throughputs, memories in drawn:
        for axes, (starts, ends) in ((left, throughputs), (right, memories)):
            size_ticks(axes, chosen["batch_size"])
            if len(starts) <= 4:  # more numbers than that would be a table
                pairs = zip(starts, ends, strict=True)
                beside(axes, [start for start, end in pairs if start.x < end.x], side="left")
        _proportional(left, throughputs[0][0])
    return figure


def _finding(trials: pd.DataFrame) -> str:
    """Return what the largest batch of a lone sweep buys and costs, by the medians; else the question."""
    cells = summary(trials).sort_values("batch_size")
    first, last = cells.iloc[0], cells.iloc[-1]
    buys = last["samples_per_second"] / first["samples_per_second"]
    if cells["batch_size"].is_unique and len(cells) > 1 and np.isfinite(buys):
        said = f"B={last['batch_size']:.0f} does {number(buys)} times the samples/s of B={first['batch_size']:.0f}"
        costs = (last["training_memory_bytes"] - first["training_memory_bytes"]) / MB
        return f"{said}, and takes {number(costs)} MB more" if costs > 0 else said
    return "What does a larger batch buy, and what does it cost?"


Ends = tuple[list[Label], list[Label]]


def _throughput(axes: Axes, trials: pd.DataFrame, results: Results) -> Ends:
    log_axis(axes, "y", *log_limits(trials["samples_per_second"], pad=0.1), spacing=0.3)
    axes.set_ylabel(SHOWN["samples_per_second"].label)
    return _lines(axes, trials, "samples_per_second", 1.0, lambda v: f"{number(v)}/s", results)


def _proportional(axes: Axes, start: Label) -> None:
    """Draw what the first point would become if throughput grew in proportion to the batch size."""
    growth = min(axes.get_xlim()[1] / start.x, axes.get_ylim()[1] / start.y)
    ends = [start.x, start.x * growth], [start.y, start.y * growth]
    axes.plot(*ends, color=FAINT, lw=1, ls=":", zorder=1, label="_ideal")
    lines = [line.get_data() for line in axes.lines if line.get_linestyle() != "None"]
    middle = growth**0.7
    around(axes, [Label(start.x * middle, start.y * middle, "in proportion\nto batch size", "#6f6f6f")], lines)


def _memory(axes: Axes, trials: pd.DataFrame, results: Results) -> Ends:
    axes.set_ylabel(memory_label(trials))
    values = (trials["training_memory_bytes"] / MB).dropna()
    if values.empty:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color="#6f6f6f")
        return [], []
    if values.min() > 0 and values.max() > WIDE * values.min():
        log_axis(axes, "y", *log_limits(values, pad=0.1), spacing=0.3)
    else:  # what training added is less than nothing where memory of the start-up was given back
        axes.set_ylim(min(0.0, 1.1 * values.min()), 1.1 * max(values.max(), 1e-3))
    return _lines(axes, trials, "training_memory_bytes", MB, lambda v: f"{number(v)} MB", results)


def _lines(
    axes: Axes, trials: pd.DataFrame, metric: str, unit: float, text: Callable[[float], str], results: Results
) -> Ends:
    """Draw a line of medians a strategy; return the numbers at where each begins and ends."""
    cells, starts, ends = summary(trials), [], []
    names = list(dict.fromkeys(trials["trainer"]))
    for name in names:
        style, each = styles(results)[name], trials[trials["trainer"] == name]
        dots: Any = {"color": style.color, "ms": 3.2, "alpha": 0.45, "mew": 0}
        axes.plot(each["batch_size"], each[metric] / unit, "o", label="_trials", **dots)
        medians = cells[(cells["trainer"] == name) & np.isfinite(cells[metric])].sort_values("batch_size")
        if medians.empty:
            continue
        x, y = medians["batch_size"].to_numpy(float), medians[metric].to_numpy(float) / unit
        line: Any = {"color": style.color, "ls": style.line, "lw": 1.5, "ms": 5.5, "mec": "white", "mew": 0.6}
        axes.plot(x, y, style.marker, label=name, **line)
        low, high = (medians[metric + end] / unit for end in ("_low", "_high"))
        axes.vlines(x, low, high, color=style.color, lw=2, alpha=0.4)
        starts.append(Label(x[0], y[0], text(y[0]), style.ink))
        shown = text(y[-1]) if len(names) == 1 else f"{short(name)} {text(y[-1])}"
        ends.append(Label(x[-1], y[-1], shown, style.ink))
    return starts, ends
