"""Hand a run's medians to other tools."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paceline.bench.analysis.frames import load_results, summary
from paceline.bench.records.metrics import METRICS

# What is handed on, with its unit.
EXPORTED = {
    name: METRICS[name].unit
    for name in ("samples_per_second", "seconds_to_target", "training_memory_bytes", "energy_joules")
}


def export(path: Path, form: str, metric: str = "samples_per_second") -> tuple[str, list[str]]:
    """Return a run's medians as another tool reads them, and the cells left out for they have none.

    ``github`` is github-action-benchmark's ``customBiggerIsBetter`` for samples_per_second and its
    ``customSmallerIsBetter`` for the other metrics, one metric a file. ``bencher`` is Bencher Metric Format with
    all of ``EXPORTED`` and their 95 % intervals. JSON has no infinity: a cell that missed the target in half of
    its trials has no time to it to hand on.

    Args:
        path: a run's folder, or a results folder.
        form: "github" or "bencher".
        metric: one of ``EXPORTED``; for ``github``.

    Raises:
        FileNotFoundError: if there is no run at ``path``.
        ValueError: if the form or the metric is none of these.

    Source: github.com/benchmark-action/github-action-benchmark, README, "customBiggerIsBetter"; Bencher Metric
    Format, bencher.dev/docs/reference/bencher-metric-format.
    """
    if form not in ("github", "bencher"):
        raise ValueError(f"unknown format {form!r}: known are github, bencher")
    if metric not in EXPORTED:
        raise ValueError(f"unknown metric {metric!r}: known are {', '.join(EXPORTED)}")
    results = load_results(path)
    cells = {_name(row): row for row in summary(results.trials).to_dict("records")}
    if form == "github":
        found = {name: row for name, row in cells.items() if math.isfinite(row[metric])}
        entries: Any = [_github_entry(name, row, metric) for name, row in found.items()]
    else:
        entries = {name: measures for name, row in cells.items() if (measures := _bencher_measures(row))}
        found = entries
    return json.dumps(entries, indent=1, allow_nan=False) + "\n", [name for name in cells if name not in found]


def _name(row: Mapping[Any, Any]) -> str:
    return f"{row['comparison']}/{row['cell']}"  # of several environments it carries the label of its own


def _github_entry(name: str, row: Mapping[Any, Any], metric: str) -> dict[str, Any]:
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    entry = {"name": name, "unit": EXPORTED[metric], "value": float(row[metric])}
    if math.isfinite(low) and math.isfinite(high):
        entry["range"] = f"{low:.4g} to {high:.4g}"
    return entry | {"extra": f"median of {row[f'{metric}_n']} trials; {row['status']}"}


def _bencher_measures(row: Mapping[Any, Any]) -> dict[str, dict[str, float]]:
    measures = {}
    for metric in EXPORTED:
        ends = {"value": row[metric], "lower_value": row[f"{metric}_low"], "upper_value": row[f"{metric}_high"]}
        if math.isfinite(row[metric]):
            measures[metric] = {end: float(value) for end, value in ends.items() if math.isfinite(value)}
    return measures
