"""Results as tables to read: numbers with their unit and 95 % interval, and the words that go with them.

Every cell of these tables is text. ``—`` stands for "not measured here"; ``not_measured`` has the reasons.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bench.conservation import broken
from bench.frames import LARGEST_CLEAN_SHARE, Results, memory_parts, not_equivalent, nvml_missed, peak_flops, summary
from bench.record import Record
from bench.statistics import SPENT, Comparison, compare, median_interval

MISSING = "—"

Cell = Mapping[str, Any]  # a row of ``bench.frames.summary``


# Words for numbers


def number(value: float) -> str:
    """Return ``value`` to three significant digits, thousands separated; ``—`` for NaN."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    rounded = float(f"{value:.2e}")  # first, for 9.999 is 10.0 and not 10.00
    decimals = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def with_interval(value: float, low: float, high: float, n: int, unit: str = "", scale: float = 1.0) -> str:
    """Return "0.21 s [0.19, 0.24]"; where there is no interval, how many values there were."""
    if math.isnan(value):
        return MISSING
    text = f"{number(value * scale)} {unit}".strip()
    if math.isnan(low):
        return f"{text} (n={n})"
    return f"{text} [{number(low * scale)}, {number(high * scale)}]"


def median_of(cell: Cell, metric: str, unit: str = "", scale: float = 1.0) -> str:
    """Return a cell's median of ``metric`` with its interval, multiplied by ``scale`` to be in ``unit``."""
    if metric in SPENT and not cell["n_reached"]:
        return "not reached"
    if math.isinf(cell[metric]):
        return "not reached in half of the trials"
    low, high, n = (cell[f"{metric}_{part}"] for part in ("low", "high", "n"))
    return with_interval(cell[metric], low, high, n, unit, scale)


def ratio(comparison: Comparison) -> str:
    """Return "0.97 [0.90, 1.05], n=6", or that there is no interval."""
    if not comparison.n:
        return "no pair of trials to compare"
    if math.isnan(comparison.low) or math.isnan(comparison.high):
        return f"{number(comparison.ratio)}, no interval at n={comparison.n}"
    low, high = number(comparison.low), number(comparison.high)
    return f"{number(comparison.ratio)} [{low}, {high}], n={comparison.n}"


def times(comparison: Comparison) -> str:
    """Return "0.97 times [0.90, 1.05; n=6]", as it reads within a sentence."""
    if not comparison.n:
        return "(no pair of trials to compare) times"
    value = number(comparison.ratio)
    if math.isnan(comparison.low) or math.isnan(comparison.high):
        return f"{value} times (no interval at n={comparison.n})"
    return f"{value} times [{number(comparison.low)}, {number(comparison.high)}; n={comparison.n}]"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return "a, b and c"."""
    words = list(words)
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


# Cells and pairs of cells


def cells_of(results: Results, comparison: str) -> list[dict[str, Any]]:
    """Return the cells of one comparison with their medians, in the order in which they first ran."""
    trials = results.trials[results.trials["comparison"] == comparison]
    if trials.empty:
        return []
    key = ["comparison", "cell", "environment"]
    facts = trials[[*key, "parameters", "cores"]].groupby(key, as_index=False).first()
    rows = summary(trials).merge(facts, on=key).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def by_workload(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Return ``cells`` by the name of their workload."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell["workload"], []).append(cell)
    return found


def name_of(cell: Cell) -> str:
    """Return what a cell is called within its workload: "MiniBatch", "MiniBatch-B64"."""
    return str(cell["cell"]).removeprefix(f"{cell['workload']}-")


def in_order(cells: Iterable[Cell], *columns: str) -> list[Cell]:
    """Return ``cells`` sorted by ``columns``; blocks run them in random order."""
    return sorted(cells, key=lambda cell: tuple(cell[column] for column in columns))


@dataclass(frozen=True)
class Pair:
    """How cell ``a`` compares with ``b``, block by block.

    Attributes:
        comparison: ratio a / b with interval and verdict.
        bound: "at least" where trials that missed the target leave the ratio open above, "at most" where
            they leave it open below; otherwise empty.
    """

    comparison: Comparison
    bound: str = ""

    @property
    def verdict(self) -> str:
        """The comparison's verdict."""
        return self.comparison.verdict

    @property
    def ratio(self) -> str:
        """The ratio with its interval, and whether it is a bound, as in a table."""
        return f"{self.bound} {ratio(self.comparison)}".strip()

    @property
    def times(self) -> str:
        """The same, as it reads within a sentence."""
        return f"{self.bound} {times(self.comparison)}".strip()


