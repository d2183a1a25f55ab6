"""What the report shows of ``bench_compile.py``: whether compiling the model pays, and after how many steps."""

import math

import pandas as pd

from paceline.bench.analysis.compiling import Payoff, payoffs
from paceline.bench.analysis.frames import Results
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.equivalence import no_equal, reservations
from paceline.bench.report.metrics import median_of
from paceline.bench.report.plots import compile as plots
from paceline.bench.report.wording import MISSING, interval, listed, number, number_of, ratio

PLOTS = {"compile": plots.compile}

BENCHMARK = "bench_compile.py"


def table(results: Results) -> pd.DataFrame:
    """Return compiled models against the same as written: time per step, what compiling took, and when it has paid."""
    rows = []
    for found in payoffs(results):
        rows.append(
            {
                "workload": found.compiled["workload"],
                "batches": found.batches,
                "batch size": number_of(found.plain["batch_size"]),
                f"{SHOWN['seconds_per_step'].heading}, as written": median_of(found.plain, "seconds_per_step"),
                "speed-up of a step": ratio(found.speedup),
                "verdict": found.speedup.verdict,
                SHOWN["compile_seconds"].heading: interval(found.compile_seconds, "s"),
                SHOWN["recompilations"].heading: number(found.recompilations.median),
                "starts later by": interval(found.later_seconds, "s"),
                "has paid after, steps": even_after(found),
                "note": no_equal(results, found.compiled),
            }
        )
    table = pd.DataFrame(rows)
    return table if any(row["note"] for row in rows) else table.drop(columns="note", errors="ignore")


def even_after(found: Payoff) -> str:
    """Return after how many steps it has paid: "12,000 [9,000, 16,000]", "never", "not before 3,000"."""
    steps = found.even_after
    if math.isnan(steps.median):
        return MISSING
    if math.isinf(steps.low):
        return "never"
    if math.isinf(steps.high):
        return f"not before {number(steps.low)}" if steps.low > 0 else "not known"
    return "never" if math.isinf(steps.median) else interval(steps)


def decisions(results: Results) -> list[Decision]:
    """Return where compiling pays, in one row."""
    found = payoffs(results)
    if not found:
        return not_run("compiling", BENCHMARK)
    words = [
        f"{_where(one)}: {ratio(one.speedup)}"
        + f" (paid after {even_after(one)} steps)" * (one.speedup.verdict == "faster")
        for one in found
    ]
    faster = [one for one in found if one.speedup.verdict == "faster"]
    decided = [one for one in found if one.speedup.verdict != "undecided"]
    if not decided:
        choice = NOT_DECIDED
    elif not faster:
        choice = "as written" if len(decided) == len(found) else "as written where it is resolved"
    else:
        most = max(one.even_after.high for one in faster)
        where = "" if len(faster) == len(found) else f" on {listed(map(_where, faster))}"
        choice = f"compiled{where}, for runs of more than {number(most)} steps"
    why = f"Speed-up of a step of the compiled model, without the seconds it was compiled in: {'; '.join(words)}."
    return [Decision("compiling", choice, f"{reservations(results, *(one.compiled for one in found))} {why}".strip())]


def _where(found: Payoff) -> str:
    return f"{found.compiled['workload']} with {found.batches} batches"
