"""Plots of a run: a function each, from results to a figure, and all of them as files."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.report.plots.batch_size import batch_size
from paceline.bench.report.plots.convergence import convergence
from paceline.bench.report.plots.critical_batch import best_rate, critical_batch
from paceline.bench.report.plots.noise_scale import noise_scale
from paceline.bench.report.plots.null import null
from paceline.bench.report.plots.pareto import pareto
from paceline.bench.report.plots.precision import precision
from paceline.bench.report.plots.regularization import regularization
from paceline.bench.report.plots.reproductions import reproductions
from paceline.bench.report.plots.scaling import scaling
from paceline.bench.report.plots.style import DPI
from paceline.bench.report.plots.time_to_target import time_to_target
from paceline.bench.report.plots.tuning import optimizers, tuning

# In the order in which a report shows them.
PLOTS: dict[str, Callable[[Results], Figure | None]] = {
    "null": null,
    "convergence": convergence,
    "time_to_target": time_to_target,
    "batch_size": batch_size,
    "critical_batch": critical_batch,
    "best_rate": best_rate,
    "noise_scale": noise_scale,
    "precision": precision,
    "scaling": scaling,
    "pareto": pareto,
    "tuning": tuning,
    "optimizers": optimizers,
    "regularization": regularization,
    "reproductions": reproductions,
}


def save_plots(results: Results, folder: str | Path) -> list[Path]:
    """Write a PNG, 10 inches wide, for each plot that ``results`` hold trials for.

    Args:
        results: of a run.
        folder: made if it does not exist.

    Returns:
        The files written, in the order of ``PLOTS``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for key, plot in PLOTS.items():
        figure = plot(results)
        if figure is not None:
            written.append(folder / f"{key}.png")
            figure.savefig(written[-1], dpi=DPI)
    return written


__all__ = ["PLOTS", "save_plots"]
