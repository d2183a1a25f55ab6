"""What a trial of a search counts, whatever became of it."""

import math

from paceline.bench.analysis.rate_searches import searches
from paceline.bench.analysis.search_cost import cost_of
from paceline.bench.analysis.tuning_effort import best_of
from tests.analysis.planted_searches import one, search
from tests.synthetic import results, searched


def test_a_trial_that_missed_counts_twice_the_most_that_any_spent():
    found = one(searched("A", {0.1: 3200.0, 1.0: math.inf}, spread=0), metric="samples_to_target")
    assert best_of(found, 1).tolist() == [(3200 + 2 * 64_000) / 2] * 3
    assert found.failed.tolist() == [[False] * 3, [True] * 3]


def test_the_most_is_that_of_all_searches_of_the_workload():
    fast, slow = searches(
        results(searched("Fast", {0.1: 3200.0, 1.0: None}), searched("Slow", {0.1: 50_000.0, 1.0: math.inf})),
        "tuning", "samples_to_target",
    )  # fmt: skip
    assert fast.cost[1].tolist() == slow.cost[1].tolist() == [128_000] * 3


def test_a_rate_that_failed_less_often_is_preferred_however_slow():
    found = search([[1.0, 1.0, 100.0], [50.0, 50.0, 50.0]], failed=[[False, False, True], [False] * 3])
    assert found.best == 1


def test_a_diverged_trial_has_learned_nothing_whatever_its_last_score():
    records = searched("A", {0.1: 0.95, 1.0: 0.5, 10.0: None}, comparison="optimizers", spread=0)
    found = one(records, comparison="optimizers")
    assert (found.sign * found.cost)[:, 0].tolist() == [0.95, 0.5, 0.1]  # 0.1 is the score after one step
    assert found.failed[:, 0].tolist() == [False, False, True]


def test_a_worse_score_than_that_of_an_untrained_model_counts_as_that():
    losses = searched("A", {0.1: 0.5, 1.0: -40.0}, comparison="optimizers", spread=0, higher_is_better=False, target=0)
    found = one(losses, comparison="optimizers")
    assert found.best == 1  # a lower one is the better here
    records = searched("A", {0.1: 0.5, 1.0: -40.0}, comparison="optimizers", spread=0)
    assert (-one(records, comparison="optimizers").cost)[:, 0].tolist() == [0.5, 0.1]


def test_rates_without_all_seeds_are_left_out_but_counted_in_the_cost():
    records = searched("A", {0.1: 3000.0, 1.0: 2000.0}, measured=0)[:-1]
    found = one(records)
    assert found.rates.tolist() == [0.1]
    assert cost_of(found.trials).trials == 5
    assert searches(results(searched("A", {0.1: 3000.0})[:0]), "tuning") == []
