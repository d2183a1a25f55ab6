"""Every trial of a search counts in what it cost."""

import math

import pytest

from paceline.bench.analysis.search_cost import cost_of
from paceline.bench.report import rate_searches
from tests.analysis.planted_searches import one
from tests.synthetic import results, searched


def test_the_cost_counts_every_trial_and_says_what_was_lost():
    spent = cost_of(one(searched("A", {0.1: 32_000.0, 1.0: math.inf, 10.0: None}, blocks=2, spread=0)).trials)
    # At 64,000 samples/s: 0.5 s to the target, 1 s to miss it, 0.5 s to diverge; and 0.5 s around each.
    assert (spent.trials, spent.diverged, spent.missed, spent.failed) == (6, 2, 2, 0)
    assert (spent.train_seconds, spent.wall_seconds, spent.samples) == pytest.approx((4.0, 7.0, 256_000))
    assert (spent.diverged_share, spent.missed_share) == pytest.approx((0.25, 0.5))
    run = results(searched("A", {0.1: 32_000.0, 1.0: math.inf, 10.0: None}, blocks=2, spread=0))
    [row] = rate_searches.costs(run, "tuning").to_dict("records")
    assert (row["training"], row["processes"], row["of it, missed"]) == ("4.00 s", "7.00 s", "50.0 %")


def test_a_process_that_did_not_live_to_tell_leaves_the_wall_time_unknown():
    records = searched("A", {0.1: 32_000.0}) + searched("A", {1.0: None}, status="crashed", wall_seconds=None)
    spent = cost_of(one(records).trials)
    assert spent.failed == 3
    assert math.isnan(spent.wall_seconds)
