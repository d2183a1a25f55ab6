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
    """Write a PNG, 10 inches wide, for each plot that ``results`` hold trials for; one of any other is removed.

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
        if figure is None:
            (folder / f"{key}.png").unlink(missing_ok=True)  # of trials that no longer count
        else:
            written.append(folder / f"{key}.png")
            figure.savefig(written[-1], dpi=DPI)
    return written
