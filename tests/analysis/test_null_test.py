"""The null test recovers the noise that was planted, and says what that noise hides."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis import null_test as null
from tests.synthetic import null_test, raced, results


def normal(noise: float, n: int, seed: int = 0) -> list[float]:
    """Return n log ratios whose mean is 0 and whose standard deviation is exactly ``noise``."""
    x = np.random.default_rng(seed).standard_normal(n)
    return (noise * (x - x.mean()) / x.std(ddof=1)).tolist()


@pytest.mark.parametrize(("n", "effect"), [(3, 3.26), (5, 1.68), (10, 1.00), (17, 0.72), (20, 0.66), (40, 0.45)])
def test_the_smallest_effect_is_that_of_the_tables(n, effect):
    """Paired t-test, two-sided 5 %, 80 % power, in standard deviations of a difference."""
    assert null.smallest_effect(n) == pytest.approx(effect, abs=0.006)


@pytest.mark.parametrize("n", [3, 6, 12])
def test_the_smallest_effect_is_found_four_times_out_of_five(n):
    """Played: 20,000 runs with an effect of that size. Their share has a standard error of 0.3 %."""
    differences = null.smallest_effect(n) + np.random.default_rng(n).standard_normal((20_000, n))
    found = stats.ttest_1samp(differences, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.012)


def test_below_three_blocks_nothing_is_seen():
    assert null.smallest_effect(2) == math.inf


def test_the_planted_noise_is_found_whatever_the_machine_did():
    """4 % between the two names of a block, while blocks differ by up to 2.5 times."""
    run = results(null_test(normal(0.04, 12)), raced("MiniBatch", seconds=1.0))
    for found in null.nulls(run):
        assert found.noise == pytest.approx(0.04)
        # The interval of a standard deviation of 12: 0.708 to 1.698 of it (chi-squared tables, 11 degrees of freedom).
        assert (found.noise_low, found.noise_high) == pytest.approx((0.04 * 0.7084, 0.04 * 1.6979), rel=1e-3)
        assert found.comparison.verdict == "equivalent"
        assert found.smallest(6) == pytest.approx(math.expm1(0.04 * null.smallest_effect(6)))
    assert [found.metric for found in null.nulls(run)] == ["seconds_to_target", "seconds_per_step"]


def test_the_headline_names_the_difference_that_the_runs_own_blocks_cannot_see():
    """Six blocks of strategies, not the twelve of the null test: exp(0.04 x 1.43) - 1 = 5.9 %."""
    text = null.headline(results(null_test(normal(0.04, 12)), raced("MiniBatch", seconds=1.0)))
    assert re.match(
        r"Differences under 5\.9 % in seconds to target on digits are not resolved in this run \(n = 6 blo", text
    )
    alone = null.headline(results(null_test(normal(0.04, 12))))
    assert re.match(r"Differences under 3\.6 % .*\(n = 12 blocks\): the same strategy .* differed by 4\.1 %", alone)


def test_the_resolution_of_each_comparison_is_that_of_its_blocks():
    run = results(null_test(normal(0.04, 12)), raced("MiniBatch", seconds=1.0, blocks=3))
    [row] = null.resolution(run).to_dict("records")
    assert (row["comparison"], row["blocks"]) == ("strategies", "3")
    assert row["smallest difference seen, seconds to target"] == "14 %"  # exp(0.04 x 3.26) - 1


def test_relabelling_calls_one_in_twenty_different():
    """By symmetry of normal noise; that of one sample of 12 lies near it."""
    shares = [null.called_different(np.array(normal(0.05, 12, seed))) for seed in range(20)]
    assert np.mean(shares) == pytest.approx(0.05, abs=0.01)
    many = null.called_different(np.array(normal(0.05, 30)))
    assert many == pytest.approx(0.05, abs=0.02)


def test_a_bias_between_the_names_is_called_out():
    """If A is always 10 % slower the harness is at fault: the verdict says so, and the swaps still do not."""
    logs = np.array(normal(0.01, 12)) + math.log(1.1)
    [found, _] = null.nulls(results(null_test(logs.tolist())))
    assert found.comparison.verdict == "slower"
    assert found.false_positives < 0.1


def test_where_the_target_was_missed_the_time_per_step_is_left():
    run = results(null_test(normal(0.04, 6), missed=True))
    assert [found.metric for found in null.nulls(run)] == ["seconds_per_step"]
    assert "in seconds per step on digits" in null.headline(run)


@pytest.mark.parametrize(
    ("run", "why"),
    [(results(), "it holds no null test"), (results(raced("Amp", seconds=1.0)), "it holds no null test"),
     (results(null_test([0.1, 0.2])), "fewer than three pairs")],
)  # fmt: skip
def test_without_a_null_test_nothing_is_claimed(run, why):
    assert why in null.headline(run)
    assert null.table(run).empty
    assert null.resolution(run).empty
