"""Scaling: what more cores buy, as ranks, at a fixed batch in all or of each rank, and as threads of one process."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import compared
from paceline.bench.report.plots.findings import finding
from paceline.bench.report.plots.labels import Label, around
from paceline.bench.report.plots.style import BLUE, FAINT, GREEN, VERMILLION, panels, star, styled, tick_text


@dataclass(frozen=True)
class Point:
    """The speed-up of one cell over one rank.

    Attributes:
        ranks: of the cell; of one process, as many ranks as would take its threads.
        each: the speed-up in each block.
        speed_up: their geometric mean.
        low: lower end of its 95 % interval; NaN below three blocks.
        high: upper end.
        oversubscribed: whether there were more ranks than cores for them.
    """

    ranks: int
    each: list[float]
    speed_up: float
    low: float
    high: float
    oversubscribed: bool


@styled
def scaling(results: Results) -> Figure | None:
    """Draw speed-up against the number of ranks, and of threads that take as many cores; beyond two also efficiency.

    Speed-up is throughput over that of one rank with as many threads, paired by block: at the same global
    batch (strong scaling) and at the same batch of each rank (weak scaling); and of one process on more threads,
    at the same batch, above and below which strong scaling lies at equal cores. Small dots are blocks, lines
    join geometric means, bars are 95 % intervals (none below three blocks). Cells with more ranks than
    cores are hollow, grey, and never part of a line: they share cores, so they are no scaling.

    Args:
        results: of a run.

    Returns:
        The figure; None if "scaling" holds no trials of more than one rank beside those of one.
    """
    trials = results.trials[results.trials["comparison"] == "scaling"]
    trials = trials[trials["samples_per_second"] > 0]
    found = {workload: speed_ups(results, workload) for workload in dict.fromkeys(trials["workload"])}
    trials = trials[trials["workload"].isin([name for name, kinds in found.items() if any(kinds.values())])]
    if trials.empty:
        return None
    threads = any(kinds["threads"] for kinds in found.values())
    question = f"What do more ranks{', or threads,' if threads else ''} buy?"
    columns = 2 if any(point.ranks > 2 for kinds in found.values() for each in kinds.values() for point in each) else 1
    figure, rows = panels(finding(results, "workers", "scaling", question), results, trials, columns, 3.9)
    drawn = []
    for workload, chosen, row in rows:
        kinds, (one, batch) = found[workload], _base(chosen)
        trainer = str(one["trainer"])
        most = max(point.ranks for points in kinds.values() for point in points)
        for axes, efficiency in zip(row, (False, True), strict=False):
            labels = _panel(axes, kinds, batch, most, efficiency, star(results, chosen, workload, trainer))
            drawn.append((axes, labels, _lines(kinds, most, efficiency)))
    for axes, labels, lines in drawn:  # once all axes have their places
        around(axes, labels, lines)
    return figure


def speed_ups(results: Results, workload: str) -> dict[str, list[Point]]:
    """Return the points of "strong" and "weak" scaling of one workload, by rising ranks, beyond one rank.

    And those of one process on rising "threads", from one on: it has no communication to pay for. On a GPU there are
    none.
    """
    found: dict[str, list[Point]] = {"strong": [], "weak": [], "threads": []}
    trials = results.trials[results.trials["samples_per_second"] > 0]
    trials = trials[(trials["comparison"] == "scaling") & (trials["workload"] == workload)]
    processes = trials[(trials["trainer"] == "MiniBatch") & (trials["device"] == "cpu")]
    trials = trials[trials["trainer"] != "MiniBatch"]  # one process on threads is no rank
    if not (trials["world_size"] == 1).any():
        return found
    one, batch = _base(trials)
    for ranks in sorted(set(trials["world_size"]) - {1}):
        for kind, size in (("strong", batch), ("weak", batch * ranks)):
            cell = one | {"world_size": ranks, "batch_size": size}
            rows = trials.loc[(trials[list(cell)] == pd.Series(cell)).all(axis=1)]
            if not rows.empty and (point := _point(results, rows, cell, one)) is not None:
                found[kind].append(point)
    per_rank = int(trials.loc[trials["world_size"] == 1, "threads"].iloc[0])
    for threads, rows in processes[processes["batch_size"] == batch].groupby("threads"):
        cell = one | {"trainer": "MiniBatch", "threads": threads}
        if (point := _point(results, rows, cell, one)) is not None:
            found["threads"].append(replace(point, ranks=int(rows["threads"].iloc[0]) // per_rank))
    return found if len(found["threads"]) > 1 else found | {"threads": []}


def _base(trials: pd.DataFrame) -> tuple[dict[str, object], float]:
    """Return what selects the one-rank cell, and its batch size."""
    row = trials[(trials["world_size"] == 1) & (trials["trainer"] != "MiniBatch")].iloc[0]
    cell = {name: row[name] for name in ("comparison", "workload", "trainer", "threads", "world_size", "batch_size")}
    return cell, float(row["batch_size"])


def _point(results: Results, rows: pd.DataFrame, cell: dict[str, object], one: dict[str, object]) -> Point | None:
    both = compared(results, cell, one, "samples_per_second")
    if both.n == 0:
        return None
    blocks = ["seed", "block"]
    base = results.trials.loc[(results.trials[list(one)] == pd.Series(one)).all(axis=1)]
    throughput, of_one = (part.set_index(blocks)["samples_per_second"] for part in (rows, base))
    each = (throughput / of_one).dropna().tolist()
    ranks = int(rows["world_size"].iloc[0])
    return Point(ranks, each, both.ratio, both.low, both.high, bool(rows["oversubscribed"].any()))


def _panel(
    axes: Axes, kinds: dict[str, list[Point]], batch: float, most: int, efficiency: bool, mark: str
) -> list[Label]:
    """Draw one panel; return the labels that it wants, each of which ends in ``mark``."""
    _ideal(axes, most, efficiency)
    labels = []
    for kind, color, marker, line, shift in (
        ("strong", BLUE, "o", "-", 0.985),
        ("weak", VERMILLION, "s", (0, (4, 1.5)), 1.015),
        ("threads", GREEN, "^", (0, (1, 1)), 1.0),
    ):
        points = kinds[kind]
        if not points:
            continue
        # Strong beside weak, so that equal ones do not hide each other.
        _draw(axes, [p for p in points if not p.oversubscribed], kind, color, marker, line, shift, efficiency)
        _draw_oversubscribed(axes, [p for p in points if p.oversubscribed], marker, shift, efficiency)
        real = [p for p in points if not p.oversubscribed]
        if real:
            last = real[-1]
            text = f"{kind} ({batch:.0f} samples {'in all' if kind == 'strong' else 'a rank'}){mark}"
            text = "1 process on threads" if kind == "threads" else text
            labels.append(Label(last.ranks * shift, _value(last.speed_up, last.ranks, efficiency), text, color))
    beyond = [p for points in kinds.values() for p in points if p.oversubscribed]
    if beyond:
        first = min(beyond, key=lambda p: (p.ranks, p.speed_up))
        y = _value(first.speed_up, first.ranks, efficiency)
        labels.append(Label(first.ranks, y, "more ranks\nthan cores", "#6f6f6f"))
    labels.append(Label(float(most) ** 0.5, 100.0 if efficiency else float(most) ** 0.5, "ideal", "#6f6f6f"))
    _limits(axes, kinds, most, efficiency)
    return labels


def _lines(kinds: dict[str, list[Point]], most: int, efficiency: bool) -> list[tuple[object, object]]:
    """Return all that labels must not hide: the ideal, the lines, and each column of blocks."""
    ideal = [_value(ranks, ranks, efficiency) for ranks in (1, most)]
    lines: list[tuple[object, object]] = [([1, most], ideal)]
    for points in kinds.values():
        real = [p for p in points if not p.oversubscribed]
        x, y = [p.ranks for p in real], [_value(p.speed_up, p.ranks, efficiency) for p in real]
        if points is not kinds["threads"]:  # of which one thread is a point
            x, y = [1, *x], [_value(1.0, 1, efficiency), *y]
        lines.append((x, y))
        lines += [([p.ranks] * len(p.each), [_value(v, p.ranks, efficiency) for v in p.each]) for p in points]
    return lines


def _value(speed_up: float, ranks: int, efficiency: bool) -> float:
    return 100 * speed_up / ranks if efficiency else speed_up


def _ideal(axes: Axes, most: int, efficiency: bool) -> None:
    ends = [1, most]
    axes.plot(ends, [100, 100] if efficiency else ends, color=FAINT, lw=1, ls=":", label="_ideal")


def _draw(
    axes: Axes, points: list[Point], kind: str, color: str, marker: str, line: Any, shift: float, efficiency: bool
) -> None:
    if not points:
        return
    x, y = [p.ranks * shift for p in points], [_value(p.speed_up, p.ranks, efficiency) for p in points]
    if kind != "threads":
        x, y = [1.0, *x], [_value(1.0, 1, efficiency), *y]
    axes.plot(
        x,
        y,
        marker,
        color=color,
        ls=line,
        lw=1.6,
        ms=6,
        mec="white",
        mew=0.6,
        label=kind,
    )
    for p in points:
        low, high = (_value(end, p.ranks, efficiency) for end in (p.low, p.high))
        axes.vlines(p.ranks * shift, low, high, color=color, lw=2.5, alpha=0.4)
        each = [_value(v, p.ranks, efficiency) for v in p.each]
        axes.plot([p.ranks * shift] * len(each), each, marker, color=color, ms=3, alpha=0.5, mew=0, label="_blocks")


def _draw_oversubscribed(axes: Axes, points: list[Point], marker: str, shift: float, efficiency: bool) -> None:
    for p in points:
        x, each = p.ranks * shift, [_value(v, p.ranks, efficiency) for v in p.each]
        axes.plot([x] * len(each), each, marker, mfc="none", mec=FAINT, ms=3, mew=0.6, label="_blocks")
        y = _value(p.speed_up, p.ranks, efficiency)
        axes.plot([x], [y], marker, mfc="white", mec=FAINT, ms=6.5, mew=1.2, ls="", label="_oversubscribed")


def _limits(axes: Axes, kinds: dict[str, list[Point]], most: int, efficiency: bool) -> None:
    points = [p for points in kinds.values() for p in points]
    values = [_value(v, p.ranks, efficiency) for p in points for v in (*p.each, p.low, p.high) if np.isfinite(v)]
    ticks = sorted({1, *(p.ranks for p in points)})
    axes.set_xscale("log", base=2)
    axes.set_xlim(1 / most**0.08, most**1.12)
    threads = bool(kinds["threads"])
    axes.set_xlabel("ranks, or threads of one process (cores)" if threads else "ranks (processes, one model copy each)")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(tick_text))
    axes.xaxis.set_minor_locator(NullLocator())
    if efficiency:
        axes.set_ylim(0, 1.12 * max(100.0, *values))
        axes.set_ylabel(f"efficiency: speed-up over {'cores' if threads else 'ranks'} (%)")
        return
    low, high = min(1.0, *values), max(float(most), *values)
    axes.set_yscale("log", base=2)
    axes.set_ylim(low / (high / low) ** 0.12, high * (high / low) ** 0.12)
    axes.set_ylabel("speed-up over one rank (x)")
    bottom, top = axes.get_ylim()
    every = [2.0**k for k in range(-12, 13)] if high / low > 3 else [k / 4 for k in range(1, 33)]
    axes.yaxis.set_major_locator(FixedLocator([v for v in every if bottom <= v <= top]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}x"))
    axes.yaxis.set_minor_locator(NullLocator())
