"""Results as tables to read: numbers with their unit and 95 % interval, and the words that go with them.

Every cell of these tables is text. ``—`` stands for "not measured here"; ``not_measured`` has the reasons.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from paceline.bench.analysis.frames import Results, environments_of, not_equivalent, peak_flops
from paceline.bench.analysis.memory_parts import memory_parts, nvml_missed
from paceline.bench.analysis.paired import (
    Cell,
    Pair,
    Scaling,
    by_workload,
    cells_of,
    find,
    in_order,
    median_of,
    name_of,
    pair,
    precision_pairs,
    scalings,
    score_difference,
    speedup,
)
from paceline.bench.analysis.statistics import median_interval
from paceline.bench.analysis.trial_laws import broken
from paceline.bench.records.contamination import LARGEST_CLEAN_SHARE
from paceline.bench.records.record import Record
from paceline.bench.report.wording import MISSING, listed, number, number_of, ratio, times, with_interval

# What tables are made of may be imported from here as well.
__all__ = [
    "MISSING", "Cell", "Pair", "Scaling", "by_workload", "cells_of", "find", "in_order", "listed", "median_of",
    "name_of", "number", "number_of", "pair", "precision_pairs", "ratio", "scalings", "score_difference", "speedup",
    "times", "with_interval",
]  # fmt: skip


def run(results: Results) -> pd.DataFrame:
    """Return what was run: one row a comparison, and one for its searches, with how their trials ended."""
    rows = []
    searching = results.trials["search"] != ""
    for (name, is_search), trials in results.trials.groupby(["comparison", searching], sort=False):
        records = [r for r in results.records if r.comparison == name and bool(r.search) == is_search]
        ends = pd.Series([_end(record) for record in records]).value_counts()
        rows.append(
            {
                "comparison": str(name).replace("_", " ") + (", search for the rate" if is_search else ""),
                "workloads": listed(dict.fromkeys(trials["workload"])),
                "cells": str(trials["cell"].nunique()),
                "trials of each": _range(trials.groupby("cell").size()),
                "trials": str(len(trials)),
                "how they ended": ", ".join(f"{count} {end}" for end, count in ends.items()),
            }
        )
    return pd.DataFrame(rows)


def _end(record: Record) -> str:
    """Return a trial's status; one that was not to stop at the target was timed, not raced to it."""
    finished = record.status in ("reached", "missed")
    return "timed" if finished and not record.stop_at_target else record.status.replace("_", " ")


def _range(counts: "pd.Series[Any]") -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def strategies(results: Results) -> pd.DataFrame:
    """Return each strategy's way to the target: set-up, success, seconds, steps, samples."""
    return pd.DataFrame(
        [
            {
                "workload": cell["workload"],
                "strategy": marked(results, cell),
                "learning rate": MISSING if math.isnan(cell["lr"]) else f"{cell['lr']:g}",
                "batch size": number_of(cell["batch_size"]),
                "ranks x threads": f"{cell['world_size']} x {cell['threads']}",
                "reached": f"{cell['n_reached']} of {cell['n']}",
                "seconds to target": median_of(cell, "seconds_to_target", "s"),
                "steps to target": median_of(cell, "steps_to_target"),
                "samples to target": median_of(cell, "samples_to_target"),
            }
            for cell in in_order(cells_of(results, "strategies"), "workload", "cell")
        ]
    )


def strategy_costs(results: Results) -> pd.DataFrame:
    """Return what each strategy costs on the way: throughput, memory, energy, and the score it ended with."""
    energy = results.trials[results.trials["comparison"] == "strategies"].groupby("cell")["energy_joules"]
    joules = {cell: median_interval(values.tolist()) for cell, values in energy}
    rows = []
    for cell in in_order(cells_of(results, "strategies"), "workload", "cell"):
        used = joules[cell["cell"]]
        on_gpu = {"peak GPU memory": median_of(cell, "peak_device_bytes", "MB", 1e-6)}
        rows.append(
            {
                "workload": cell["workload"],
                "strategy": marked(results, cell),
                "throughput": median_of(cell, "samples_per_second", "samples/s"),
                "training memory": median_of(cell, "training_memory_bytes", "MB", 1e-6),
                "peak RSS": median_of(cell, "peak_rss_bytes", "MB", 1e-6),
                **(on_gpu if cell["device"] == "cuda" else {}),
                "energy": with_interval(used.median, used.low, used.high, used.n, "J"),
                "final score": median_of(cell, "final_score"),
            }
        )
    return pd.DataFrame(rows)


