"""Time to target: which strategy is done first, and after how many samples."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from paceline.bench.analysis.frames import Results, summary
from paceline.bench.records.metrics import SHOWN
from paceline.bench.records.record import WITH_RESULT
from paceline.bench.report.plots.findings import finding
from paceline.bench.report.plots.style import (
    FAINT,
    label_of,
    log_axis,
    log_limits,
    number,
    panels,
    styled,
    styles,
    tick_text,
)

METRICS = ("seconds_to_target", "samples_to_target")
STRIP = 0.24  # share of the axis, at its right end, for trials that missed the target
WIDE = 5.0  # a range of more than so many times is drawn on a logarithmic axis


@styled
def time_to_target(results: Results) -> Figure | None:
    """Draw when each trial reached the target, strategies sorted by their median, soonest on top.

    A dot is a trial, at the evaluation that first met the target; its whisker goes back to the last
    evaluation that did not, for the true moment lies between them. Above the dots: the median, as a number,
    and its 95 % interval (none below three trials, or below six if one of them missed). Trials that never
    met the target are open triangles at the right edge, counted; in the median they are infinitely late.

    Args:
        results: of a run.

    Returns:
        The figure; None if there are no trials of "strategies".
    """
    trials = results.trials[results.trials["comparison"] == "strategies"]
    if trials.empty:
        return None
    most = int(trials.groupby("workload")["trainer"].nunique().max())
    question = "Which strategy reaches the target first, and with how many samples?"
    question = finding(results, "strategy", "strategies", question)
    figure, rows = panels(question, results, trials, 2, 1.2 + 0.55 * max(most, 2), sharey=True)
    for workload, chosen, row in rows:
        cells = summary(chosen)
        order = cells.sort_values(["seconds_to_target", "n_reached", "trainer"], ascending=[True, False, True])
        names = list(dict.fromkeys(order["trainer"]))
        for axes, metric in zip(row, METRICS, strict=True):
            _panel(axes, metric, _with_last_miss(chosen, results), cells.set_index("trainer"), names, results)
        row[0].set_yticks(range(len(names)), [label_of(results, workload, name, 22) for name in names])
        row[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


def _with_last_miss(trials: pd.DataFrame, results: Results) -> pd.DataFrame:
    """Add ``samples_to_target_low``: the samples seen at the last evaluation before the target was met."""
    scored = results.curves[results.curves["score"].notna()]
    hits = trials.set_index("trial")["samples_to_target"]
    before = scored[scored["samples"] < scored["trial"].map(hits)]
    return trials.assign(
        samples_to_target_low=trials["trial"].map(before.groupby("trial")["samples"].max()).fillna(0.0)
    )


def _panel(
    axes: Axes, metric: str, trials: pd.DataFrame, cells: pd.DataFrame, names: list[str], results: Results
) -> None:
    shown = SHOWN[metric]
    hits = trials[metric]
    anything_missed = bool(hits.isna().any())
    intervals = cells[[f"{metric}_low", f"{metric}_high"]].to_numpy(float).ravel()
    ends = np.concatenate([intervals, trials[f"{metric}_low"].to_numpy(float)])
    # A wide interval may leave the picture: the trials are what must be well seen.
    ends = ends[(ends > hits.min() / 3) & (ends < 3 * hits.max())]
    right = _limits(axes, np.concatenate([hits, ends]), anything_missed)
    axes.set_xlabel(shown.label)
    for row, name in enumerate(names):
        style, of_cell = styles(results)[name], trials[trials["trainer"] == name].sort_values("seed")
        if row:
            axes.axhline(row - 0.5, color="#e6e6e6", lw=0.8, zorder=0)
        low, median, high = (float(cells.loc[name, metric + end]) for end in ("_low", "", "_high"))  # type: ignore[arg-type]
        _dots(axes, metric, of_cell, row, style.color)
        if np.isfinite(low):  # an interval without end leaves the picture
            axes.plot(
                [low, min(high, right)],
                [row - 0.05] * 2,
                color=style.color,
                lw=3,
                alpha=0.45,
                label="_interval",
            )
        if np.isfinite(median):
            axes.plot(
                [median],
                [row - 0.05],
                style.marker,
                color=style.color,
                ms=7,
                mec="white",
                mew=0.7,
                label=name,
            )
            axes.annotate(
                f"{number(median)} {shown.unit_below}".strip(),
                (median, row - 0.05),
                (0, 6),
                textcoords="offset points",
                ha="center",
                size=9,
            )
        _misses(axes, of_cell[of_cell[metric].isna()], len(of_cell), row, style.color)


def _limits(axes: Axes, hits: npt.NDArray[np.float64], anything_missed: bool) -> float:
    """Set the x-axis, with a strip for misses; return where the strip begins, in data units."""
    strip = STRIP if anything_missed else 0.0
    if not np.isfinite(hits).any():
        axes.set(xlim=(0, 1), xticks=[])
        return 1 - strip
    low, high = log_limits(hits, pad=0.08)
    if high / low > WIDE:
        log_axis(axes, "x", low, high * (high / low) ** (strip / (1 - strip)))
        edge = high
    else:
        edge = 1.12 * high  # room for the number above the last median
        axes.set_xlim(0, edge / (1 - strip))
        axes.xaxis.set_major_formatter(FuncFormatter(tick_text))
        axes.locator_params(axis="x", nbins=6)
    if anything_missed:
        axes.axvline(edge, color=FAINT, lw=0.8, ls=":")
        ticks = [tick for tick in axes.get_xticks() if tick <= edge]
        axes.set_xticks(ticks, [tick_text(tick) for tick in ticks])
        axes.set_xticks([tick for tick in axes.get_xticks(minor=True) if tick <= edge], minor=True)
    return edge


def _dots(axes: Axes, metric: str, trials: pd.DataFrame, row: int, color: str) -> None:
    hits = trials[trials[metric].notna()]
    rows = row + 0.22 + 0.1 * _alternating(len(hits))
    starts = hits[f"{metric}_low"].to_numpy(float)
    if axes.get_xscale() == "log":
        starts = np.maximum(starts, axes.get_xlim()[0])
    axes.hlines(rows, starts, hits[metric], color=color, lw=1, alpha=0.8, label="_whiskers")
    axes.plot(hits[metric], rows, "o", color=color, ms=3.6, alpha=0.8, mew=0, label="_trials")


def _alternating(n: int) -> npt.NDArray[np.float64]:
    """Return -1, 0, 1, -1, ...: neighbouring seeds on different heights."""
    return (np.arange(n, dtype=float) % 3 - 1) * (n > 1)


def _misses(axes: Axes, missed: pd.DataFrame, n: int, row: int, color: str) -> None:
    if missed.empty:
        return
    end = axes.get_yaxis_transform()  # x as a share of the axes, y in rows
    step = min(0.035, (STRIP - 0.04) / len(missed))
    x = 0.985 - step * np.arange(len(missed))
    axes.plot(x, [row + 0.22] * len(missed), ">", mfc="white", mec=color, ms=5, transform=end, label="_missed")
    failed = int((~missed["status"].isin(WITH_RESULT)).sum())
    counts = {"missed": len(missed) - failed, "failed": failed}
    text = "\n".join(f"{count} of {n} {what}" for what, count in counts.items() if count)
    axes.text(0.995, row + 0.08, text, transform=end, ha="right", va="bottom", size=8.5, linespacing=0.95)
