"""Precision: where mixed precision is faster than float32, and what becomes of the score."""

from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from paceline.bench.analysis.cells import Cell as Measured
from paceline.bench.analysis.families import together
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, compared
from paceline.bench.analysis.precision import precision_pairs
from paceline.bench.analysis.scores import score_gap
from paceline.bench.analysis.statistics import Comparison, Interval
from paceline.bench.report.plots.findings import finding
from paceline.bench.report.plots.style import context, footnotes, new_figure, number, short, star, styled, tick_text

# Orange against purple: told apart by colour-blind eyes, white where nothing changes.
# Without its darkest ends, which would swallow hatching and text.
COLORS = LinearSegmentedColormap.from_list("precision", mpl.colormaps["PuOr"](np.linspace(0.12, 0.88, 256)))
SCALES = (1.25, 2, 4, 8, 16, 32, 1e6)  # of speed-ups, both ways: round numbers
FULL, MIXED = "MiniBatch", "Amp"

QUESTION = "Where is mixed precision faster, and what does it do to the score?"

POINTS = np.outer(10.0 ** np.arange(-6, 10), (1, 2, 5)).ravel()  # of score differences


@dataclass(frozen=True)
class Cell:
    """One square: its value on the colour scale (0 is no difference), its text, whether it is decided."""

    value: float
    text: str
    decided: bool


@styled
def precision(results: Results) -> Figure | None:
    """Draw the speed-up of mixed precision over float32, and the change of the final score, as heat maps.

    The speed-up is the ratio of seconds per step, paired by block, with its 95 % interval below it; a cell
    whose verdict does not stand among all of them is hatched and carries a "?", as is one without an interval. The
    change of the final score is the mean over blocks of mixed minus float32, as it stands in the table; whether it is
    decided, likewise.

    Args:
        results: of a run.

    Returns:
        The figure; None if "precision" holds no pair of such trials.
    """
    trials = results.trials[results.trials["comparison"] == "precision"]
    trials = trials[trials["batch_size"] > 0]
    workloads = _by_size(trials)
    batch_sizes = sorted(trials["batch_size"].unique())
    keys = [(workload, size) for workload in workloads for size in batch_sizes]
    compared_at = {key: Pair(found) for key in keys if (found := _speed_up(results, *key)) is not None}
    if not compared_at:
        return None
    faster = {key: _square(found) for key, found in zip(compared_at, together([*compared_at.values()]), strict=True)}
    percent = _is_share(results, trials)
    change = {
        (amp["workload"], amp["batch_size"]): cell
        for amp, full in precision_pairs(results)
        if (cell := _change(results, amp, full, percent)) is not None
    }
    notes = footnotes(results, trials)
    figure = new_figure(
        finding(results, "precision", "precision", QUESTION),
        1.7 + 0.75 * max(2, len(workloads)) + 0.16 * len(notes),
    )
    inner = figure.subfigures(1, 1, squeeze=False)[0, 0]
    if notes:
        inner.supxlabel("\n".join(notes), x=0.008, ha="left", size=8.5, color="#555555")
    inner.suptitle(context(results, trials, None), x=0.008, ha="left", size=10, color="#555555")
    left, right = inner.subplots(1, 2, sharey=True)
    mixed, full = (_dtypes(trials, trainer) for trainer in (MIXED, FULL))
    _heat_map(
        left,
        faster,
        workloads,
        batch_sizes,
        f"speed-up of {mixed or 'mixed precision'} over {full or 'float32'} (ratio of s/step)",
        np.exp2,
        "x",
        np.log2(SCALES),
    )
    unit = "percentage points" if percent else "units of the score"
    _heat_map(
        right,
        change,
        workloads,
        batch_sizes,
        f"final score, {mixed or 'mixed precision'} - {full or 'float32'} ({unit})",
        float,
        "",
        POINTS[(1.0 if percent else 0.0) <= POINTS],
    )
    left.set_yticks(range(len(workloads)), [_workload_label(results, trials, name) for name in workloads])
    left.set_ylabel("workload (trained parameters)")
    return figure


def _dtypes(trials: pd.DataFrame, trainer: str) -> str:
    """Return in what a trainer's products were computed: "bfloat16"; on a GPU, float32 may be "TF32"."""
    return "/".join(trials.loc[(trials["trainer"] == trainer) & trials["dtype"].notna(), "dtype"].unique())


def _by_size(trials: pd.DataFrame) -> list[str]:
    """Return the workloads, the one with the fewest parameters first; last those of which it is unknown."""
    return list(trials.groupby("workload", sort=False)["parameters"].max().sort_values(kind="stable").index)


def _workload_label(results: Results, trials: pd.DataFrame, workload: str) -> str:
    parameters = trials.loc[trials["workload"] == workload, "parameters"].max()
    known = f"{number(float(parameters))}" if np.isfinite(parameters) else "?"
    return f"{short(workload, 22)}{star(results, trials, workload, MIXED)}\n({known})"


