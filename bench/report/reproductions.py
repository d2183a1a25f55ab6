"""What the report shows of ``bench_reproductions.py``: published and earlier results, expected against measured."""

import math

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.reproductions import MAREK, NUMBERS, RATES, statements
from paceline.bench.report.plots import reproductions as plots
from paceline.bench.report.wording import MISSING, interval, number

PLOTS = {"reproductions": plots.reproductions}


def published(results: Results) -> pd.DataFrame:
    """Return what others published and what was measured, a row a number; nothing where the run measured none."""
    return _table(results, published=True)


def earlier(results: Results) -> pd.DataFrame:
    """Return what an earlier run of this project found and what was measured: agreement with that is no evidence."""
    return _table(results, published=False)


def _table(results: Results, published: bool) -> pd.DataFrame:
    measured = [(wanted, wanted.measured(results)) for wanted in NUMBERS if wanted.published == published]
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
                "of a score (or loss) of": number(found.score),
                "rates tried": RATES[found.workload],
                "n": str(found.difference.n),
                "verdict": found.verdict,
                "source": MAREK,
            }
            for found in statements(results)
        ]
    )
