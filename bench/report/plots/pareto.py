"""Time against memory: which strategies no other one beats in both."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results, summary
from paceline.bench.report.plots.labels import Label, around
from paceline.bench.report.plots.style import (
    FAINT,
    MB,
    label_of,
    log_axis,
    log_limits,
    memory_label,
    panels,
    short,
    styled,
    styles,
)

Bar = tuple[object, object]  # a line, as its x and its y

TIME, MEMORY = "seconds_to_target", "limited_bytes"

ENDS = ("", "_low", "_high")


@styled
def pareto(results: Results) -> Figure | None:
    """Draw the median time to target against the median memory that a limit would be on, a point a strategy.

    That is the memory of all processes at their peak; on a GPU what training allocated there.
    Bars are 95 % intervals (none below three trials). Strategies that no other one beats in both are
    emphasised and joined by a step line: at each memory, the soonest that any of them is done. The medians
    alone decide that; where bars overlap it may be chance. Strategies whose median trial missed the target,
    or whose memory was not measured, have no point and are named below.

    Args:
        results: of a run.

    Returns:
        The figure; None if no strategy of "strategies" has both numbers.
    """
    trials = results.trials[results.trials["comparison"] == "strategies"]
    if trials.empty:
        return None
    cells = limited(summary(trials))
    placed = cells[np.isfinite(cells[TIME]) & np.isfinite(cells[MEMORY])]
    trials = trials[trials["workload"].isin(placed["workload"])]
    if trials.empty:
        return None
    figure, rows = panels(_finding(placed), results, trials, 1, 4.0)
    drawn = []
    for workload, chosen, (axes,) in rows:
        drawn.append((axes, *_panel(axes, placed[placed["workload"] == workload], results)))
        on_cpu = set(chosen["device"]) == {"cpu"}
        axes.set_xlabel("memory of all processes at their peak (MB)" if on_cpu else memory_label(chosen))
        axes.set_title("in colour: no other strategy is both sooner and smaller", loc="right", size=9, color="#555555")
        absent = cells[(cells["workload"] == workload) & ~cells["cell"].isin(placed["cell"])]
        _name_absent(axes, absent, results)
    for axes, labels, lines in drawn:  # once all axes have their places
        around(axes, labels, lines)
    return figure


def limited(cells: pd.DataFrame) -> pd.DataFrame:
    """Return ``cells`` with the memory that a limit would be on, and its interval, as ``limited_bytes``."""
    cpu = cells["device"] == "cpu"
    known = {end: cells[f"peak_rss_bytes{end}"].where(cpu, cells[f"training_memory_bytes{end}"]) for end in ENDS}
    return cells.assign(**{f"{MEMORY}{end}": values for end, values in known.items()})


def _finding(placed: pd.DataFrame) -> str:
    if placed["workload"].nunique() != 1 or len(placed) < 2:
        return "Which strategies are worth their memory?"
    front = [short(str(name), 24) for name in undominated(placed)["trainer"]]
    if len(front) == 1:
        return f"By their medians {front[0]} is both the soonest and the smallest"
    return f"By their medians {front[0]} takes the least memory, {front[-1]} the least time"


def undominated(points: pd.DataFrame) -> pd.DataFrame:
    """Return the rows, by memory, that no other one beats in time or memory without losing in the other."""
    time, memory = points[TIME].to_numpy(float), points[MEMORY].to_numpy(float)
    beaten = [
        bool(np.any((time <= t) & (memory <= m) & ((time < t) | (memory < m))))
        for t, m in zip(time, memory, strict=True)
    ]
    return points[~np.array(beaten, dtype=bool)].sort_values([MEMORY, TIME])


def _panel(axes: Axes, points: pd.DataFrame, results: Results) -> tuple[list[Label], list[Bar]]:
    """Draw one panel; return the labels that it wants, and the lines that they must not hide."""
    front, known = undominated(points), styles(results)
    steps = (front[MEMORY].to_numpy(float) / MB, front[TIME].to_numpy(float))
    # Between two of them the one with less memory is the best that fits.
    axes.plot(*steps, color="#444444", lw=1.2, drawstyle="steps-post", label="_front", zorder=1)
    _limits(axes, points)
    labels, bars = [], []
    for _, point in points.sort_values(TIME).iterrows():
        name, best = str(point["trainer"]), point["cell"] in set(front["cell"])
        style, x, y = known[name], float(point[MEMORY]) / MB, float(point[TIME])
        color = style.color if best else FAINT
        ends = _ends(point, axes)
        for bar in ends:
            axes.plot(*bar, color=color, lw=2 if best else 1.2, alpha=0.45, label="_interval")
        axes.plot(
            [x],
            [y],
            style.marker,
            color=color,
            ms=9 if best else 7,
            mec="white",
            mew=0.8,
            label=name,
            zorder=4 if best else 3,
        )
        labels.append(
            Label(x, y, label_of(results, str(point["workload"]), name, 22), style.ink if best else "#6f6f6f")
        )
        bars += ends
    along = (np.repeat(steps[0], 2)[1:], np.repeat(steps[1], 2)[:-1])
    return labels, [along, *bars]


def _ends(point: "pd.Series[float]", axes: Axes) -> list[tuple[list[float], list[float]]]:
    """Return the two interval bars of a point, those that exist; one without end runs to the edge."""
    x, y = float(point[MEMORY]) / MB, float(point[TIME])
    low, high = (float(point[MEMORY + end]) / MB for end in ("_low", "_high"))
    soon, late = (float(point[TIME + end]) for end in ("_low", "_high"))
    bars = []
    if np.isfinite([low, high]).all():
        bars.append(([low, high], [y, y]))
    if np.isfinite(soon):
        bars.append(([x, x], [soon, min(late, axes.get_ylim()[1])]))
    return bars


def _limits(axes: Axes, points: pd.DataFrame) -> None:
    times = [points[TIME + end] for end in ENDS]
    memory = [points[MEMORY + end].to_numpy(float) / MB for end in ENDS]
    log_axis(axes, "y", *log_limits(*times, pad=0.14), spacing=0.35)
    finite = np.concatenate(memory)[np.isfinite(np.concatenate(memory))]
    room = 0.14 * max(float(np.ptp(finite)), 0.05 * abs(float(finite.max())), 1e-3)
    axes.set_xlim(float(finite.min()) - room, float(finite.max()) + room)
    axes.set_ylabel("training time to target (s)")


def _name_absent(axes: Axes, absent: pd.DataFrame, results: Results) -> None:
    """Write below the axes which strategies have no point, and why."""
    if absent.empty:
        return
    reasons = [
        f"{label_of(results, str(row['workload']), str(row['trainer']))} ({_reason(row)})"
        for _, row in absent.iterrows()
    ]
    lines = [", ".join(reasons[i : i + 3]) for i in range(0, len(reasons), 3)]
    axes.annotate(
        "no point: " + ",\n".join(lines),
        (0, 0),
        (0, -40),
        xycoords="axes fraction",
        textcoords="offset points",
        va="top",
        size=8.5,
        color="#555555",
        annotation_clip=False,
    )


def _reason(cell: "pd.Series[float]") -> str:
    if np.isfinite(cell[TIME]):
        return "memory not measured"
    return f"{cell['n_reached']:.0f} of {cell['n']:.0f} reached the target"
