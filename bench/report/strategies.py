"""What the report shows of ``bench_strategies.py``: the way to the target, and what it costs."""

import math

import pandas as pd

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, find, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.run_costs import break_even, ledger, once, search_of
from paceline.bench.analysis.scaling import workers
from paceline.bench.analysis.statistics import Interval
from paceline.bench.analysis.time_to_target import crossings, disagreements
from paceline.bench.records.metrics import COSTS
from paceline.bench.report.cores_used import footing, in_worker_seconds, worker
from paceline.bench.report.doubts import flag
from paceline.bench.report.equivalence import marked
from paceline.bench.report.metrics import columns, ratio_column
from paceline.bench.report.plots.convergence import convergence
from paceline.bench.report.plots.pareto import pareto
from paceline.bench.report.plots.time_to_target import time_to_target as times_to_target
from paceline.bench.report.wording import MISSING, in_seconds, interval, number, number_of, ratio

# The column of those that do not run on the same number of cores or GPUs.
UNLIKE = "not on the same"

PLOTS = {
    "convergence": convergence,
    "time_to_target": times_to_target,
    "pareto": pareto,
}


def table(results: Results) -> pd.DataFrame:
    """Return each strategy's way to the target: set-up, success, seconds, steps, samples."""
    return pd.DataFrame(
        [
            {
                "workload": cell["workload"],
                "strategy": marked(results, cell),
                "learning rate": _rate(results, cell),
                "batch size": number_of(cell["batch_size"]),
                "ranks x threads": f"{cell['world_size']} x {cell['threads']}",
                "reached": f"{cell['n_reached']} of {cell['n']}",
                **columns(cell, "seconds_to_target", "steps_to_target", "samples_to_target"),
            }
            for cell in in_order(cells_of(results, "strategies"), "workload", "cell")
        ]
    )


def _rate(results: Results, cell: Cell) -> str:
    """Return a cell's learning rate, and that it was not searched where no search is known that tried it."""
    if math.isnan(cell["lr"]):
        return MISSING
    return f"{cell['lr']:g}" if len(search_of(results, cell)) else f"{cell['lr']:g} (not searched)"


def time_to_target(results: Results) -> pd.DataFrame:
    """Return what stands beside each strategy's time to target: its chance, quality at a fixed budget, and doubts.

    The time itself stands in ``table``, and in no other way. Where all trials reached the target, both means are left
    out: they are then the same.
    """
    found = crossings(results)
    apart, rows = disagreements(found), []
    for cell in in_order(cells_of(results, "strategies"), "workload", "cell"):
        key = cell["cell"], cell["environment"]
        if key not in found:
            continue
        own = found[key]
        rows.append(
            {
                "workload": cell["workload"],
                "strategy": marked(results, cell),
                "success": interval(own.success, "%", 100),
                "level at the crossing": interval(own.level),
                "budget": f"{number(own.budget)} s" if own.budget > 0 else MISSING,
                "restricted mean": f"{number(own.restricted_mean)} s" if own.budget > 0 else MISSING,
                "PAR-2": f"{number(own.par2)} s" if own.budget > 0 else MISSING,
                "score at equal seconds": _score(own.at_seconds, f"{number(own.stops['seconds'])} s"),
                "score at equal samples": _score(own.at_samples, number_of(own.stops["samples"])),
                "flag": flag(own, apart[key]),
            }
        )
    table = pd.DataFrame(rows)
    missed = any(own.success.median < 1 for own in found.values())
    return table if missed else table.drop(columns=["budget", "restricted mean", "PAR-2"], errors="ignore")


def _score(score: Interval, at: str) -> str:
    return MISSING if math.isnan(score.median) else f"{interval(score)} at {at}"