def pairwise(results: Results, base: str = "MiniBatch") -> pd.DataFrame:
    """Return each strategy against ``base`` in the same blocks: ratios of seconds and samples to target."""
    rows = []
    for workload, cells in by_workload(in_order(cells_of(results, "strategies"), "workload", "cell")).items():
        against = find(cells, base)
        for cell in cells:
            if against is None or cell is against:
                continue
            seconds = pair(results, cell, against, "seconds_to_target")
            rows.append(
                {
                    "workload": workload,
                    f"strategy / {base}": marked(results, cell),
                    "seconds to target, ratio": seconds.ratio,
                    "verdict": seconds.verdict,
                    "samples to target, ratio": pair(results, cell, against, "samples_to_target").ratio,
                    "training memory, ratio": pair(results, cell, against, "training_memory_bytes").ratio,
                }
            )
    return pd.DataFrame(rows)


def batch_sizes(results: Results) -> pd.DataFrame:
    """Return throughput and memory over batch size."""
    cells = in_order(cells_of(results, "batch_size"), "workload", "trainer", "batch_size")
    best: dict[tuple[str, str], float] = {}
    for cell in cells:
        key = cell["workload"], cell["trainer"]
        best[key] = np.fmax(best.get(key, np.nan), cell["samples_per_second"])
    return pd.DataFrame(
        [
            {
                "workload": cell["workload"],
                "strategy": cell["trainer"],
                "batch size": number_of(cell["batch_size"]),
                "throughput": median_of(cell, "samples_per_second", "samples/s"),
                "of the best": _percent(cell["samples_per_second"] / best[cell["workload"], cell["trainer"]]),
                "time per step": median_of(cell, "seconds_per_step", "ms", 1e3),
                "training memory": median_of(cell, "training_memory_bytes", "MB", 1e-6),
                "peak RSS": median_of(cell, "peak_rss_bytes", "MB", 1e-6),
            }
            for cell in cells
        ]
    )


def _percent(share: float) -> str:
    return MISSING if math.isnan(share) else f"{100 * share:.0f} %"


def precision(results: Results) -> pd.DataFrame:
    """Return mixed precision against float32 over model and batch size."""
    rows = []
    for amp, full in precision_pairs(results):
        gain = speedup(results, amp, full)
        rows.append(
            {
                "workload": amp["workload"],
                "parameters": number_of(amp["parameters"]),
                "batch size": number_of(amp["batch_size"]),
                "float32, per step": median_of(full, "seconds_per_step", "ms", 1e3),
                f"{amp['dtype']}, per step": median_of(amp, "seconds_per_step", "ms", 1e3),
                "speed-up": gain.ratio,
                "verdict": gain.verdict,
                "training memory, ratio": pair(results, amp, full, "training_memory_bytes").ratio,
                "final score, better by": with_interval(*score_difference(results, amp, full)),
                "note": no_equal(results, amp),
            }
        )
    table = pd.DataFrame(rows)
    return table if any(row["note"] for row in rows) else table.drop(columns="note", errors="ignore")


