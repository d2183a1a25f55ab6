"""What the report shows of ``bench_memory.py``: who trains on data beyond memory, and whether memory stays flat."""

import math

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.out_of_core import OutOfCore, out_of_core
from paceline.bench.report.judging import Finding, Said, Verdict
from paceline.bench.report.plots import out_of_core as plots
from paceline.bench.report.wording import MISSING, interval, number, number_of

PLOTS = {"out_of_core": plots.out_of_core}

MB = 1e-6


def table(results: Results) -> pd.DataFrame:
    """Return, for each strategy under the limit, whether it went on, and its private memory by samples seen."""
    rows = []
    for found in out_of_core(results):
        rows.append(
            {
                "workload": found.cell["workload"],
                "strategy": found.cell["trainer"],
                "limit (RLIMIT_DATA)": f"{number(found.limit * MB)} MB",
                "went on": f"{found.went_on} of {found.trials}",
                "samples seen": number_of(found.samples),
                **{f"private memory at {count:,}": interval(at, "MB", MB) for count, at in found.at.items()},
                "growth per million samples": interval(found.slope, "MB", 1.0),  # bytes a sample
                "verdict": found.verdict if found.went_on else MISSING,
                "why not": found.reason,
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
                f"On {found.cell['workload']}, under a limit of {number(found.limit * MB)} MB, its private memory "
                f"grows by {_growth(found)} per million samples, over {number_of(found.samples)}; "
                f"less than {number(found.floor)} MB, 5 % of what these samples take, counts as flat."
            )
            verdict = Said(said[found.verdict], math.nan, found.p)
            findings.append(Finding(verdict, text, str(found.cell["workload"])))
    return findings


def _growth(found: OutOfCore) -> str:
    return interval(found.slope, "MB")  # bytes a sample are megabytes a million
