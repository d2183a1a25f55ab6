"""All plots of a run, by name, and as files."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.report import (
    any_target,
    batch_size,
    card,
    compile,
    critical_batch,
    drift,
    generalization,
    inputs,
    loading,
    memory,
    noise_scale,
    null,
    optimizers,
    phases,
    precision,
    regularization,
    reproductions,
    scaling,
    strategies,
    stream,
    tuning,
)
from paceline.bench.report.plots.style import DPI

# In the order in which a report shows them.
PLOTS: dict[str, Callable[[Results], Figure | None]] = {
    **card.PLOTS,
    **null.PLOTS,
    **drift.PLOTS,
    **strategies.PLOTS,
    **any_target.PLOTS,
    **tuning.PLOTS,
    **optimizers.PLOTS,
    **batch_size.PLOTS,
    **critical_batch.PLOTS,
    **generalization.PLOTS,
    **noise_scale.PLOTS,
    **scaling.PLOTS,
    **precision.PLOTS,
    **compile.PLOTS,
    **stream.PLOTS,
    **phases.PLOTS,
    **memory.PLOTS,
    **loading.PLOTS,
    **regularization.PLOTS,
    **inputs.PLOTS,
    **reproductions.PLOTS,
}


def save_plots(results: Results, folder: str | Path) -> list[Path]:
    """Write a PNG, at most 10 inches wide, for each plot that ``results`` hold trials for; one of any other is removed.

    Args:
        results: of a run.
        folder: made if it does not exist.

    Returns:
        The files written, in the order of ``PLOTS``.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    return [written for name in PLOTS if (written := save_plot(results, name, folder)) is not None]


def save_plot(results: Results, name: str, folder: str | Path) -> Path | None:
    """Write the plot of that name as ``save_plots`` does; return the file, None where there is nothing to draw."""
    file = Path(folder) / f"{name}.png"
    figure = PLOTS[name](results)
    if figure is None:
        file.unlink(missing_ok=True)  # of trials that no longer count
        return None
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=DPI)
    return file
