"""What the report shows of ``bench_reproductions.py``: published results, expected against measured."""

import math

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.reproductions import MAREK, NUMBERS, statements
from paceline.bench.report.plots import reproductions as plots
from paceline.bench.report.wording import MISSING, interval, number

PLOTS = {"reproductions": plots.reproductions}


def table(results: Results) -> pd.DataFrame:
    """Return what was expected and what was measured, a row a number; nothing where the run measured none of them."""
    measured = [(wanted, wanted.measured(results)) for wanted in NUMBERS]
    if all(math.isnan(found.median) for _, found in measured):
        return pd.DataFrame()
    return pd.DataFrame(
        [
            {
                "what": wanted.what,
                "expected": f"{number(wanted.expected)} {wanted.unit}".strip(),
                "agreement is": f"{number(wanted.low)} to {number(wanted.high)} {wanted.unit}".strip(),
                "measured": interval(found, wanted.unit),
                "n": str(found.n) if found.n else MISSING,
                "verdict": wanted.verdict(found),
                "source": wanted.source,
            }
            for wanted, found in measured
        ]
    )


def statements_of_adam(results: Results) -> pd.DataFrame:
    """Return the published comparisons of Adam at batch size 1, and how they came out, a row each."""
    return pd.DataFrame(
        [
            {
                "workload": found.workload,
                "published": found.what,
                "better by": interval(found.difference),
                "of a score of": number(found.score),
                "n": str(found.difference.n),
                "verdict": found.verdict,
                "source": MAREK,
            }
            for found in statements(results)
        ]
    )
