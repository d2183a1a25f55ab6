"""The expected best of fewer rates is that of counting, and a winner that changes with their number is called so."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from paceline.bench.analysis.tuning_effort import best_of, chances, optimism, standings
from paceline.bench.report import rate_searches
from tests.analysis.planted_searches import AHEAD, NARROW, NINE, WIDE, search
from tests.synthetic import results, searched


def test_the_chances_are_those_of_counting():
    assert chances(4, 2).tolist() == pytest.approx([3 / 6, 2 / 6, 1 / 6, 0])
    assert chances(9, 9).tolist() == [1] + [0] * 8
    assert chances(9, 1).tolist() == pytest.approx([1 / 9] * 9)
    with pytest.raises(ValueError, match="the number of rates tried; got 4"):
        chances(3, 4)


@pytest.mark.parametrize("k", [1, 3, 5, 9])
def test_the_expected_best_of_k_is_the_mean_over_all_sets_of_k_rates(k):
    values = [7.0, 3.0, 9.0, 4.0, 4.0, 8.0, 1.5, 6.0, 20.0]
    every = [min(some) for some in itertools.combinations(values, k)]
    assert best_of(search([[v] for v in values]), k)[0] == pytest.approx(np.mean(every))


def test_a_rate_is_chosen_by_samples_and_counted_in_seconds():
    found = search([[100.0], [200.0], [300.0]], cost=[[5.0], [1.0], [2.0]])
    # Of the three pairs the first rate is chosen in two, the second in one.
    assert best_of(found, 2)[0] == pytest.approx((2 * 5.0 + 1.0) / 3)


def test_no_seed_is_counted_at_a_rate_that_it_chose():
    """Each seed's own favourite is worthless for the other."""
    found = search([[1.0, 10.0], [10.0, 1.0], [4.0, 4.0]])
    # The first seed's choice is the first rate, which takes the second 10; and the other way round.
    assert best_of(found, 3).tolist() == [10.0, 10.0]
    assert optimism(found) == pytest.approx((10 - 4) / 10)
    assert math.isnan(optimism(search([[1.0], [2.0]])))


def test_choosing_among_equal_rates_gains_nothing_and_the_naive_mean_says_it_does():
    """Nine equal rates on three seeds: the least of nine means of three is 1.485 / sqrt(3) below the truth."""
    rng = np.random.default_rng(0)
    naive, honest = [], []
    for _ in range(1500):
        found = search(100 + rng.standard_normal((9, 3)))
        naive.append(found.cost[found.best].mean())
        honest.append(best_of(found, 9).mean())
    assert np.mean(naive) - 100 == pytest.approx(-1.485 / math.sqrt(3), abs=0.05)
    assert np.mean(honest) - 100 == pytest.approx(0, abs=0.06)


def test_a_winner_that_changes_with_the_effort_is_called_tuning_dependent():
    run = results(searched("Wide", WIDE), searched("Narrow", NARROW), searched("Never", dict.fromkeys(NINE, math.inf)))
    [standing] = standings(run, "tuning")
    assert standing.efforts == (3, 5, 9)
    assert standing.best == ("Wide", "Wide", "Narrow")
    assert standing.label == "tuning-dependent"
    labels = rate_searches.table(run, "tuning").set_index("search")["label"]
    assert labels.to_dict() == {"Wide": "tuning-dependent", "Narrow": "tuning-dependent", "Never": ""}
    assert "tuning-dependent" in rate_searches.verdict(run, "tuning")


def test_a_winner_at_every_effort_is_stable():
    run = results(searched("Wide", WIDE), searched("Ahead", AHEAD), searched("Narrow", NARROW))
    [standing] = standings(results(searched("Wide", WIDE), searched("Ahead", AHEAD)), "tuning")
    assert (standing.label, set(standing.best), standing.tied) == ("stable", {"Ahead"}, ((), (), ()))
    assert (rate_searches.table(run, "tuning")["label"] == "").all()
    assert "the same however much is tuned" in rate_searches.verdict(run, "tuning")


def test_with_scores_the_winner_is_the_highest():
    low, high = ({lr: top - 0.02 * abs(i - 4) for i, lr in enumerate(NINE)} for top in (0.90, 0.95))
    run = results(searched("Low", low, comparison="optimizers"), searched("High", high, comparison="optimizers"))
    [standing] = standings(run, "optimizers")
    assert set(standing.best) == {"High"}


def test_equals_are_tied_and_two_seeds_resolve_nothing():
    equal = results(searched("A", WIDE, spread=0.2), searched("B", WIDE, spread=0.2))
    assert all(standings(equal, "tuning")[0].tied)
    assert "not resolved to be worse" in rate_searches.verdict(equal, "tuning")
    two = results(searched("Wide", WIDE, blocks=2), searched("Ahead", AHEAD, blocks=2))
    assert all(standings(two, "tuning")[0].tied)
    assert "No difference is resolved with 2 seeds" in rate_searches.verdict(two, "tuning")


def test_a_winner_that_changes_within_what_trials_differ_by_is_not_resolved():
    """0.942 after three rates against 0.945 after four, on one seed or on two, is no dependence."""
    for seeds in (1, 2):
        run = results(searched("Wide", WIDE, blocks=seeds), searched("Narrow", NARROW, blocks=seeds))
        [standing] = standings(run, "tuning")
        assert len(set(standing.best)) == 2
        assert standing.label == "not resolved"
        assert set(rate_searches.table(run, "tuning")["label"]) == {""}
        assert "tuning-dependent" not in rate_searches.verdict(run, "tuning")


def test_rates_that_were_placed_around_the_best_are_no_draws():
    """The search adds 0.0422 and 0.0562 around 0.0316: with them, three of seven rates would be near the best."""
    rates = [0.001, 0.00316, 0.01, 0.0316, 0.0422, 0.0562, 0.1]
    costs = [[9.0], [7.0], [5.0], [2.0], [1.0], [1.5], [6.0]]
    found = replace(search(costs), rates=np.array(rates))
    assert [float(rate) for rate in found.rates[found.coarse]] == [0.001, 0.00316, 0.01, 0.0316, 0.1]
    coarse = [9.0, 7.0, 5.0, 2.0, 6.0]
    expected = np.mean([min(some) for some in itertools.combinations(coarse, 3)])
    assert best_of(found, 3)[0] == pytest.approx(expected)


def test_with_too_few_rates_there_is_no_label():
    few = {lr: WIDE[lr] for lr in NINE[4:7]}
    run = results(searched("Wide", few), searched("Narrow", {lr: NARROW[lr] for lr in NINE[4:7]}))
    [standing] = standings(run, "tuning")
    assert (standing.efforts, standing.label) == ((3,), "")
    assert "nothing is known of how that depends on the effort" in rate_searches.verdict(run, "tuning")


def test_workloads_are_judged_apart():
    run = results(searched("Wide", WIDE, workload="a"), searched("Ahead", AHEAD, workload="b"))
    assert [s.searches[0].workload for s in standings(run, "tuning")] == ["a", "b"]
