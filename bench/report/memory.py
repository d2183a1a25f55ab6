"""What the report shows of ``bench_memory.py``: who trains on data beyond memory, and whether memory stays flat."""

import math

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.memory import out_of_core
from paceline.bench.report.judging import Finding, Said, Verdict
from paceline.bench.report.plots import memory as plots
from paceline.bench.report.wording import MISSING, interval, number, number_of

PLOTS = {"memory": plots.memory}

MB = 1e-6


def table(results: Results) -> pd.DataFrame:
    """Return, for each strategy under the limit, whether it went on, and its private memory by samples seen."""
    rows = []
    for found in out_of_core(results):
        rows.append(
            {
                "workload": found.cell["workload"],
                "strategy": found.cell["trainer"],
                "limit (RLIMIT_DATA)": f"{number(found.limit * MB)} MB more than at its start",
                "went on": f"{found.went_on} of {found.trials}",
                "samples seen": number_of(found.samples),
                **{f"private memory at {count:,} samples": interval(at, "MB", MB) for count, at in found.at.items()},
                "growth per million samples": interval(found.slope, "MB"),  # bytes a sample
                "verdict": found.verdict if found.went_on else MISSING,
                "why not": _in_short(found.reason),
            }
        )
    return pd.DataFrame(rows)


def flat_findings(results: Results, trainer: str) -> list[Finding]:
    """Return whether the memory of ``trainer`` stayed flat, a finding a workload that it went on with."""
    said: dict[str, Verdict] = {"flat": "holds", "grows": "fails", "undecided": "undecided"}
    findings = []
    for found in out_of_core(results):
        if found.cell["trainer"] == trainer and found.went_on:
            text = (
                f"On {found.cell['workload']}, under a limit of {number(found.limit * MB)} MB beyond what it began "
                f"with, private memory grows by {interval(found.slope, 'MB')} per million samples, as seen over "
                f"{number_of(found.samples)}; less than {number(found.floor)} MB, 5 % of what a million samples "
                f"take, counts as flat."
            )
            verdict = Said(said[found.verdict], math.nan, found.p)
            findings.append(Finding(verdict, text, str(found.cell["workload"])))
    return findings


def _in_short(reason: str) -> str:
    """Return why a trial ended, its status in plain words and without where its traceback is."""
    status, told, why = reason.partition("; traceback")[0].partition(":")
    return status.replace("_", " ") + told + why