def _is_share(results: Results, trials: pd.DataFrame) -> bool:
    """Return whether scores are shares, such as an accuracy: those differ by percentage points."""
    higher = all(record.higher_is_better for record in results.records if record.comparison == "precision")
    return higher and bool(trials["final_score"].dropna().between(0, 1).all())


def _select(trainer: str, workload: str, size: float) -> dict[str, object]:
    return {"comparison": "precision", "trainer": trainer, "workload": workload, "batch_size": size}


def _speed_up(results: Results, workload: str, size: float) -> Comparison | None:
    try:
        # How many times longer float32 takes is how many times faster the other is.
        found = compared(results, _select(FULL, workload, size), _select(MIXED, workload, size), "seconds_per_step")
    except ValueError:  # one of the two was not run
        return None
    return found if found.n else None


def _square(pair: Pair) -> Cell:
    found, decided = pair.comparison, pair.verdict != "undecided"
    interval = f"\n[{found.low:.2f}, {found.high:.2f}]" if np.isfinite(found.low) else f"\nn = {found.n}"
    return Cell(float(np.log2(found.ratio)), f"{found.ratio:.2f}x{'' if decided else ' ?'}{interval}", decided)


def _change(results: Results, mixed: Measured, full: Measured, percent: bool) -> Cell | None:
    gap = score_gap(results, mixed, full)
    better, low, high, n = gap.interval.median, gap.interval.low, gap.interval.high, gap.interval.n
    if n == 0:
        return None
    higher = next(record for record in results.records if record.cell == mixed["cell"]).higher_is_better
    scale = 100 if percent else 1
    ends = (low, high) if higher else (-high, -low)
    found = Interval(scale * (better if higher else -better), scale * ends[0], scale * ends[1], n)
    decided = gap.verdict != "undecided"
    return Cell(
        found.median, f"{_signed(found.median, percent)}{'' if decided else ' ?'}\n{_range(found, percent)}", decided
    )


def _range(found: Interval, percent: bool) -> str:
    if not np.isfinite(found.low):
        return f"n = {found.n}"
    return f"[{_signed(found.low, percent)}, {_signed(found.high, percent)}]"


def _signed(value: float, percent: bool) -> str:
    text = f"{value:+.2f}" if percent else f"{value:+.2g}"
    return text.replace("-0.00", "+0.00")  # what rounds to nothing has no sign


def _heat_map(
    axes: Axes,
    cells: dict[tuple[str, float], Cell],
    workloads: list[str],
    batch_sizes: list[float],
    label: str,
    shown: Callable[[float], float],
    unit: str,
    scales: npt.NDArray[np.float64],
) -> None:
    """Draw ``cells`` coloured symmetrically about 0, up to the first of ``scales`` that holds all.

    At the scale stands what a value is ``shown`` as, with its ``unit``, where that is a round number.
    """
    largest = max((abs(cell.value) for cell in cells.values()), default=0.0)
    most = float(scales[np.searchsorted(scales, largest).clip(max=len(scales) - 1)])
    norm = Normalize(-most, most)
    for (workload, size), cell in cells.items():
        corner = (batch_sizes.index(size) - 0.5, workloads.index(workload) - 0.5)
        color = COLORS(norm(cell.value))
        axes.add_patch(Rectangle(corner, 1, 1, fc=color, ec="white", lw=1.5, label=cell.text))
        if not cell.decided:
            axes.add_patch(Rectangle(corner, 1, 1, fc="none", ec="#b0b0b0", lw=0, hatch="///", label="_undecided"))
        luminance = float(np.dot(color[:3], (0.299, 0.587, 0.114)))
        dark = luminance < 0.5
        box = None if cell.decided else {"fc": color, "ec": "none", "pad": 1.5}
        axes.text(
            corner[0] + 0.5, corner[1] + 0.5, cell.text, ha="center", va="center", size=9,
            color="white" if dark else "black", bbox=box,
        )  # fmt: skip
    axes.set(xlim=(-0.5, len(batch_sizes) - 0.5), ylim=(len(workloads) - 0.5, -0.5), facecolor="#f2f2f2")
    axes.set_xticks(range(len(batch_sizes)), [tick_text(size) for size in batch_sizes])
    axes.set_xlabel("batch size (samples per step)")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    scale = mpl.cm.ScalarMappable(norm, COLORS)
    bar = axes.figure.colorbar(scale, ax=axes, location="top", aspect=40, pad=0.02, shrink=0.94)
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2)
    ends = [(value, shown(value)) for value in np.linspace(-most, most, 5).tolist()]
    ticks = {value: tick_text(said) for value, said in ends if np.isclose(float(f"{said:.3g}"), said)}
    bar.set_ticks(list(ticks), labels=[f"{said}{unit}" for said in ticks.values()])
