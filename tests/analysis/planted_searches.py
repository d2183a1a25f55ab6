"""Searches for the learning rate whose answers are known."""

import math

import numpy as np
import pandas as pd

from paceline.bench.analysis.rate_searches import Searched, searches
from tests.synthetic import results

NINE = [float(f"{10 ** (k / 4):.3g}") for k in range(-8, 1)]


def search(chosen_by, failed=None, cost=None, metric="samples_to_target"):
    """Return a search of these values [rates, seeds], without trials."""
    values = np.asarray(chosen_by, float)
    lost = np.zeros(values.shape, bool) if failed is None else np.asarray(failed)
    rates = np.array(NINE[: len(values)])
    cost = values if cost is None else np.asarray(cost, float)
    seeds = tuple(range(values.shape[1]))
    worthless = 0.9 if metric == "final_score" else 1e6
    return Searched(
        "tuning", "w", "", "w-A", metric, False, rates, seeds, values, cost, lost, worthless, pd.DataFrame()
    )


def one(*records, comparison="tuning", metric=None):
    [found] = searches(results(*records), comparison, metric)
    return found


WIDE = dict(zip(NINE, [6e4, 4e4, 2e4, 1e4, 6e3, 5e3, 7e3, math.inf, None], strict=True))

NARROW = dict(zip(NINE, [math.inf] * 4 + [9e3, 3e3, math.inf, None, None], strict=True))

AHEAD = {lr: None if n is None else n / 2 for lr, n in WIDE.items()}