def scaling(results: Results) -> pd.DataFrame:
    """Return speed-up and efficiency over ranks; more ranks than cores are marked and given neither."""
    rows = []
    for found in scalings(results):
        cell, over = found.cell, found.cell["oversubscribed"]
        wanted = int(cell["world_size"] * cell["threads"])
        notes = [
            {"one": "where both begin"}.get(found.kind, ""),
            f"oversubscribed: {wanted} threads on {int(cell['cores'])} cores" if over else "",
            no_equal(results, cell),
        ]
        rows.append(
            {
                "workload": cell["workload"],
                "scaling": {"one": MISSING}.get(found.kind, found.kind),
                "ranks x threads": f"{cell['world_size']} x {cell['threads']}",
                "batch size": number_of(cell["batch_size"]),
                "time per step": median_of(cell, "seconds_per_step", "ms", 1e3),
                "throughput": median_of(cell, "samples_per_second", "samples/s"),
                "speed-up": ratio(found.speedup) if found.speedup else MISSING,
                "efficiency": ratio(found.efficiency) if found.efficiency else MISSING,
                "training memory, all ranks": median_of(cell, "training_memory_bytes", "MB", 1e-6),
                "note": "; ".join(filter(None, notes)),
            }
        )
    return pd.DataFrame(rows)


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
    "pss": ("PSS over ranks", "peak_rss_bytes"),
    "dataset": ("data set", ""),
    "parameter": ("parameters", ""),
    "gradient": ("gradients", ""),
    "optimizer": ("optimizer state", ""),
    "saved": ("saved for backward", ""),
    "residual": ("residual (temporaries and allocator)", ""),
}

MISSED = "NVML's samples missed"

UNRECORDED = "the trials' records do not tell"


def memory(results: Results) -> pd.DataFrame:
    """Return what each cell's memory was made of, in MB: medians over its trials of sums over ranks.

    A column that no cell has is left out: ``not_measured`` says why. What one cell lacks and another has is named,
    with the reason, in its last column.
    """
    cells: dict[tuple[str, str], list[Record]] = {}
    for record in (r for r in results.records if not r.search):
        cells.setdefault((record.comparison, record.cell), []).append(record)
    rows, missing = [], []
    for (comparison, cell), records in cells.items():
        parts = pd.DataFrame([memory_parts(record) for record in records])
        medians = {name: float(parts[name].median()) for name in MEMORY}  # of the trials that know it
        rows.append(
            {"comparison": comparison.replace("_", " "), "cell": cell, "trials": str(len(records))}
            | {heading: number(medians[name] * 1e-6) for name, (heading, _) in MEMORY.items()}
            | {MISSED: _missed(records)}
        )
        missing.append(_reasons(records, [name for name, value in medians.items() if math.isnan(value)]))
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    empty = [name for name in (*(heading for heading, _ in MEMORY.values()), MISSED) if (table[name] == MISSING).all()]
    # Beside the peaks that it bounds.
    names = list(table.columns.drop(MISSED))
    names.insert(names.index(MEMORY["nvml_process"][0]) + 1, MISSED)
    table = table[names].drop(columns=empty)
    why = ["; ".join(f"{name}: {reason}" for name, reason in lacks.items() if name not in empty) for lacks in missing]
    if any(why):
        table[f"why {MISSING}"] = why
    return table.sort_values(["comparison", "cell"], ignore_index=True)


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


def equivalence(results: Results) -> pd.DataFrame:
    """Return whether each strategy solves mini-batch training's problem on each workload, and what bears on it."""
    return pd.DataFrame(
        [
            {
                "workload": found["workload"],
                "strategy": found["trainer"],
                "ranks": str(found["world_size"]),
                "same gradients": "yes" if found["passed"] else f"no: {found['reason']}",
                "largest difference": MISSING if found["gap"] is None else number(found["gap"]),
                "rounding allows": MISSING
                if found["bound"] is None
                else f"{number(found['bound'])} ({found['dtype']})",
                "found": "; ".join(found["notes"]) or MISSING,
            }
            for found in results.equivalence
        ]
    )


def marked(results: Results, cell: Cell) -> str:
    """Return a cell's name, and why it is no equal of the others where the check before the comparison says so."""
    why = no_equal(results, cell)
    return f"{name_of(cell)} ({why})" if why else name_of(cell)


def no_equal(results: Results, cell: Cell) -> str:
    """Return why the check before the comparison found a cell to be no equal of the others; or ""."""
    return not_equivalent(results).get((cell["workload"], cell["trainer"], cell["world_size"]), "")