def pair(results: Results, a: Cell, b: Cell, metric: str) -> Pair:
    """Compare two cells in ``metric``; what a trial that missed the target says of it: see ``compare``."""
    select_a, select_b = ({"comparison": cell["comparison"], "cell": cell["cell"]} for cell in (a, b))
    found = compare(results.trials, select_a, select_b, metric)
    bounds = {(False, True): "at least", (True, False): "at most", (True, True): "both missed: about"}
    return Pair(found, bounds.get((found.low == 0, math.isinf(found.high)), ""))


# The tables


def run(results: Results) -> pd.DataFrame:
    """Return what was run: one row a comparison, with how its trials ended."""
    rows = []
    for name, trials in results.trials.groupby("comparison", sort=False):
        records = [record for record in results.records if record.comparison == name]
        ends = pd.Series([_end(record) for record in records]).value_counts()
        rows.append(
            {
                "comparison": str(name).replace("_", " "),
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


def number_of(count: float) -> str:
    """Return a count in full, thousands separated."""
    return MISSING if math.isnan(count) else f"{int(count):,}"


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


def find(cells: Iterable[Cell], name: str) -> Cell | None:
    """Return the cell of that name, if it was measured."""
    return next((cell for cell in cells if name_of(cell) == name), None)


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


def precision_pairs(results: Results) -> list[tuple[Cell, Cell]]:
    """Return (autocast, float32) cells that differ in nothing else, by size of the model, then batch size."""
    found: dict[tuple[str, float], dict[str, Cell]] = {}
    for cell in in_order(cells_of(results, "precision"), "parameters", "workload", "batch_size"):
        found.setdefault((cell["workload"], cell["batch_size"]), {})[cell["trainer"]] = cell
    complete = [cells for cells in found.values() if {"Amp", "MiniBatch"} <= set(cells)]
    return [(cells["Amp"], cells["MiniBatch"]) for cells in complete]


def speedup(results: Results, a: Cell, b: Cell) -> Pair:
    """Return how many times the throughput of ``b`` that of ``a`` is; "faster" where it is more."""
    found = pair(results, a, b, "samples_per_second").comparison
    if found.verdict in ("more", "less"):
        found = replace(found, verdict="faster" if found.verdict == "more" else "slower")
    return Pair(found)


def score_difference(results: Results, a: Cell, b: Cell) -> tuple[float, float, float, int]:
    """Return median, interval and n of how much better ``a`` scored at its end than ``b``, block by block."""
    higher = {record.cell: record.higher_is_better for record in results.records}[a["cell"]]
    trials = results.trials[results.trials["comparison"] == a["comparison"]].set_index(["seed", "block"])
    score_a, score_b = (trials.loc[trials["cell"] == cell["cell"], "final_score"] for cell in (a, b))
    difference = (score_a - score_b).dropna() * (1 if higher else -1)
    interval = median_interval(difference.tolist(), positive=False)
    return interval.median, interval.low, interval.high, interval.n


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
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Scaling:
    """One number of ranks against one rank, in throughput.

    Attributes:
        kind: "one", "strong" (the global batch is held) or "weak" (each rank's batch is held).
        cell: the measured cell.
        speedup: throughput over that of one rank; None for one rank itself, and where ranks share cores.
    """

    kind: str
    cell: Cell
    speedup: Comparison | None

    @property
    def efficiency(self) -> Comparison | None:
        """Speed-up over the number of ranks."""
        if self.speedup is None:
            return None
        ranks = self.cell["world_size"]
        value, low, high = (x / ranks for x in (self.speedup.ratio, self.speedup.low, self.speedup.high))
        return replace(self.speedup, ratio=value, low=low, high=high)


def scalings(results: Results, workload: str | None = None) -> list[Scaling]:
    """Return the scaling measurements, those that begin a series first, then by kind and ranks."""
    found = []
    for name, cells in by_workload(in_order(cells_of(results, "scaling"), "workload", "world_size")).items():
        base = next((cell for cell in cells if cell["world_size"] == 1), None)
        if base is None or (workload is not None and name != workload):
            continue
        found.append(Scaling("one", base, None))
        for kind in ("strong", "weak"):
            for cell in cells:
                batch = base["batch_size"] * (1 if kind == "strong" else cell["world_size"])
                if cell["world_size"] > 1 and cell["batch_size"] == batch:
                    speedup = None
                    if not cell["oversubscribed"]:
                        speedup = pair(results, cell, base, "samples_per_second").comparison
                    found.append(Scaling(kind, cell, speedup))
    return found


def scaling(results: Results) -> pd.DataFrame:
    """Return speed-up and efficiency over ranks; more ranks than cores are marked and given neither."""
    rows = []
    for found in scalings(results):
        cell, over = found.cell, found.cell["oversubscribed"]
        wanted = int(cell["world_size"] * cell["threads"])
        note = {"one": "where both begin"}.get(found.kind, "")
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
                "note": f"oversubscribed: {wanted} threads on {int(cell['cores'])} cores" if over else note,
            }
        )
    return pd.DataFrame(rows)


