"""How every plot looks: one colour, marker and line style a strategy, numbers, logarithmic axes, titles."""

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from itertools import pairwise
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from paceline.bench.analysis.frames import Results, environments_of, not_equivalent
from paceline.bench.records.record import WITH_RESULT

MB = 1e6  # bytes
WIDTH = 10.0  # inches: at 1000 pixels on a screen, 10 pt text is 14 pixels high
DPI = 150
FAINT = "#9a9a9a"

# Okabe & Ito's colours, told apart by colour-blind eyes; without yellow, too light for lines on white.
BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"


@dataclass(frozen=True)
class Style:
    """What a strategy is drawn with, the same in every plot.

    Attributes:
        color: of its points and lines.
        marker: of its points.
        line: matplotlib's line style.
    """

    color: str
    marker: str
    line: Any

    @property
    def ink(self) -> str:
        """The color for text: a light one is darkened, for thin strokes need more contrast than areas."""
        rgb = np.array(to_rgb(self.color))
        light = float(rgb @ (0.299, 0.587, 0.114)) > 0.5
        return to_hex(tuple((0.72 * rgb if light else rgb).tolist()))


KNOWN = {
    "FullBatch": Style(BLACK, "s", (0, (5, 1.5))),
    "MiniBatch": Style(BLUE, "o", "-"),
    "Online": Style(VERMILLION, "^", (0, (1, 1))),
    "Accumulate": Style(ORANGE, "D", (0, (4, 1, 1, 1))),
    "Amp": Style(GREEN, "v", "-"),
    "Ddp": Style(SKY, "p", (0, (5, 1.5))),
    "GrowingBatch": Style(PURPLE, "s", "-"),
    "NoiseBatch": Style(VERMILLION, "D", (0, (5, 1.5))),
    "AdaScale": Style(GREEN, "o", (0, (4, 1, 1, 1))),
    "ReduceOnPlateau": Style(BLUE, "v", (0, (1, 1))),
    "Averaged": Style(ORANGE, "^", (0, (5, 1.5))),
    "Retrain": Style(BLACK, "D", (0, (4, 1, 1, 1))),
    "Compiled": Style(VERMILLION, "o", "-"),
}

# What is left for strategies of the user's own. Neighbours differ in colour, those of one colour in marker.
_COLORS = (PURPLE, VERMILLION, BLACK, GREEN, BLUE, ORANGE, SKY)
_MARKERS = ("X", "<", "*", ">", "P", "h", "d", "8")
_LINES = ("-", (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)))

