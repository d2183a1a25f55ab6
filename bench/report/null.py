"""What the report shows of ``bench_null.py``: what a run shows between two names of one strategy is noise."""

import math

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.null_test import METRICS, Null, blocks_of, nulls
from paceline.bench.report.plots import null as plots
from paceline.bench.report.wording import MISSING, in_words, ratio, two_digits

PLOTS = {"null": plots.null}


def headline(results: Results) -> str:
    """Return what a reader must know before any other number: which differences this run cannot see."""
    lines = [_resolution(null, _own_blocks(results, null)) for null in _first_of_each(nulls(results))]
    if lines:
        return " ".join(lines)
    if (results.trials["comparison"] == "null").any():
        return "Which differences this run resolves is not known: its null test has fewer than three pairs of trials."
    return "Which differences this run resolves is not known: it holds no null test (bench_null.py)."


def _first_of_each(found: list[Null]) -> list[Null]:
    """Return one a workload, in the metric that comes first."""
    return list({null.workload: null for null in reversed(found)}.values())[::-1]


def _own_blocks(results: Results, null: Null) -> int:
    """Return how many blocks the strategies were compared in; where they were not, those of the null test."""
    return blocks_of(results).get(("strategies", null.workload), len(null.logs))


def _resolution(null: Null, n: int) -> str:
    what = f"{in_words(null.metric)} on {null.workload}"
    if n < 3:
        return f"No difference is resolved in this run (n = {n} blocks): a verdict takes at least three."
    return (
        f"Differences under {two_digits(null.smallest(n))} in {what} are not resolved in this run (n = {n} blocks): "
        f"the same strategy under two names differed by {two_digits(math.expm1(null.noise))} within a block."
    )


def table(results: Results) -> pd.DataFrame:
    """Return what the null test found: the noise of a pair, false alarms, and whether A and B came out apart."""
    return pd.DataFrame(
        [
            {
                "workload": null.workload,
                "metric": in_words(null.metric),
                "A / B, ratio": ratio(null.comparison),
                "verdict": null.comparison.verdict,
                "a single pair differs by": f"{two_digits(math.expm1(null.noise))} "
                f"[{two_digits(math.expm1(null.noise_low))}, {two_digits(math.expm1(null.noise_high))}]",
            }
            for null in nulls(results)
        ]
    )


def resolution(results: Results) -> pd.DataFrame:
    """Return, for each comparison, the smallest difference that its blocks show at 80 % power at the null's noise."""
    found = {(null.workload, null.metric): null for null in nulls(results)}
    rows = []
    for (comparison, workload), n in blocks_of(results).items():
        if any(name == workload for name, _ in found):
            of_workload = {metric: found.get((workload, metric)) for metric in METRICS}
            rows.append(
                {
                    "comparison": in_words(comparison),
                    "workload": workload,
                    "blocks": str(n),
                }
                | {
                    f"smallest difference seen, {in_words(metric)}": MISSING
                    if null is None
                    else two_digits(null.smallest(n))
                    for metric, null in of_workload.items()
                }
            )
    return pd.DataFrame(rows)
