"""Results as tidy tables: one row a trial, one an evaluation, one a cell; every number a function of the records."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paceline.bench.analysis.statistics import median_interval
from paceline.bench.analysis.trial_laws import broken, names
from paceline.bench.records.anchors import apart
from paceline.bench.records.contamination import oversubscribed, slow_limits, slowed
from paceline.bench.records.counting import another_problem, those_that_count
from paceline.bench.records.files import newest_run
from paceline.bench.records.metrics import COLUMNS, MEDIANS
from paceline.bench.records.record import CURVE, Record, read


@dataclass(frozen=True, eq=False)  # one is another only if it is the same: frames have no single truth
class Results:
    """The results of one run.

    Attributes:
        trials: one row a trial that counts; the units are in the names, NaN is "not measured". Where runs of several
            environments were merged, the names of workloads and cells carry its label: digits@2, digits@2-MiniBatch.
        curves: one row an evaluation: ``trial step samples seconds loss score``.
        environment: the machine and the software the trials ran on.
        records: what both were computed from.
        folder: where they were read from.
        superseded: contaminated trials that were run again, and do not count.
        whole: of what these are the results of some workloads; None if they are all.
        anchors: the trials of the anchor, which are no part of what was compared, and not in ``trials``; of an older
            run, none.
        equivalence: what ``harness.equivalence.gate`` found before strategies were compared; empty if it was not asked.
    """

    trials: pd.DataFrame
    curves: pd.DataFrame
    environment: dict[str, Any]
    records: tuple[Record, ...]
    folder: Path
    superseded: tuple[Record, ...] = ()
    equivalence: tuple[dict[str, Any], ...] = ()
    anchors: tuple[Record, ...] = ()
    whole: "Results | None" = None


@lru_cache(maxsize=32)  # by identity: a run does not change
def of_workloads(results: Results, workloads: frozenset[str]) -> Results:
    """Return what ``results`` hold of some workloads alone; with the anchors, which tie all comparisons together."""
    trials = results.trials[results.trials["workload"].isin(workloads)]
    return replace(
        results,
        trials=trials,
        curves=results.curves[results.curves["trial"].isin(trials["trial"])],
        records=tuple(record for record in results.records if record.workload in workloads),
        superseded=tuple(record for record in results.superseded if record.workload in workloads),
        equivalence=tuple(found for found in results.equivalence if found["workload"] in workloads),
        whole=results.whole or results,
    )


def not_equivalent(results: Results) -> dict[tuple[str, str, int], str]:
    """Return, by (workload, trainer, ranks), why a strategy cannot be compared with the others as their equal."""
    marks = {
        (found["workload"], found["trainer"], found["world_size"]): another_problem(found)
        for found in results.equivalence
    }
    return {key: why for key, why in marks.items() if why}


def load_results(path: str | Path = "results") -> Results:
    """Read a run's folder, or the newest run of a results folder. Nothing in it is executed.

    Raises:
        FileNotFoundError: if there are no results at ``path``.
        ValueError: if they were written by a newer Paceline.
    """
    folder = Path(path)
    if not (folder / "trials.jsonl").exists():
        folder = newest_run(folder) or folder
    if not (folder / "trials.jsonl").exists():
        raise FileNotFoundError(f"no results in {path} (there is no trials.jsonl): run 'paceline run' first")
    folder = folder.resolve()
    counting, superseded = those_that_count(read(folder / "trials.jsonl"))
    records, anchors = apart(counting)
    several = len({record.environment for record in (*records, *superseded)}) > 1
    if several:
        records, superseded = tuple(map(_with_label, records)), tuple(map(_with_label, superseded))
    environment_file = folder / "environment.json"
    environment = json.loads(environment_file.read_text()) if environment_file.exists() else {}
    gate_file = folder / "equivalence.json"
    gate = tuple(json.loads(gate_file.read_text())) if gate_file.exists() else ()
    if several:
        gate = tuple(found | {"workload": _labelled(found["workload"], found.get("environment", ""))} for found in gate)
    trials, curves = trials_frame(records, environment), curves_frame(records)
    return Results(trials, curves, environment, records, folder, superseded, gate, anchors)


def _labelled(name: str, environment: str) -> str:
    return f"{name}@{environment}" if environment else name


def _with_label(record: Record) -> Record:
    """Return ``record`` as one of several environments: its names carry the label of its own, digits@2-MiniBatch.

    Whatever groups trials by workload or cell, a table or a plot, then keeps environments apart.
    """
    workload = _labelled(record.workload, record.environment)
    cell, search = (
        name.replace(record.workload, workload, 1)
        if name.startswith(f"{record.workload}-")
        else _labelled(name, record.environment)
        for name in (record.cell, record.search)
    )
    return replace(record, workload=workload, cell=cell, search=search if record.search else "")


def environments_of(label: str, environment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the environments of the runs that were merged under ``label``; of a run alone, its own.

    Args:
        label: the ``environment`` of a record: "", "2", or "2.1" for what was 1 in the second source.
        environment: that of the results.
    """
    if "merged" not in environment:
        return [environment] if not label else []
    found = []
    for source in environment["merged"]:
        own = source.get("label", "")
        if not own or f"{label}.".startswith(f"{own}."):
            found += environments_of(label[len(own) :].removeprefix("."), source["environment"])
    return found


