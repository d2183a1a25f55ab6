"""Join runs in one folder. What was measured in different environments is kept apart."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from paceline.bench.analysis.frames import load_results
from paceline.bench.records.environments import changed_code, differences
from paceline.bench.records.files import write_whole
from paceline.bench.records.record import DEFINITION, Record, read, to_line


def merge(sources: list[Path], output: Path, across_environments: bool = False) -> int:
    """Join the runs ``sources`` in a new folder ``output``; return how many records it holds.

    The blocks of a later source follow those of an earlier one, so that trials are still compared within the
    block they ran in. Each source's environment is kept, under ``merged`` in ``environment.json``.

    Args:
        sources: runs' folders, or results folders, of which the newest run is taken.
        output: a folder that is not there yet.
        across_environments: whether environments may differ in what matters. Each record then says in which it
            ran (the number of the first source like it, from 1), and cells of different ones stay apart.

    Raises:
        FileNotFoundError: if a source holds no run.
        ValueError: one line: environments differ and may not, a trial or a cell of one name is not the same in
            two sources, or ``output`` exists.
    """
    runs = [load_results(source) for source in sources]
    if output.exists():
        raise ValueError(f"{output} exists already: choose another folder with -o")
    first_alike = [
        next(i for i, other in enumerate(runs) if not differences(other.environment, run.environment)) for run in runs
    ]
    if not across_environments:
        for run in runs[1:]:
            changed = differences(runs[0].environment, run.environment)
            if changed:
                raise ValueError(
                    f"{runs[0].folder} and {run.folder} were measured in different environments: {changed}; "
                    "--across-environments joins them with each trial's environment beside it"
                )
    joined: list[Record] = []
    labels = [str(alike + 1) if len(set(first_alike)) > 1 else "" for alike in first_alike]
    for run, label in zip(runs, labels, strict=True):
        joined += _following(joined, list(read(run.folder / "trials.jsonl")), label)
    _check_one_meaning(joined)
    environment = runs[0].environment | {
        # Where one of them stopped by its verdicts, the number of blocks that they make together was not fixed.
        "until_decided": any(run.environment.get("until_decided") for run in runs),
        "merged": [
            {"folder": str(run.folder), "label": label, "environment": run.environment}
            for run, label in zip(runs, labels, strict=True)
        ],
    }
    gate = _joined_gate([run.folder for run in runs], labels)
    output.mkdir(parents=True)
    if gate:
        write_whole(output / "equivalence.json", json.dumps(gate, indent=1, allow_nan=False) + "\n")
    write_whole(output / "environment.json", json.dumps(environment, indent=1, allow_nan=False) + "\n")
    write_whole(output / "trials.jsonl", "".join(map(to_line, joined)))
    return len(joined)


def _joined_gate(folders: list[Path], labels: list[str]) -> list[dict[str, Any]]:
    """Return what the runs' checks of equivalence found; of two of one strategy and environment, one that failed."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for folder, label in zip(folders, labels, strict=True):
        file = folder / "equivalence.json"
        for one in json.loads(file.read_text()) if file.exists() else []:
            one["environment"] = _joined_label(label, one.get("environment", ""))
            key = one["environment"], one["workload"], one["trainer"], str(one["world_size"])
            if key not in found or not one["passed"]:
                found[key] = one
    return list(found.values())


def _joined_label(label: str, own: str) -> str:
    return ".".join(filter(None, (label, own)))  # 2.1: what was 1 in source 2


def _following(joined: list[Record], records: list[Record], label: str) -> list[Record]:
    """Return ``records`` with the blocks of each comparison numbered on from those of ``joined``."""
    blocks: dict[str, int] = {}
    for record in joined:
        blocks[record.comparison] = max(record.block + 1, blocks.get(record.comparison, 0))
    return [
        replace(
            record,
            block=record.block + blocks.get(record.comparison, 0),
            environment=_joined_label(label, record.environment),
        )
        for record in records
    ]


def _check_one_meaning(records: Iterable[Record]) -> None:
    trials: set[str] = set()
    codes: dict[tuple[str, str, str], dict[str, str]] = {}
    cells: dict[tuple[str, str, str], Record] = {}
    for record in records:
        if record.trial in trials:
            raise ValueError(f"trial {record.trial} is in two of the sources: they hold the same run")
        trials.add(record.trial)
        cell = record.environment, record.comparison, record.cell
        first = cells.setdefault(cell, record)
        for name in DEFINITION:
            before, now = getattr(first, name), getattr(record, name)
            if before != now:
                raise ValueError(
                    f"{record.comparison} {record.cell} is not the same in all sources: {name} is {before} and {now}"
                )
        codes[cell] = codes.get(cell) or record.code  # older records tell nothing of it
        changed = changed_code(codes[cell], record.code)
        if changed:
            raise ValueError(f"{record.comparison} {record.cell} is not the same in all sources: {changed} changed")