def reservations(results: Results, *cells: Cell) -> str:
    """Return a sentence for each strategy of ``cells`` that is no equal of the others, which says why; or ""."""
    said = dict.fromkeys((_called(cell), no_equal(results, cell)) for cell in cells)
    return " ".join(f"Beware: {name} {why}." for name, why in said if why)


def _called(cell: Cell) -> str:
    """Return what a strategy is called: in a sweep of one, over batch sizes or ranks, not by the name of each cell."""
    if cell["comparison"] == "strategies":
        return name_of(cell)
    ranks = f" with {cell['world_size']} ranks" if cell["world_size"] > 1 else ""
    return f"{cell['trainer']} on {cell['workload']}{ranks}"


def conservation(results: Results) -> pd.DataFrame:
    """Return every trial that breaks a law of ``analysis.trial_laws``, with the numbers that do not fit."""
    return pd.DataFrame(
        [
            {
                "comparison": record.comparison.replace("_", " "),
                "cell": record.cell,
                "block": str(record.block),
                "law": law.split(": ", 1)[0],
                "numbers": law.split(": ", 1)[1],
            }
            for record in results.records
            for law in broken(record, peak_flops(record, results.environment))
        ]
    )


def checked(results: Results) -> str:
    """Return one sentence: how many trials break a law, and for how many the matrix peak was known."""
    trials = results.trials
    marked = int((trials["broken_laws"] != "").sum())
    verdict = f"{marked} of {len(trials)} trials break a law" if marked else f"all {len(trials)} trials keep every law"
    known = trials["mfu"].dropna()
    share = f"; matrix work used {_percent(known.min())} to {_percent(known.max())} of the measured peak (MFU)"
    return f"Checked: {verdict}{share if len(known) else '; no peak of matrix multiplication was measured'}."


def failures(results: Results) -> pd.DataFrame:
    """Return every trial that ended without a result, with its reason.

    That a rate of a search diverged is a result of the search.
    """
    return pd.DataFrame(
        [
            {
                "comparison": record.comparison.replace("_", " "),
                "cell": record.cell,
                "seed": str(record.seed),
                "block": str(record.block),
                "status": record.status.replace("_", " "),
                "reason": record.reason,
            }
            for record in results.records
            if record.status not in ("reached", "missed", "plateaued")
            and not (record.search and record.status == "diverged")
        ]
    )


def contention(results: Results) -> str:
    """Return in a sentence or two how many trials had to share their cores, and what became of them."""
    repeated, trials = len(results.superseded), results.trials
    still = trials[trials["contaminated"].astype(bool)]
    stated = f"{LARGEST_CLEAN_SHARE:.0%} of its training seconds"
    if not repeated and still.empty:
        known = trials["throttled_seconds"].notna().any()
        quota = "or was held back by a quota, " if known else ""
        return f"No trial waited for a core, lost one, {quota}for more than {stated}; no GPU was throttled."
    cells = listed(dict.fromkeys(still["cell"]))
    return (
        f"{repeated + len(still)} of {repeated + len(trials)} trials were contaminated: they waited for a core, lost "
        f"one to another machine, or were held back by a CPU quota for more than {stated}, or their GPU was throttled. "
        f"{repeated} of them were repeated and do not count."
        + (f" {len(still)} count although they are contaminated: of {cells}." if len(still) else "")
    )


def not_measured(results: Results) -> pd.DataFrame:
    """Return what trials could not measure: quantity, reason, and in how many trials."""
    counts: dict[tuple[str, str], int] = {}
    for record in results.records:
        for key in record.unmeasured.items():
            counts[key] = counts.get(key, 0) + 1
    return pd.DataFrame(
        [
            {
                "quantity": name.replace("_", " "),
                "reason": reason,
                "trials": f"{count} of {len(results.records)}",
            }
            for (name, reason), count in sorted(counts.items())
        ]
    )


