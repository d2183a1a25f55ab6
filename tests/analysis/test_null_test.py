"""The null test recovers the noise that was planted."""

import math

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis.null_test import nulls, resolutions
from paceline.bench.analysis.power import smallest_effect
from tests.synthetic import normal_logs, null_test, raced, results


@pytest.mark.parametrize(("n", "effect"), [(3, 3.26), (5, 1.68), (10, 1.00), (17, 0.72), (20, 0.66), (40, 0.45)])
def test_the_smallest_effect_is_that_of_the_tables(n, effect):
    """Paired t-test, two-sided 5 %, 80 % power, in standard deviations of a difference."""
    assert smallest_effect(n) == pytest.approx(effect, abs=0.006)


@pytest.mark.parametrize("n", [3, 6, 12])
def test_the_smallest_effect_is_found_four_times_out_of_five(n):
    """Played: 20,000 runs with an effect of that size. Their share has a standard error of 0.3 %."""
    differences = smallest_effect(n) + np.random.default_rng(n).standard_normal((20_000, n))
    found = stats.ttest_1samp(differences, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.012)


def test_below_three_blocks_nothing_is_seen():
    assert smallest_effect(2) == math.inf


def test_the_planted_noise_is_found_whatever_the_machine_did():
    """4 % between the two names of a block, while blocks differ by up to 2.5 times."""
    run = results(null_test(normal_logs(0.04, 12)), raced("MiniBatch", seconds=1.0))
    [found] = nulls(run)  # by one metric: at the same steps the other says the same again
    assert found.noise == pytest.approx(0.04)
    # The interval of a standard deviation of 12: 0.708 to 1.698 of it (chi-squared tables, 11 degrees of freedom).
    assert (found.noise_low, found.noise_high) == pytest.approx((0.04 * 0.7084, 0.04 * 1.6979), rel=1e-3)
    assert found.comparison.verdict == "equivalent"
    assert found.smallest(6) == pytest.approx(math.expm1(0.04 * smallest_effect(6)))
    assert found.metric == "seconds_to_target"


def test_each_comparison_is_as_coarse_as_its_own_pairs():
    """Alike under two names to 1 %, while the strategies of the comparison differ by 30 % from block to block."""
    noisy = raced("Amp", seconds=1.0, vary=1.3)
    run = results(null_test(normal_logs(0.01, 12)), raced("MiniBatch", seconds=1.0), noisy, raced("Ddp", seconds=3.0))
    [found] = resolutions(run)
    pairs = {a.removeprefix("digits-"): spread for (a, _), (spread, n) in found.noise.items() if n == 6}
    wide = run.trials[run.trials.comparison == "strategies"].pivot(
        index="block", columns="trainer", values=found.metric
    )
    assert pairs["Amp"] == pytest.approx(np.log(wide.Amp / wide.MiniBatch).std())
    assert 0.25 < pairs["Amp"] < 0.3  # 30 % up and down by turns
    assert pairs["Ddp"] < 0.03
    smallest, cells, _ = found.smallest()[-1]
    assert (smallest, cells[0]) == (pytest.approx(math.expm1(pairs["Amp"] * smallest_effect(6))), "digits-Amp")


def test_a_bias_between_the_names_is_called_out():
    """If A is always 10 % slower the harness is at fault, and the verdict says so."""
    logs = np.array(normal_logs(0.01, 12)) + math.log(1.1)
    [found] = nulls(results(null_test(logs.tolist())))
    assert found.comparison.verdict == "slower"