# What ``memory`` shows of ``bench.frames.memory_parts``, its heading, and under which name its absence is explained.
MEMORY = {
    "nvml_device": ("GPU total (NVML)", "peak_device_bytes"),
    "nvml_process": ("GPU process (NVML)", "peak_device_bytes"),
    "context": ("GPU context and libraries", "peak_device_bytes"),
    "reserved": ("reserved (torch)", "peak_allocated_bytes"),
    "cached": ("cached by torch", "peak_allocated_bytes"),
    "allocated": ("allocated (torch)", "peak_allocated_bytes"),
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
    for record in results.records:
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
        found[heading] = told.get(f"{name}_peak_bytes") or told.get(explained) or UNRECORDED
    return found


def _missed(records: Iterable[Record]) -> str:
    """Return what NVML's samples missed in the worst of a cell's trials: at least what torch knows better, in MB."""
    found = np.array([nvml_missed(record) for record in records])
    missed, gap = (float(np.fmax.reduce(column)) for column in found.T)
    if math.isnan(missed) and math.isnan(gap):
        return MISSING
    known = f"at least {number(missed * 1e-6)} MB" if missed > 0 else "nothing known"
    return known if math.isnan(gap) else f"{known}; up to {number(gap)} s between samples"


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
    why = not_equivalent(results).get((cell["workload"], cell["trainer"]))
    return f"{name_of(cell)} ({why})" if why else name_of(cell)


def reservations(results: Results, *cells: Cell) -> str:
    """Return a sentence for each of ``cells`` that is no equal of the others, which says why; or ""."""
    marks = not_equivalent(results)
    said = [(name_of(cell), marks.get((cell["workload"], cell["trainer"]))) for cell in cells]
    return " ".join(f"Beware: {name} {why}." for name, why in said if why)


def conservation(results: Results) -> pd.DataFrame:
    """Return every trial that breaks a law of ``bench.conservation``, with the numbers that do not fit."""
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
    """Return every trial that ended without a result, with its reason."""
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
        ]
    )


def contention(results: Results) -> str:
    """Return in a sentence or two how many trials had to share their cores, and what became of them."""
    repeated, trials = len(results.superseded), results.trials
    still = trials[trials["contaminated"].astype(bool)]
    stated = f"{LARGEST_CLEAN_SHARE:.0%} of its training seconds"
    if not repeated and still.empty:
        return f"No trial waited for a core, or lost one, for more than {stated}; no GPU was throttled."
    cells = listed(dict.fromkeys(still["cell"]))
    return (
        f"{repeated + len(still)} of {repeated + len(trials)} trials were contaminated: they waited for a core, or "
        f"lost one to another machine, for more than {stated}, or their GPU was throttled. {repeated} of them were "
        "repeated and do not count."
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
    """Return the machine and the software, a row each."""
    facts = results.environment
    rows = {
        "processor": _join(facts.get("cpu"), facts.get("cpu_capability")),
        "cores": facts.get("cores"),
        "memory": f"{number(facts['memory_bytes'] * 1e-9)} GB" if facts.get("memory_bytes") else None,
        "GPUs": _gpus(facts),
        "load average before the run": ", ".join(number(x) for x in facts.get("load_average") or []),
        "waiting for a core while training": _waiting(results),
        "operating system": facts.get("os"),
        "Python": facts.get("python"),
        "torch": _join(facts.get("torch"), f"CUDA {facts['cuda']}" if facts.get("cuda") else None),
        "matrix library": facts.get("blas"),
        "Paceline": _join(facts.get("paceline"), _commit(facts.get("git"))),
    }
    return pd.DataFrame([{"what": what, "value": str(value or MISSING)} for what, value in rows.items()])


def _join(*words: object) -> str:
    return ", ".join(str(word) for word in words if word)


def _commit(git: object) -> str | None:
    if not isinstance(git, dict):
        return None
    return f"commit {str(git.get('commit'))[:12]}{' with changes' if git.get('dirty') else ''}"


def _gpus(facts: Mapping[str, Any]) -> str:
    names = [gpu.get("name", "?") if isinstance(gpu, dict) else str(gpu) for gpu in facts.get("gpus") or []]
    return ", ".join(names) or f"none ({facts.get('no_gpu_because') or 'no reason recorded'})"


def _waiting(results: Results) -> str:
    """Return the share of training time that a thread spent ready to run but without a core."""
    trials = results.trials
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
        f"{', '.join(f'{count} {end}' for end, count in ends.items())}."
    )
