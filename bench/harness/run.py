"""Run a trial and return its record."""

import contextlib
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.fingerprint import fingerprint
from paceline.bench.harness.processes import run_in_processes
from paceline.bench.harness.trial import Trial, hyperparameters, varies_batch_size
from paceline.bench.probes.cores import cores
from paceline.bench.records.record import Record
from paceline.bench.workloads.user_code import as_file_name, keep_traceback


def definition(trial: Trial) -> dict[str, Any]:
    """Return the fields of ``trial``'s record that say what it is to do: ``records.record.DEFINITION``, and ``code``.

    Raises:
        ValueError: if its workload cannot be trained; one line.
    """
    return {
        "workload": trial.workload.name,
        "trainer": trial.trainer_name,
        "hyperparameters": hyperparameters(trial.trainer),
        "world_size": trial.world_size,
        "threads": trial.threads_per_rank,
        "cores": cores(),
        "device": trial.device,
        "target": trial.workload.target,
        "higher_is_better": trial.workload.higher_is_better,
        "seconds_allowed": trial.seconds,
        "steps_allowed": trial.steps,
        "stop_at_target": trial.stop_at_target,
        "score_along": trial.score_along,
        "stop_on_plateau": trial.stop_on_plateau,
        "train_samples": DATA_FILES.count(trial.workload),
        "arrivals": {} if trial.arrivals is None else asdict(trial.arrivals),
        "memory_limit_bytes": trial.memory_limit_bytes,
        "code": fingerprint(trial),
    }


def run_trial(
    trial: Trial,
    *,
    suite: str = "",
    comparison: str = "",
    cell: str = "",
    block: int = 0,
    position: int = 0,
    repeat: int = 0,
    search: str = "",
    errors: Path | None = None,
) -> Record:
    """Run ``trial`` in fresh processes and return what was observed, whatever became of it.

    A trial that fails, hangs or is killed gives a record too, whose ``status`` and ``reason`` say so.

    Args:
        trial: what to run.
        suite: label of the suite, for the record only; so are ``comparison`` (the benchmark that asks),
            ``cell`` (the trial but for its seed), ``block``, ``position`` within the block, ``repeat``, and
            ``search`` (the search for a learning rate that asks).
        comparison: see ``suite``.
        cell: see ``suite``.
        block: see ``suite``.
        position: see ``suite``.
        repeat: see ``suite``.
        search: see ``suite``.
        errors: folder for the traceback of a trial that fails, which the reason then names; None keeps none. Beside it,
            in ``traces``, goes the trace of the first trial of a cell that was profiled.

    Raises:
        ValueError: before anything runs, if the trial cannot be run as described; one line.
    """
    data_file, _ = DATA_FILES.prepare(trial.workload)
    trial.check(DATA_FILES.count(trial.workload))
    DATA_FILES.check(trial)
    cell = cell or f"{trial.workload.name}-{trial.trainer_name}"
    started = datetime.now(UTC)
    began = time.monotonic()
    observed, account = run_in_processes(trial, data_file)
    elapsed = time.monotonic() - began
    identity = f"{cell}#{block}-{uuid.uuid4().hex[:8]}"
    trace = observed.pop("trace", None)
    if trace is not None and errors is not None:
        _keep_trace(trace, errors.parent / "traces" / f"{as_file_name(cell)}.json.gz")
    if account and errors is not None:
        kept = keep_traceback(account, errors, identity)
        observed["reason"] += f"; traceback: {errors.name}/{kept.name}"
    return Record(
        trial=identity,
        started=started.isoformat(timespec="milliseconds"),
        comparison=comparison,
        cell=cell,
        suite=suite,
        block=block,
        position=position,
        seed=trial.seed,
        repeat=repeat,
        search=search,
        varies_batch_size=varies_batch_size(trial.trainer),
        **definition(trial),
        elapsed_seconds=elapsed,
        **observed,
    )


def _keep_trace(trace: bytes, file: Path) -> None:
    """Write a trace, unless its cell has one: they are large, and alike."""
    with contextlib.suppress(OSError):  # without it there is still the record
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(trace)