def trials_frame(records: tuple[Record, ...], environment: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return one row a record, those superseded by a repeat marked; ``mfu`` needs the peaks of ``environment``."""
    superseded = {id(record) for record in those_that_count(records)[1]}
    limits = slow_limits(records)
    rows = []
    for record in records:
        row = _row(record, peak_flops(record, environment or {}))
        row["slowed"] = slowed(record, limits)
        row["contaminated"] |= row["slowed"]
        rows.append(row | {"superseded": id(record) in superseded})
    # Named, for a run without trials has them too.
    return pd.DataFrame(rows, columns=[*(column.column for column in COLUMNS), "broken_laws", "superseded"])


def peak_flops(record: Record, environment: Mapping[str, Any]) -> float | None:
    """Return the measured peak, FLOP/s over all ranks, of what ``record`` ran on; None if it was not measured.

    Ranks that share cores take turns, and the best rates of each add up to more than the cores can do: they have no
    higher peak than ranks and threads that just fill the cores, where that was measured.
    """
    own = environments_of(record.environment, environment)
    peaks = [peak for each in own for peak in each.get("gemm_peaks") or []]
    peaks = [peak for peak in peaks if (peak["device"], peak["dtype"]) == (record.device, record.dtype)]
    alike = (p for p in peaks if (p["threads"], p["world_size"]) == (record.threads, record.world_size))
    found: float | None = next(alike, {"flops_per_second": None})["flops_per_second"]
    if found is None or not oversubscribed(record):
        return found
    filling = (p["flops_per_second"] for p in peaks if p["threads"] * p["world_size"] == record.cores)
    return min(found, max((rate for rate in filling if rate is not None), default=found))


def curves_frame(records: tuple[Record, ...]) -> pd.DataFrame:
    """Return one row a point of a curve; ``score`` is NaN at points that were not scored."""
    parts = [pd.DataFrame({"trial": record.trial} | record.curve) for record in records if record.curve["step"]]
    if not parts:
        return pd.DataFrame({name: [] for name in ("trial", *CURVE)})
    curves = pd.concat(parts, ignore_index=True)
    return curves.astype({"seconds": float, "loss": float, "score": float})


def _row(record: Record, peak: float | None) -> dict[str, Any]:
    row = {column.column: column.value(record) for column in COLUMNS}
    flops_per_second = row["flops_per_sample"] * row["samples_per_second"]
    # Of the matrix work alone: it is all that the counter counts.
    row["mfu"] = flops_per_second / peak if peak else np.nan
    return row | {"broken_laws": names(broken(record, peak, row))}


CELL = ("comparison", "cell", "environment", "workload", "trainer", "lr", "batch_size", "micro_batch_size", "dtype",
        "world_size", "threads", "oversubscribed", "device")  # fmt: skip


def summary(trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row a cell: for each metric its median, 95 % interval (``_low``, ``_high``) and n.

    A trial that missed the target counts as infinitely late in the metrics *to target*, so that a median
    over trials of which half missed is infinite: it is not the median of the lucky ones.
    Trials of one seed count once in a median and its interval: a merged rerun of the same seeds makes neither narrower.
    ``n`` is the number of trials, ``seeds`` that of different seeds, ``n_reached`` how many reached the target,
    ``n_failed`` how many ended without a result (out of memory, timed out, crashed, failed). Trials that were repeated
    do not count, nor do those by which a rate was searched, and those of different environments are never one cell.
    """
    rows = []
    counting = trials[~trials["superseded"].astype(bool) & (trials["search"] == "")]
    for _, cell in counting.groupby(["comparison", "cell", "environment"], sort=False):
        row: dict[str, Any] = {name: cell[name].iloc[0] for name in CELL}
        failed = cell["status"].isin(["out_of_memory", "timed_out", "crashed", "failed"])
        row |= {
            "n": len(cell),
            "seeds": cell["seed"].nunique(),
            "n_reached": int((cell["status"] == "reached").sum()),
            "n_failed": int(failed.sum()),
            "status": ", ".join(f"{count} {status}" for status, count in cell["status"].value_counts().items()),
        }
        for name, metric in MEDIANS.items():
            values = cell[name].to_numpy(float)
            if metric.spent and np.isfinite(values).any():
                values = np.where(np.isnan(values), np.inf, values)
            interval = median_interval(values.tolist(), metric.median == "positive", cell["seed"].tolist())
            row |= {name: interval.median, f"{name}_low": interval.low, f"{name}_high": interval.high}
            row[f"{name}_n"] = interval.n
        rows.append(row)
    return pd.DataFrame(rows)
