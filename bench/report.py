"""Write what a run's folder holds beside its trials: summary, plots, and the report as one HTML page."""

from pathlib import Path

from bench.frames import load_results, summary


def write_summary_and_plots(folder: Path) -> None:
    """Write ``summary.csv`` and ``plots/*.png`` of the run in ``folder``."""
    results = load_results(folder)
    summary(results.trials).to_csv(folder / "summary.csv", index=False)