def environment(results: Results) -> pd.DataFrame:
    """Return the machine and the software, a row each; of several environments, a column each."""
    labels = sorted(set(results.trials["environment"])) or [""]
    columns = {}
    for label in labels:
        own = results.trials[results.trials["environment"] == label]
        facts = _facts(next(iter(environments_of(label, results.environment)), {}), own)
        column = "value" if len(labels) == 1 else f"environment {label}"
        columns[column] = {what: str(fact or MISSING) for what, fact in facts.items()}
    return pd.DataFrame(columns).rename_axis("what").reset_index()


def _facts(facts: Mapping[str, Any], trials: pd.DataFrame) -> dict[str, Any]:
    return {
        "processor": _join(facts.get("cpu"), facts.get("cpu_capability")),
        "cores": facts.get("cores"),
        "memory": f"{number(facts['memory_bytes'] * 1e-9)} GB" if facts.get("memory_bytes") else None,
        "GPUs": _gpus(facts),
        "load average before the run": ", ".join(number(x) for x in facts.get("load_average") or []),
        "waiting for a core while training": _waiting(trials),
        "operating system": facts.get("os"),
        "Python": facts.get("python"),
        "torch": _join(facts.get("torch"), f"CUDA {facts['cuda']}" if facts.get("cuda") else None),
        "matrix library": _matrix_library(facts.get("kernel_libraries") or {}) or facts.get("blas"),
        "Paceline": _join(facts.get("paceline"), _commit(facts.get("git"))),
    }


def _matrix_library(libraries: Mapping[str, Any]) -> str:
    """Return which library multiplied matrices of each dtype, else those that torch was built with."""
    ran = "; ".join(f"{dtype} by {library}" for dtype, library in (libraries.get("ran") or {}).items())
    return ran or "; ".join(each for each in libraries.get("versions") or [] if re.search("MKL|Math Kernel|BLAS", each))


def _join(*words: object) -> str:
    return ", ".join(str(word) for word in words if word)


def _commit(git: object) -> str | None:
    if not isinstance(git, dict):
        return None
    return f"commit {str(git.get('commit'))[:12]}{' with changes' if git.get('dirty') else ''}"


def _gpus(facts: Mapping[str, Any]) -> str:
    names = [gpu.get("name", "?") if isinstance(gpu, dict) else str(gpu) for gpu in facts.get("gpus") or []]
    return ", ".join(names) or f"none ({facts.get('no_gpu_because') or 'no reason recorded'})"


def _waiting(trials: pd.DataFrame) -> str:
    """Return the share of training time that a thread spent ready to run but without a core."""
    threads = trials["world_size"] * trials["threads"]
    share = (trials["runqueue_wait_seconds"] / (trials["train_seconds"] * threads)).dropna()
    if share.empty:
        return MISSING
    return f"{100 * share.median():.1f} % per thread (median over trials; at most {100 * share.max():.0f} %)"


def headline(results: Results) -> str:
    """Return one sentence: suite, date, number of trials and what became of them, machine."""
    records = results.records
    if not records:
        return "This run holds no trial."
    ends = pd.Series([_end(record) for record in records]).value_counts()
    suites = listed(dict.fromkeys(record.suite for record in records))
    devices = {"cpu": "the CPU", "cuda": "the GPU"}
    used = listed(dict.fromkeys(devices.get(record.device, record.device) for record in records))
    began = min(record.started for record in records)[:16].replace("T", " ")
    seconds = sum(record.wall_seconds or 0.0 for record in records)
    return (
        f"{len(records)} trials of the {suites} suite, begun {began} UTC, {number(seconds)} s of processes "
        f"in all, on {used} of a machine with {max(record.cores for record in records)} cores: "
        f"{', '.join(f'{count} {end}' for end, count in ends.items())}." + _several(results)
    )


def _several(results: Results) -> str:
    labels = sorted({record.environment for record in results.records})
    if len(labels) == 1:
        return ""
    example = next(record.workload for record in results.records if record.environment == labels[-1])
    return (
        f" They ran in {len(labels)} environments, which are kept apart: the name of a workload ends in the label of "
        f"its own ({example})."
    )
