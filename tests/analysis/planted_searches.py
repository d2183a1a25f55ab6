"""Searches for the learning rate whose answers are known."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd

from paceline.bench.analysis.rate_searches import Searched, searches
from paceline.bench.bench_critical_batch import FACTOR
from paceline.bench.harness.rate_search import Search, log_grid, rate_of
from paceline.bench.harness.trial import Trial
from paceline.trainers import MiniBatch, Sgd
from tests.problems import POINTS
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


def samples_at(size, rate, best, random, trials):
    """Return the samples of trials that differ by 20 %, of B_crit 64; at twice the best rate they take 27 % more."""
    apart = math.log(rate / best)
    return (64 + size) * np.exp(min(apart**2, 9) / 2 + random.normal(0, 0.2, trials))


def played(size, best, seeds, random):
    """Search for the rate of one batch size as ``bench_critical_batch`` does; at four times the best it diverges."""
    search, tried = Search(Trial(POINTS, MiniBatch(Sgd(lr=0.316))), log_grid(0.316, FACTOR, 3), 2, seeds), {}

    def run(trainer):
        rate = rate_of(trainer)
        status = "reached" if -3 < math.log(rate / best) < 1.3 else "diverged"
        samples = samples_at(size, rate, best, random, seeds)
        tried[trainer] = [SimpleNamespace(status=status, curve={"samples": [n], "score": [1.0]}) for n in samples]

    for trainer in search.first():
        run(trainer)
    for _ in range(search.refinements):
        run(search.following(tried))
    return search, tried