def costs(results: Results) -> pd.DataFrame:
    """Return what each strategy costs on the way: throughput, memory, energy, and the score it ended with."""
    rows, cells = [], in_order(cells_of(results, "strategies"), "workload", "cell")
    of_texts = () if all(math.isnan(cell["tokens_per_second"]) for cell in cells) else ("tokens_per_second",)
    for cell in cells:
        on_no_gpu = ("peak_device_bytes",) if cell["device"] == "cpu" else ()
        rows.append(
            {
                "workload": cell["workload"],
                "strategy": marked(results, cell),
                **columns(cell, *of_texts, *(name for name in COSTS if name not in on_no_gpu)),
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
                    **ratio_column(seconds, "seconds_to_target"),
                    "verdict": seconds.verdict,
                    UNLIKE: _unlike(seconds, cell, against),
                    **ratio_column(pair(results, cell, against, "samples_to_target"), "samples_to_target"),
                    **ratio_column(pair(results, cell, against, "training_memory_bytes"), "training_memory_bytes"),
                }
            )
    found = pd.DataFrame(rows)
    return found if any(row[UNLIKE] for row in rows) else found.drop(columns=UNLIKE, errors="ignore")


def _unlike(seconds: Pair, a: Cell, b: Cell) -> str:
    """Return on how many cores or GPUs two cells run, and what that costs; "" where it is as many."""
    if workers(a) == workers(b):
        return ""
    paid = ratio(in_worker_seconds(seconds, a, b))
    return f"{footing(a, b)}: {paid} the {worker(a)}-seconds"


def run_costs(results: Results, base: str = "MiniBatch") -> pd.DataFrame:
    """Return the ledger to read, in seconds a trial, and after how many runs a strategy pays off against ``base``."""
    entries = ledger(results)
    rows = []
    for entry in in_order(_rows(entries), "workload", "cell"):
        same = [row for row in _rows(entries) if (row["workload"], row["environment"]) == _place(entry)]
        against = next((row for row in same if row["trainer"] == base), None)
        phases = {
            "set-up": "setup_seconds",
            "warm-up": "warmup_seconds",
            "compile": "compile_seconds",
            "training": "training_seconds",
            "evaluation": "evaluation_seconds",
            "unaccounted": "unaccounted_seconds",
            "wall": "wall_seconds",
            "launch": "launch_seconds",
        }
        rows.append(
            {"workload": entry["workload"], "strategy": str(entry["cell"]).removeprefix(f"{entry['workload']}-")}
            | {name: in_seconds(entry[column]) for name, column in phases.items()}
            | {
                "failed trials": _failed(entry),
                "tuning": _tuning(entry),
                f"cheaper than {base} after": "" if entry["trainer"] == base or against is None
                else _pays_off(results, entry, against),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _rows(table: pd.DataFrame) -> list[Cell]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _place(row: Cell) -> tuple[str, str]:
    return row["workload"], row["environment"]


def _failed(entry: Cell) -> str:
    if not entry["failed"]:
        return "none"
    return f"{entry['failed']} of {entry['n']}, in all {in_seconds(entry['failed_seconds'])}"


def _tuning(entry: Cell) -> str:
    if not entry["tuning_trials"]:
        return "rate not searched"
    trials = f"{number_of(entry['tuning_trials'])} trials"
    if not math.isnan(entry["tuning_seconds"]):
        return f"{trials}, {in_seconds(entry['tuning_seconds'])}"
    return f"{trials}, seconds not recorded (at least {in_seconds(entry['tuning_seconds_at_least'])})"


def _pays_off(results: Results, a: Cell, b: Cell) -> str:
    """Return when ``a`` has cost less than ``b``, where it is resolved at all which of them trains for less."""
    one, other = ({"comparison": "strategies", "cell": entry["cell"]} for entry in (a, b))
    undecided = pair(results, one, other, "seconds_to_target").verdict == "undecided"
    return "not resolved which trains for less" if undecided else _break_even(a, b)


def _break_even(a: Cell, b: Cell) -> str:
    """Return after how many runs to the target strategy ``a`` has cost less than ``b``: "3 runs", "never"."""
    runs = break_even(a, b)
    if math.isnan(runs):
        return MISSING
    if math.isinf(runs):
        return "never" if once(a) >= once(b) else "cheaper at first only"
    return "at once" if runs == 0 else f"{runs:,.0f} runs"
