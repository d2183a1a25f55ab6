"""When compiling has paid: planted costs and savings are found, and the interval covers as often as it says."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.compiling import even_after, payoffs
from tests.synthetic import compiled, results


def test_without_noise_it_is_cost_over_saving():
    found = even_after([5000.0] * 3, [0.25] * 3)
    assert (found.median, found.low, found.high, found.n) == pytest.approx((20_000, 20_000, 20_000, 3))


def test_the_interval_is_fiellers_by_hand():
    """Its ends are where Student's t of cost - N saved is that of 5 %, two-sided, at two degrees of freedom."""
    cost, saved = np.array([9.0, 10.0, 12.0]), np.array([0.9, 1.1, 1.0])
    found = even_after(cost, saved)
    assert found.median == pytest.approx(31 / 3)
    for end in (found.low, found.high):
        rest = cost - end * saved
        assert abs(rest.mean()) / (rest.std(ddof=1) / math.sqrt(3)) == pytest.approx(4.302653, rel=1e-6)
    assert found.low < found.median < found.high


def test_slower_steps_never_pay_and_few_trials_say_nothing():
    assert even_after([10.0, 10.1, 9.9], [-0.5, -0.51, -0.49]).low == math.inf
    one = even_after([10.0], [0.5])
    assert (one.median, one.n) == (20.0, 1)
    assert math.isnan(one.low)
    assert math.isnan(even_after([math.nan], [0.5]).median)


def test_a_saving_that_is_not_told_from_none_leaves_a_least_number():
    found = even_after([1000.0, 1010.0, 990.0], [0.1, -0.05, 0.04])
    assert found.high == math.inf
    assert 1000 < found.low < math.inf
    rest = np.array([1000.0, 1010.0, 990.0]) - found.low * np.array([0.1, -0.05, 0.04])
    assert abs(rest.mean()) / (rest.std(ddof=1) / math.sqrt(3)) == pytest.approx(4.302653, rel=1e-6)


@pytest.mark.parametrize("saved", [0.3, 0.05])
def test_the_interval_covers_as_often_as_it_says(saved):
    random = np.random.default_rng(0)
    cost, gain = random.normal(1000, 50, (2000, 5)), random.normal(saved, 0.03, (2000, 5))
    found = [even_after(*pair) for pair in zip(cost, gain, strict=True)]
    covered = np.mean([one.low <= 1000 / saved <= one.high for one in found])
    assert covered == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 2000))


def test_planted_runs_are_read_back():
    """Ratios within blocks: the machine's drift, up to twofold, is in neither the speed-up nor the steps."""
    found = {one.batches: one for one in payoffs(results(compiled("even", 2.0, 10.0), compiled("ragged", 0.5, 10.0)))}
    even, ragged = found["even"], found["ragged"]
    assert even.speedup.comparison.ratio == pytest.approx(2.0, rel=0.02)
    assert even.speedup.verdict == "faster"
    assert even.even_after.median == pytest.approx(10 / 0.5e-3, rel=0.05)
    assert even.even_after.low < 20_000 < even.even_after.high
    assert even.compile_seconds.n == 6
    assert even.later_seconds.median == pytest.approx(2 * even.compile_seconds.median)
    assert ragged.speedup.verdict == "slower"
    assert ragged.even_after.low == math.inf


def test_what_training_recompiled_is_no_part_of_a_step_and_all_of_the_cost():
    """1 s of 1.05 s in which 100 steps were made: as the steps' own it would make them 20 times slower."""
    (found,) = payoffs(results(compiled("growing", 2.0, 10.0)))
    assert found.speedup.comparison.ratio == pytest.approx(2.0, rel=0.02)
    assert found.recompilations.median == 1
    assert found.even_after.median == pytest.approx(20_000, rel=0.05)
    assert found.compile_seconds.median == pytest.approx(5.5 * found.started_seconds.median / 0.3)


def test_nothing_to_compare_is_nothing():
    alone = [record for record in compiled("even", 2.0, 10.0) if record.trainer == "Compiled"]
    assert payoffs(results(alone)) == []
    assert payoffs(results()) == []
