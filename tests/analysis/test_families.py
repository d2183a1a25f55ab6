"""A family of verdicts errs in 5 % of runs at most, in any of them; and how many seeds a verdict takes is right."""

import math

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis.families import stand, together
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.power import seeds_wanted, smallest_effect
from paceline.bench.analysis.statistics import Bounds, Comparison, _ends, comparison_of


def compared(logs: np.ndarray) -> Comparison:
    return comparison_of(Bounds(logs, logs, len(logs), 0), 0.05, "seconds_per_step", _ends)


def test_holms_method_by_hand() -> None:
    """Of four: 0.05 / 4, then / 3, / 2, / 1; the first that is not stops it, and what follows does not stand either."""
    assert stand([0.012, 0.9, 0.016, 0.024]) == [True, False, True, True]
    assert stand([0.013, 0.001, 0.03, 0.04]) == [True, True, False, False]
    assert stand([0.0126, 0.02, 0.03, 0.04]) == [False] * 4
    assert stand([]) == []


@pytest.mark.parametrize("m", [3, 6, 12])
def test_of_a_family_without_differences_one_run_in_twenty_calls_any(m: int) -> None:
    random = np.random.default_rng(m)
    p = stats.ttest_1samp(random.standard_normal((4000, m, 6)), 0.0, axis=2).pvalue
    assert np.mean([any(stand(each)) for each in p]) == pytest.approx(0.05, abs=0.011)  # three standard errors
    assert (p < 0.05).any(axis=1).mean() > 0.13


def test_p_is_that_of_students_test_and_of_the_sign_test() -> None:
    logs = np.array([0.1, 0.2, 0.15, 0.3, 0.12])
    assert compared(logs).p == pytest.approx(stats.ttest_1samp(logs, 0.0).pvalue, rel=1e-4)
    bounded = Bounds(np.full(8, 0.5), np.array([0.6] * 7 + [math.inf]), 8, 0)
    assert comparison_of(bounded, 0.05, "seconds_per_step", _ends).p == pytest.approx(2 / 2**8, rel=1e-4)
    assert compared(np.array([-0.1, 0.2, 0.0])).p == 1.0


def test_equivalence_has_a_p_too() -> None:
    """Two one-sided tests against the margin, each at half the error of the interval."""
    logs = np.array([0.01, -0.01, 0.005, 0.0, -0.004, 0.002])
    room = math.log(1.05) - abs(logs.mean())
    expected = 2 * stats.t.sf(room / stats.sem(logs), 5)
    found = compared(logs)
    assert found.verdict == "equivalent"
    assert found.p == pytest.approx(expected, rel=0.01)


def test_what_does_not_stand_is_undecided() -> None:
    clear, weak = compared(np.array([0.5, 0.51, 0.49, 0.5])), compared(np.array([0.1, 0.2, 0.15, 0.4, 0.12]))
    assert weak.p == pytest.approx(0.0232, abs=0.0001)
    assert [pair.verdict for pair in together([Pair(weak), Pair(clear)])] == ["slower", "slower"]
    assert [pair.verdict for pair in together([Pair(weak)] * 3)] == ["undecided"] * 3


@pytest.mark.parametrize("effect", [0.1, 0.2])
def test_as_many_more_seeds_as_are_said_decide_four_times_out_of_five(effect: float) -> None:
    random = np.random.default_rng(0)
    first = random.standard_normal(6)
    first = effect + 0.3 * (first - first.mean()) / first.std(ddof=1)
    found = compared(first)
    assert found.verdict == "undecided"
    n = found.n + int(seeds_wanted(found))
    assert smallest_effect(n) * 0.3 <= effect < smallest_effect(n - 1) * 0.3
    p = stats.ttest_1samp(effect + 0.3 * random.standard_normal((4000, n)), 0.0, axis=1).pvalue
    assert (p < 0.05).mean() == pytest.approx(0.8, abs=0.025)


def test_of_two_that_are_alike_it_is_equivalence_that_is_waited_for() -> None:
    alike = compared(np.array([0.1, -0.1, 0.1, -0.1, 0.1, -0.1]))
    assert 0 < seeds_wanted(alike) < 100
    assert math.isinf(seeds_wanted(compared(np.array([3.0, -3.0, 3.0, -3.0]))))
    assert math.isnan(seeds_wanted(compared(np.array([0.1, 0.2]))))
