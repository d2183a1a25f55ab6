"""What the report shows of ``bench_tuning.py``: what each strategy owes to its learning rate.

``report.rate_searches`` has its tables.
"""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.report import rate_searches
from paceline.bench.report.plots import tuning as plots

COMPARISON = "tuning"

PLOTS = {"tuning": plots.tuning}


def table(results: Results) -> pd.DataFrame:
    """Return the searches for each strategy's learning rate: the best, how sure it is, and what it is worth."""
    return rate_searches.table(results, COMPARISON)


def verdict(results: Results) -> str:
    """Return in words which is best, and whether that depends on how much was tuned."""
    return rate_searches.verdict(results, COMPARISON)


def costs(results: Results) -> pd.DataFrame:
    """Return what each search took."""
    return rate_searches.costs(results, COMPARISON)
