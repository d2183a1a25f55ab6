"""What was run: suite, date, machine, the comparisons, and how their trials ended."""

from typing import Any

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.records.record import Record
from paceline.bench.report.environment import commits, loads, runs_of
from paceline.bench.report.wording import in_words, listed, number


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
        + _merged(results)
        + _several(results)
        + _shortened(results)
    )


def _merged(results: Results) -> str:
    """Say of a merge that it is one: how many runs it holds, until when, of which commits, and how busy it was."""
    runs = runs_of(results.environment)
    if len(runs) == 1:
        return ""
    used, ended = commits(runs), max(record.started for record in results.records)[:16].replace("T", " ")
    of = f" of {len(used)} commits ({listed(used)})" if len(used) > 1 else f" of one commit ({used[0]})" if used else ""
    load = f", with load averages from {loads(runs)} before them" if loads(runs) else ""
    return f" They are of {len(runs)} runs that were merged, the last trial begun {ended} UTC{of}{load}."


def _shortened(results: Results) -> str:
    count = len(cut(results))
    things = "1 thing was" if count == 1 else f"{count} things were"
    return f" {things} cut to what time and machine allowed: see below." if count else ""


def cut(results: Results) -> pd.DataFrame:
    """Return what the run had no time for, or could not run here, and why: one row each."""
    rows = []
    for environment in runs_of(results.environment):
        budget = environment.get("budget_seconds", float("nan"))
        rows += [
            {"what": line, "why": f"the run's budget of {number(budget)} s; more with --minutes or --resume"}
            for line in environment.get("cut", [])
        ]
        rows += [{"what": f"{cell} left out", "why": why} for cell, why in environment.get("left_out", {}).items()]
    return pd.DataFrame(rows)


def _several(results: Results) -> str:
    labels = sorted({record.environment for record in results.records})
    if len(labels) == 1:
        return ""
    example = next(record.workload for record in results.records if record.environment == labels[-1])
    return (
        f" They ran in {len(labels)} environments, which are kept apart: the name of a workload ends in the label of "
        f"its own ({example})."
    )


def table(results: Results) -> pd.DataFrame:
    """Return what was run: one row a comparison, and one for its searches, with how their trials ended."""
    rows = []
    searching = results.trials["search"] != ""
    for (name, is_search), trials in results.trials.groupby(["comparison", searching], sort=False):
        records = [r for r in results.records if r.comparison == name and bool(r.search) == is_search]
        ends = pd.Series([_end(record) for record in records]).value_counts()
        rows.append(
            {
                "comparison": in_words(str(name)) + (", search for the rate" if is_search else ""),
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
    return "timed" if finished and not record.stop_at_target else in_words(record.status)


def _range(counts: "pd.Series[Any]") -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"