RC: Any = {
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "lines.solid_capstyle": "butt",
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

P = ParamSpec("P")


def styled(plot: Callable[P, Figure | None]) -> Callable[P, Figure | None]:
    """Draw ``plot`` in this module's style, and leave the user's own settings as they were."""

    @wraps(plot)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Figure | None:
        with mpl.rc_context(RC):
            return plot(*args, **kwargs)

    return draw


def styles(results: Results) -> dict[str, Style]:
    """Return a style for each strategy of a run: fixed for the built-in ones, by alphabet for all others."""
    return styles_of(set(results.trials["trainer"]))


def styles_of(names: set[str]) -> dict[str, Style]:
    """Return a style for each of ``names``: fixed for the built-in strategies, by alphabet for all others."""
    others = sorted(names - set(KNOWN))
    own = {name: Style(_COLORS[i % 7], _MARKERS[i % 8], _LINES[i // 7 % 3]) for i, name in enumerate(others)}
    return KNOWN | own


def panels(
    question: str,
    results: Results,
    trials: pd.DataFrame,
    columns: int,
    height: float | Mapping[str, float],
    **grid: Any,
) -> tuple[Figure, Iterator[tuple[str, pd.DataFrame, list[Axes]]]]:
    """Return a figure headed by ``question``, and for each workload its name, trials and row of axes.

    Args:
        question: what the figure answers.
        results: where the trials are from.
        trials: those of one comparison.
        columns: panels a workload.
        height: of a workload's row, in inches, footnotes not counted; or of each by its name.
        **grid: passed to ``subplots``.
    """
    workloads = list(dict.fromkeys(trials["workload"]))
    notes = [footnotes(results, trials[trials["workload"] == workload]) for workload in workloads]
    own = [height[workload] if isinstance(height, Mapping) else height for workload in workloads]
    heights = [inches + 0.16 * len(lines) for inches, lines in zip(own, notes, strict=True)]
    figure = new_figure(question, sum(heights))
    rows = figure.subfigures(len(workloads), 1, squeeze=False, height_ratios=heights)[:, 0]

    def each() -> Iterator[tuple[str, pd.DataFrame, list[Axes]]]:
        for workload, row, lines in zip(workloads, rows, notes, strict=True):
            if lines:  # the only text below a row's axes for which the layout makes room
                row.supxlabel("\n".join(lines), x=0.008, ha="left", size=8.5, color="#555555")
            of_workload = trials[trials["workload"] == workload]
            row.suptitle(context(results, of_workload, workload), x=0.008, ha="left", size=10, color="#555555")
            yield workload, of_workload, list(row.subplots(1, columns, squeeze=False, **grid)[0])

    return figure, each()


def label_of(results: Results, workload: str, trainer: str, most: int = 18) -> str:
    """Return a strategy's name as it is written beside what is drawn of it in the comparison "strategies".

    A star refers to the footnote that says why it is no equal of the others.
    """
    chosen = results.trials[results.trials["comparison"] == "strategies"]
    return short(trainer, most) + star(results, chosen, workload, trainer)


def star(results: Results, trials: pd.DataFrame, workload: str, trainer: str) -> str:
    """Return " *" if ``trials`` hold some of a strategy that is no equal of the others on a workload; else ""."""
    return " *" if any(key[:2] == (workload, trainer) for key in _no_equals(results, trials)) else ""


def _no_equals(results: Results, trials: pd.DataFrame) -> dict[tuple[str, str, int], str]:
    """Return those of ``not_equivalent`` that ``trials`` hold."""
    drawn = set(trials[["workload", "trainer", "world_size"]].itertuples(index=False, name=None))
    return {key: why for key, why in not_equivalent(results).items() if key in drawn}


# Comparisons that compare strategies with each other, in whose plots stars refer to footnotes.
STARRED = ("strategies", "precision", "scaling")


def footnotes(results: Results, trials: pd.DataFrame) -> list[str]:
    """Return the lines that explain the stars of what is drawn of ``trials``."""
    trials = trials[trials["comparison"].isin(STARRED)]
    lines = []
    for (workload, trainer, ranks), why in _no_equals(results, trials).items():
        where = f" on {short(workload, 30)}" if (trials["comparison"] == "precision").any() else ""
        where += f" with {ranks} ranks" if (trials["comparison"] == "scaling").any() and ranks > 1 else ""
        text = f"* {short(trainer, 30)}{where} {short(' '.join(why.split()), 280)}"
        lines += textwrap.wrap(text, 140, subsequent_indent="   ")
    return lines


def new_figure(question: str, height: float, width: float = WIDTH) -> Figure:
    """Return a figure headed by ``question``, with ``height`` inches below that."""
    figure = Figure(figsize=(width, height + 0.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)  # text is measured while labels are placed
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.08, h_pad=0.06)  # inches
    figure.suptitle(question, x=0.008, ha="left", size=12.5, weight="bold")
    return figure


def context(results: Results, trials: pd.DataFrame, workload: str | None) -> str:
    """Return what the trials ran on and how many they are: "mnist5k, CPU with 2 cores, 3 seeds"."""
    places = dict.fromkeys(trials[["device", "cores", "environment"]].itertuples(index=False, name=None))
    devices = dict.fromkeys(
        f"CPU with {cores} core{'s' * (cores != 1)}" if device == "cpu" else _gpu(results, environment)
        for device, cores, environment in places
    )
    seeds = trials["seed"].nunique()
    parts = [short(workload, 44)] if workload is not None else []
    parts += [" and ".join(devices), f"{seeds} seed{'s' * (seeds != 1)}"]
    failed = int((~trials["status"].isin(WITH_RESULT)).sum())
    if failed:
        parts.append(f"{failed} of {len(trials)} trials ended without a result")
    return ", ".join(parts)


def _gpu(results: Results, environment: str) -> str:
    own = environments_of(environment, results.environment)
    gpus: list[Any] = next((each["gpus"] for each in own if each.get("gpus")), [{}])
    name = gpus[0].get("name") if isinstance(gpus[0], dict) else gpus[0]
    return short(str(name), 30) if name else "GPU"


def short(name: str, most: int = 18) -> str:
    """Return ``name`` with its middle left out where it has more than ``most`` characters."""
    if len(name) > most:
        head = (most - 1) * 2 // 3
        name = name[:head] + "…" + name[head + 1 - most :]
    return name.replace("$", r"\$")  # or matplotlib would set what stands between two of them as mathematics


def number(value: float) -> str:
    """Return ``value`` to two digits (three before a point): 0.21, 2.4, 310, 7.7k, 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")):
        if abs(value) >= 0.9995 * size or not letter:
            scaled = float(f"{value / size:.3g}")
            break
    digits = 0 if scaled == 0 else max(0, 1 - math.floor(math.log10(abs(scaled))))
    return f"{scaled:.{digits}f}{letter}"


def tick_text(value: float, _: float | None = None) -> str:
    """Return what stands at a tick: exact, 0.212, 5, 20k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def log_axis(axes: Axes, which: str, low: float, high: float, spacing: float = 0.42) -> None:
    """Make an axis logarithmic from ``low`` to ``high``, with as many round numbers at it as have room.

    Args:
        axes: whose axis.
        which: "x" or "y".
        low: positive lower limit, in the axis's unit.
        high: upper limit.
        spacing: room that a label takes along the axis, in inches.
    """
    axes.set(**{f"{which}scale": "log", f"{which}lim": (low, high)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    box, dpi = axes.get_window_extent(), axes.figure.dpi
    room = max(2, int((box.width if which == "x" else box.height) / dpi / spacing))
    ticks = _round_numbers(low, high, room)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(tick_text))
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    minor = [m * 10.0**d for d in decades for m in range(1, 10)] if len(decades) <= 6 else []
    axis.set_minor_locator(FixedLocator([v for v in minor if low <= v <= high]))
    axis.set_minor_formatter(NullFormatter())


def _round_numbers(low: float, high: float, room: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for mantissas, every in (((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3)):
        ticks = [m * 10.0**d for d in decades if d % every == 0 for m in mantissas]
        ticks = [v for v in ticks if low <= v <= high]
        # Ticks may crowd at one end: what counts is the room at the density they have.
        if len(ticks) >= 2 and _density(ticks, low, high) <= room:
            return ticks
    even = MaxNLocator(min(room, 4), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(v) for v in even if low <= v <= high]


def _density(ticks: list[float], low: float, high: float) -> float:
    """Return how many labels would fill the axis at the smallest distance between two of ``ticks``."""
    return math.log(high / low) / min(math.log(b / a) for a, b in pairwise(ticks))


def log_limits(*values: Any, pad: float = 0.06) -> tuple[float, float]:
    """Return limits of a logarithmic axis with every positive finite one of ``values`` well inside.

    Args:
        *values: arrays or numbers.
        pad: what is left free at each end, as a share of the axis.
    """
    x = np.concatenate([np.asarray(v, dtype=float).ravel() for v in values])
    x = x[np.isfinite(x) & (x > 0)]
    low, high = (float(x.min()), float(x.max())) if len(x) else (0.1, 10.0)
    factor = max(high / low, 1.3) ** pad
    if high / low < 1.3:  # all but equal: a tick needs some width to stand in
        factor = 1.15
    return low / factor, high * factor


def size_ticks(axes: Axes, batch_sizes: "pd.Series[float]") -> None:
    """Put ticks at the batch sizes that were measured, as many as have room; the largest one always has."""
    settle(axes)
    low, high = axes.get_xlim()
    room = axes.get_window_extent().width / axes.figure.dpi / 0.4  # inches: the width of four digits
    kept: list[float] = []
    for size in sorted((float(v) for v in batch_sizes.dropna().unique()), reverse=True):
        if not kept or math.log(kept[-1] / size) >= math.log(high / low) / room:
            kept.append(size)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:.0f}"))
    axes.xaxis.set_minor_locator(FixedLocator([]))


def settle(axes: Axes) -> Figure:
    """Lay out the whole figure, so that pixel positions can be trusted, and return it."""
    root = axes.get_figure(root=True)
    assert isinstance(root, Figure)
    root.draw_without_rendering()
    return root


def memory_label(trials: pd.DataFrame) -> str:
    """Return the label of an axis of training memory: what is counted depends on the device."""
    if set(trials["device"]) == {"cuda"}:
        return "GPU memory that training allocated (MB)"
    if "cuda" in set(trials["device"]):
        return "memory that training added (MB)"
    return "resident memory that training added (MB)"
