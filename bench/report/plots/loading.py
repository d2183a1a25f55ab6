"""Loading samples: throughput, waiting and memory over the number of processes that read them."""

import math
from collections.abc import Callable
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.loading import COMPARISON, Loaded, enough, loads
from paceline.bench.analysis.statistics import Interval
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILLION,
    panels,
    short,
    styled,
    tick_text,
)

COLORS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE)
MARKERS = ("o", "s", "^", "D", "v")


@styled
def loading(results: Results) -> Figure | None:
    """Draw three panels a workload over the number of workers, a line a batch size; bars are 95 % intervals.

    What lies in the grey has more workers than cores.

    Args:
        results: of a run.

    Returns:
        The figure; None if nothing of it was measured.
    """
    found = loads(results)
    if not found:
        return None
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    trials = trials[trials["workload"].isin({one.cell["workload"] for one in found})]
    figure, rows = panels(_finding(results), results, trials, 3, 3.0)
    memory = SHOWN["family_bytes"]
    for workload, _, row in rows:
        own = [one for one in found if one.cell["workload"] == workload]
        for axes, label, of in zip(
            row,
            (SHOWN["samples_per_second"].label, "waiting for samples (% of a step)", memory.label),
            (_throughput, lambda one: _scaled(one.waiting, 100), lambda one: _scaled(one.memory, memory.scale)),
            strict=True,
        ):
            _panel(axes, own, of)
            axes.set_ylabel(label)
        row[1].set_ylim(0, 105)
        row[0].legend(frameon=False, fontsize=9, loc="upper left", ncols=2)
    return figure


def _finding(results: Results) -> str:
    """Return how many workers are enough at each batch size of a lone workload, where that is resolved."""
    found = enough(results)
    question = "How many workers are enough to read the samples?"
    if not found or len({one.workload for one in found}) > 1 or any(one.beyond for one in found):
        return question
    said = ", ".join(f"{one.fewest.workers} at B={one.batch_size:,}" for one in found)
    return short(f"So many workers are enough to read the samples: {said}", 86)


def _throughput(one: Loaded) -> Interval:
    value, low, high = (float(one.cell[f"samples_per_second{end}"]) for end in ("", "_low", "_high"))
    return Interval(value, low, high, int(one.cell["n"]))


def _scaled(found: Interval, factor: float) -> Interval:
    return Interval(found.median * factor, found.low * factor, found.high * factor, found.n)


def _panel(axes: Axes, found: list[Loaded], of: Callable[[Loaded], Interval]) -> None:
    numbers = sorted({one.workers for one in found})
    shared = [place for place, workers in enumerate(numbers) if workers > int(found[0].cell["cores"])]
    if shared:
        axes.axvspan(shared[0] - 0.5, len(numbers) - 0.5, color=FAINT, alpha=0.2, lw=0, label="_oversubscribed")
    drawn = groupby(found, key=lambda one: (int(one.cell["batch_size"]), one.cell["environment"]))
    top = 0.0
    for index, ((size, _), own) in enumerate(drawn):
        each = [(numbers.index(one.workers), of(one)) for one in own]
        places, medians = [place for place, _ in each], [one.median for _, one in each]
        color = COLORS[index % len(COLORS)]
        axes.plot(
            places, medians, MARKERS[index % len(MARKERS)], color=color, ls="-", lw=1.5, ms=5.5, mec="white", mew=0.6,
            label=f"B={size:,}",
        )  # fmt: skip
        axes.vlines(places, [o.low for _, o in each], [o.high for _, o in each], color=color, lw=2, alpha=0.4)
        top = max([top, *(value for _, o in each for value in (o.median, o.high) if math.isfinite(value))])
    axes.set_xticks(range(len(numbers)), [str(workers) for workers in numbers])
    axes.set_xlim(-0.5, len(numbers) - 0.5)
    axes.set_ylim(0, 1.35 * top or 1)  # with room for the legend
    axes.yaxis.set_major_formatter(FuncFormatter(tick_text))
    axes.set_xlabel("workers (processes)")
