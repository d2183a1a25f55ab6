"""What is said of searches whose answers are known: how sure, how sensitive, at what effort, at what cost."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from paceline.bench.analysis import rate_sensitivity
from paceline.bench.analysis.rate_sensitivity import Searched, basin, best_of, chances, cost_of, optimism, unresolved
from tests.synthetic import results, searched

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
    [found] = rate_sensitivity.searches(results(*records), comparison, metric)
    return found


# The expected best of k


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


# What did not get there


def test_a_trial_that_missed_counts_twice_the_most_that_any_spent():
    found = one(searched("A", {0.1: 3200.0, 1.0: math.inf}, spread=0), metric="samples_to_target")
    assert best_of(found, 1).tolist() == [(3200 + 2 * 64_000) / 2] * 3
    assert found.failed.tolist() == [[False] * 3, [True] * 3]


def test_the_most_is_that_of_all_searches_of_the_workload():
    fast, slow = rate_sensitivity.searches(
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
    assert rate_sensitivity.searches(results(searched("A", {0.1: 3000.0})[:0]), "tuning") == []


# How sure


@pytest.mark.parametrize(("seeds", "noisier"), [(2, 1.0), (3, 1.0), (3, 2.0)])
def test_the_truly_best_rate_is_among_those_not_resolved(seeds, noisier):
    """Seven rates, the best by a little; trials differ by 10 %, at the best rate also by twice that."""
    rng = np.random.default_rng(1)
    truth = np.log(1000) + np.array([0.5, 0.2, 0.05, 0.0, 0.05, 0.2, 0.5])
    spread = np.where(np.arange(7) == 3, noisier, 1.0) * 0.1
    kept, sizes = [], []
    for _ in range(1000):
        drift = 0.3 * rng.standard_normal(seeds)  # of the seed: it falls on all rates alike
        found = search(np.exp(truth[:, None] + drift + spread[:, None] * rng.standard_normal((7, seeds))))
        rates = unresolved(found)
        kept.append(NINE[3] in rates)
        sizes.append(len(rates))
    assert np.mean(kept) >= 0.95
    assert np.mean(sizes) < 5.5  # and not by keeping them all


def test_without_seeds_to_tell_or_where_the_best_failed_nothing_is_resolved():
    assert unresolved(search([[1.0], [50.0]])).tolist() == NINE[:2]
    lost = search([[1.0, 9.0], [50.0, 9.0], [9.0, 9.0]], failed=[[False, True], [False, True], [True, True]])
    assert unresolved(lost).tolist() == NINE[:2]


def test_a_rate_that_misses_is_not_in_question_where_another_never_does():
    found = search([[100.0, 101.0], [90.0, 1e5], [104.0, 99.0]], failed=[[False] * 2, [False, True], [False] * 2])
    assert unresolved(found).tolist() == [NINE[0], NINE[2]]


def test_the_noise_of_a_rate_that_all_but_diverged_hides_nothing():
    """Errors of 0.05, 0.08 and 0.10, known to 0.001; and of 0.5 and 0.9, at a rate at which anything may happen."""
    sane = [[0.050, 0.051, 0.052], [0.081, 0.080, 0.082], [0.100, 0.102, 0.101]]
    assert unresolved(search([*sane, [0.5, 0.9, 0.9]], metric="final_score")).tolist() == NINE[:1]
    hits = [[1000, 1010, 1020], [1310, 1300, 1320], [2000, 2030, 2010]]
    assert unresolved(search([*hits, [5000, 50_000, 9000]])).tolist() == NINE[:1]


# How wide


def test_the_basin_ends_where_the_line_between_two_rates_has_lost_a_fifth():
    found = search([[2000.0] * 2, [1000.0] * 2, [4000.0] * 2])
    wide = basin(found)
    quarter = np.log10(found.rates[1] / found.rates[0]), np.log10(found.rates[2] / found.rates[1])
    expected = quarter[0] * math.log(1.2) / math.log(2) + quarter[1] * math.log(1.2) / math.log(4)
    assert wide.decades == pytest.approx(expected)
    assert (wide.open_low, wide.open_high) == (False, False)


def test_a_basin_that_was_not_seen_to_end_says_so():
    edge = basin(search([[1000.0], [1100.0], [9000.0]]))
    assert (edge.low, edge.open_low, edge.open_high) == (NINE[0], True, False)
    assert edge.text.startswith("at least 0.")
    assert math.isnan(basin(search([[1.0]], failed=[[True]])).low)


def test_of_a_score_the_basin_loses_one_percent():
    found = one(
        searched("A", {0.1: 0.88, 1.0: 0.90, 10.0: 0.86}, comparison="optimizers", spread=0), comparison="optimizers"
    )
    assert basin(found).decades == pytest.approx(0.009 / 0.02 + 0.009 / 0.04)


# Whether the winner depends on the effort

WIDE = dict(zip(NINE, [6e4, 4e4, 2e4, 1e4, 6e3, 5e3, 7e3, math.inf, None], strict=True))
NARROW = dict(zip(NINE, [math.inf] * 4 + [9e3, 3e3, math.inf, None, None], strict=True))
AHEAD = {lr: None if n is None else n / 2 for lr, n in WIDE.items()}


def test_a_winner_that_changes_with_the_effort_is_called_tuning_dependent():
    run = results(searched("Wide", WIDE), searched("Narrow", NARROW), searched("Never", dict.fromkeys(NINE, math.inf)))
    [standing] = rate_sensitivity.standings(run, "tuning")
    assert standing.efforts == (3, 5, 9)
    assert standing.best == ("Wide", "Wide", "Narrow")
    assert standing.label == "tuning-dependent"
    labels = rate_sensitivity.table(run, "tuning").set_index("search")["label"]
    assert labels.to_dict() == {"Wide": "tuning-dependent", "Narrow": "tuning-dependent", "Never": ""}
    assert "tuning-dependent" in rate_sensitivity.verdict(run, "tuning")


def test_a_winner_at_every_effort_is_stable():
    run = results(searched("Wide", WIDE), searched("Ahead", AHEAD), searched("Narrow", NARROW))
    [standing] = rate_sensitivity.standings(results(searched("Wide", WIDE), searched("Ahead", AHEAD)), "tuning")
    assert (standing.label, set(standing.best), standing.tied) == ("stable", {"Ahead"}, ((), (), ()))
    assert (rate_sensitivity.table(run, "tuning")["label"] == "").all()
    assert "the same however much is tuned" in rate_sensitivity.verdict(run, "tuning")


def test_with_scores_the_winner_is_the_highest():
    low, high = ({lr: top - 0.02 * abs(i - 4) for i, lr in enumerate(NINE)} for top in (0.90, 0.95))
    run = results(searched("Low", low, comparison="optimizers"), searched("High", high, comparison="optimizers"))
    [standing] = rate_sensitivity.standings(run, "optimizers")
    assert set(standing.best) == {"High"}


def test_equals_are_tied_and_two_seeds_resolve_nothing():
    equal = results(searched("A", WIDE, spread=0.2), searched("B", WIDE, spread=0.2))
    assert all(rate_sensitivity.standings(equal, "tuning")[0].tied)
    assert "not resolved to be worse" in rate_sensitivity.verdict(equal, "tuning")
    two = results(searched("Wide", WIDE, blocks=2), searched("Ahead", AHEAD, blocks=2))
    assert all(rate_sensitivity.standings(two, "tuning")[0].tied)
    assert "No difference is resolved with 2 seeds" in rate_sensitivity.verdict(two, "tuning")


def test_with_too_few_rates_there_is_no_label():
    few = {lr: WIDE[lr] for lr in NINE[4:7]}
    run = results(searched("Wide", few), searched("Narrow", {lr: NARROW[lr] for lr in NINE[4:7]}))
    [standing] = rate_sensitivity.standings(run, "tuning")
    assert (standing.efforts, standing.label) == ((3,), "")
    assert "nothing is known of how that depends on the effort" in rate_sensitivity.verdict(run, "tuning")


def test_workloads_are_judged_apart():
    run = results(searched("Wide", WIDE, workload="a"), searched("Ahead", AHEAD, workload="b"))
    assert [s.searches[0].workload for s in rate_sensitivity.standings(run, "tuning")] == ["a", "b"]


def test_what_the_best_rate_is_worth_was_measured_on_other_seeds_than_chose_it():
    """In the search it took 3000 samples; measured afresh, 4000."""
    search_only = searched("A", {0.1: 3000.0, 1.0: 9000.0}, spread=0, measured=0)
    afresh = [r for r in searched("A", {0.1: 4000.0}, spread=0) if not r.search]
    [row] = rate_sensitivity.table(results(search_only, afresh), "tuning").to_dict("records")
    assert (row["samples to target"], row["best of 3"]) == ("4,000 [4,000, 4,000]", "—")
    assert row["rates x seeds"] == "2 x 3"
    # The run was interrupted before it was measured.
    [row] = rate_sensitivity.table(results(search_only), "tuning").to_dict("records")
    assert (row["samples to target"], row["best rate [not resolved]"]) == ("—", "0.1 [0.1, 0.1] (at the edge)")


# What it costs


def test_the_cost_counts_every_trial_and_says_what_was_lost():
    spent = cost_of(one(searched("A", {0.1: 32_000.0, 1.0: math.inf, 10.0: None}, blocks=2, spread=0)).trials)
    # At 64,000 samples/s: 0.5 s to the target, 1 s to miss it, 0.5 s to diverge; and 0.5 s around each.
    assert (spent.trials, spent.diverged, spent.missed, spent.failed) == (6, 2, 2, 0)
    assert (spent.train_seconds, spent.wall_seconds, spent.samples) == pytest.approx((4.0, 7.0, 256_000))
    assert (spent.diverged_share, spent.missed_share) == pytest.approx((0.25, 0.5))
    run = results(searched("A", {0.1: 32_000.0, 1.0: math.inf, 10.0: None}, blocks=2, spread=0))
    [row] = rate_sensitivity.costs(run, "tuning").to_dict("records")
    assert (row["training"], row["processes"], row["of it, missed"]) == ("4.00 s", "7.00 s", "50.0 %")


def test_a_process_that_did_not_live_to_tell_leaves_the_wall_time_unknown():
    records = searched("A", {0.1: 32_000.0}) + searched("A", {1.0: None}, status="crashed", wall_seconds=None)
    spent = cost_of(one(records).trials)
    assert spent.failed == 3
    assert math.isnan(spent.wall_seconds)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "records",
    [[], searched("A", {0.1: math.inf}), searched("A", {0.1: None, 1.0: None}), searched("A", {0.1: 3000.0}, blocks=1),
     searched("A", WIDE) + searched("B", NARROW, status="crashed"), searched("A", WIDE, higher_is_better=False),
     searched("A", WIDE, blocks=2) + searched("B", {0.1: 3000.0})],
    ids=["none", "missed", "diverged", "one trial", "crashed", "lower is better", "unequal"],
)  # fmt: skip
def test_whatever_a_search_holds_it_is_tabulated_without_a_gap(records):
    for comparison in ("tuning", "optimizers"):
        for metric in (None, "final_score", "seconds_to_target", "samples_to_target"):
            as_run = results([replace(record, comparison=comparison) for record in records])
            table, said = (f(as_run, comparison, metric) for f in (rate_sensitivity.table, rate_sensitivity.verdict))
            assert not table.isna().any(axis=None)
            assert not table.map(lambda text: "nan" in text).any(axis=None)
            assert "nan" not in said
            assert bool(said) == bool(len(table))
        spent = rate_sensitivity.costs(as_run, comparison)
        assert not spent.map(lambda text: "nan" in text).any(axis=None)
