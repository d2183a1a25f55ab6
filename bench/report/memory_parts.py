"""Where the memory went: what each cell's was made of."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.memory_parts import memory_parts, nvml_missed
from paceline.bench.records.record import WITH_RESULT, Record
from paceline.bench.report.wording import MISSING, in_words, number

# What ``memory`` shows of ``analysis.memory_parts``, its heading, and under which name its absence is explained.
MEMORY = {
    "nvml_device": ("GPU total (NVML)", "peak_device_bytes"),
    "nvml_process": ("GPU process (NVML)", "peak_device_bytes"),
    "beyond": ("GPU context and libraries", "peak_device_bytes"),
    "context": ("of these CUDA's context", "peak_device_bytes"),
    "communication": ("of these NCCL", "peak_device_bytes"),
    "libraries": ("of these other libraries", "peak_device_bytes"),
    "reserved": ("reserved (torch)", "peak_allocated_bytes"),
    "cached": ("cached by torch", "peak_allocated_bytes"),
    "allocated": ("allocated (torch)", "peak_allocated_bytes"),
    "workspaces": ("of it cuBLAS workspaces", "peak_allocated_bytes"),
    "rss_anonymous": ("RSS anonymous", "peak_rss_bytes"),
    "rss_file": ("RSS file-backed", "peak_rss_bytes"),
    "union": ("RSS, shared by ranks once", "peak_rss_bytes"),
    "dataset": ("data set", ""),
    "parameter": ("parameters", ""),
    "gradient": ("gradients", ""),
    "optimizer": ("optimizer state", ""),
    "saved": ("saved for backward", ""),
    "residual": ("residual (temporaries and allocator)", ""),
}

MISSED = "NVML's samples missed"

UNRECORDED = "the trials' records do not tell"


def table(results: Results) -> pd.DataFrame:
    """Return what each cell's memory was made of, in MB: medians over its trials with a result of sums over ranks.

    A column that no cell has is left out: ``not_measured`` says why. What one cell lacks and another has is named,
    with the reason, in its last column.
    """
    cells: dict[tuple[str, str], list[Record]] = {}
    for record in (r for r in results.records if not r.search and r.status in WITH_RESULT):
        cells.setdefault((record.comparison, record.cell), []).append(record)
    rows, missing = [], []
    for (comparison, cell), records in cells.items():
        parts = pd.DataFrame([memory_parts(record) for record in records])
        medians = {name: float(parts[name].median()) for name in MEMORY}  # of the trials that know it
        rows.append(
            {"comparison": in_words(comparison), "cell": cell, "trials": str(len(records))}
            | {heading: number(medians[name] * 1e-6) for name, (heading, _) in MEMORY.items()}
            | {MISSED: _missed(records)}
        )
        missing.append(_reasons(records, [name for name, value in medians.items() if math.isnan(value)]))
    found = pd.DataFrame(rows)
    if found.empty:
        return found
    empty = [name for name in (*(heading for heading, _ in MEMORY.values()), MISSED) if (found[name] == MISSING).all()]
    # Beside the peaks that it bounds.
    names = list(found.columns.drop(MISSED))
    names.insert(names.index(MEMORY["nvml_process"][0]) + 1, MISSED)
    found = found[names].drop(columns=empty)
    why = ["; ".join(f"{name}: {reason}" for name, reason in lacks.items() if name not in empty) for lacks in missing]
    if any(why):
        found[f"why {MISSING}"] = why
    return found.sort_values(["comparison", "cell"], ignore_index=True)


def _reasons(records: Iterable[Record], names: Iterable[str]) -> dict[str, str]:
    """Return why each part of memory in ``names`` is not known, by the heading of its column."""
    told = {name: reason for record in records for name, reason in record.unmeasured.items()}
    found = {}
    for name in names:
        heading, explained = MEMORY[name]
        names_of_it = (f"{name}_peak_bytes", f"{name}_bytes", explained)
        found[heading] = next((told[key] for key in names_of_it if key in told), UNRECORDED)
    return found


def _missed(records: Iterable[Record]) -> str:
    """Return what NVML's samples missed in the worst of a cell's trials: at least and at most, in MB."""
    least, most, gaps = np.array([nvml_missed(record) for record in records]).T
    missed, gap = (float(np.fmax.reduce(column)) for column in (least, gaps))
    if math.isnan(missed) and math.isnan(gap):
        return MISSING
    known = f"at least {number(missed * 1e-6)} MB" if missed > 0 else ""
    bound = f"at most {number(float(most.max()) * 1e-6)} MB" if not np.isnan(most).any() else ""
    said = ", ".join(filter(None, (known, bound))) or "nothing known"
    return said if math.isnan(gap) else f"{said}; up to {number(gap)} s between samples"
