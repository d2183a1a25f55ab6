"""The best rate is among those not resolved, and its basin is as wide as planted."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.rate_sensitivity import basin, unresolved
from paceline.bench.report import rate_searches
from tests.analysis.planted_searches import NINE, one, search
from tests.synthetic import searched


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
    assert rate_searches.width(edge).startswith("at least 0.")
    assert math.isnan(basin(search([[1.0]], failed=[[True]])).low)


def test_of_a_score_the_basin_loses_a_tenth_of_the_error_however_it_is_reported():
    accuracies = {0.1: 0.88, 1.0: 0.90, 10.0: 0.86}
    found = one(searched("A", accuracies, comparison="optimizers", spread=0), comparison="optimizers")
    assert basin(found).decades == pytest.approx(0.01 / 0.02 + 0.01 / 0.04)
    errors = search([[0.12], [0.10], [0.14]], metric="final_score")  # a quarter of a decade apart
    assert basin(errors).decades == pytest.approx((0.01 / 0.02 + 0.01 / 0.04) / 4, rel=0.01)
