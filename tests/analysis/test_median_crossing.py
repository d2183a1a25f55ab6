"""The interval of a median time covers it, whatever the spacing of evaluations."""

import math

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis.median_crossing import median_crossing, profile

REPETITIONS = 2000  # a coverage of 95 % has then a standard error of 0.5 %

SPREAD = 0.3  # of log time from trial to trial: those of the reference run's strategies differ by 0.2 to 0.4


def evaluated(n, spacing, missed, seed):
    """Return the intervals (low, high] [repetitions, n] of log times whose median is 0.

    Every trial of a repetition is evaluated at the same times, ``spacing`` apart, from a random first one on; trials
    beyond the budget, a share ``missed``, are known to be so.
    """
    rng = np.random.default_rng(seed)
    times, step = SPREAD * rng.standard_normal((REPETITIONS, n)), math.log(spacing)
    first = step * rng.random((REPETITIONS, 1))
    low = np.floor((times - first) / step) * step + first
    budget = SPREAD * stats.norm.isf(missed) if missed else np.inf
    return np.where(times > budget, budget, low), np.where(times > budget, np.inf, low + step)


@pytest.mark.parametrize("n", [6, 10])
@pytest.mark.parametrize("missed", [0.0, 0.2])
@pytest.mark.parametrize("spacing", [1.03, 1.2, 1.5])
def test_the_interval_covers_the_median_whatever_the_evaluation_spacing(n, missed, spacing):
    low, high = evaluated(n, spacing, missed, seed=1)
    reached = np.isfinite(high).sum(axis=1) >= 3  # fewer get no interval: 1.7 % of the repetitions at worst
    assert reached.mean() > 0.98
    _, least, most = profile(low[reached], high[reached])
    assert 0.93 <= ((least <= 0) & (most >= 0)).mean() <= 0.97


@pytest.mark.parametrize(("n", "covers"), [(6, 0.85), (10, 0.7)])
def test_students_interval_of_first_hits_does_not_cover(n, covers):
    _, hits = evaluated(n, 1.5, 0.0, seed=1)
    half = stats.t.ppf(0.975, n - 1) * hits.std(axis=1, ddof=1) / math.sqrt(n)
    assert (abs(hits.mean(axis=1)) <= half).mean() < covers


def test_the_interval_of_exactly_known_times_is_students():
    logs = np.array([0.1, 0.5, -0.2, 0.3, 0.9, -0.4])
    found = median_crossing(np.exp(logs), np.exp(logs + 1e-4))
    half = stats.t.ppf(0.975, 5) * logs.std(ddof=1) / math.sqrt(6)
    assert np.log([found.median, found.low, found.high]) == pytest.approx(
        [logs.mean(), logs.mean() - half, logs.mean() + half], abs=2e-3
    )


def test_the_estimate_is_the_one_of_scipy():
    """Its general-purpose search over the same censored data; one first evaluation hit, two trials missed."""
    low = np.array([0.0, 1.0, 1.2, 1.7, 2.1, 2.0, 2.5, 2.5])
    high = np.array([0.8, 1.2, 1.5, 2.0, 2.6, 2.2, np.inf, np.inf])
    with np.errstate(divide="ignore"):
        logs = np.log(low), np.log(high)
    known = stats.CensoredData(left=[logs[1][0]], interval=np.column_stack(logs)[1:6], right=logs[0][6:])
    mean, _ = stats.norm.fit(known)
    assert math.log(median_crossing(low, high).median) == pytest.approx(mean, abs=2e-3)


def test_a_missed_trial_counts_as_later_and_never_as_absent():
    low, high = np.array([1.0, 1.1, 1.2, 1.3]), np.array([1.1, 1.2, 1.3, 1.4])
    without = median_crossing(low, high)
    with_two = median_crossing(np.append(low, [1.4, 1.4]), np.append(high, [np.inf, np.inf]))
    assert with_two.median > without.median
    assert with_two.high > without.high
    most_missed = median_crossing(np.append(low, [1.4] * 5), np.append(high, [np.inf] * 5))
    assert most_missed.median == math.inf  # beyond all that was seen


def test_without_three_hits_there_is_no_interval():
    found = median_crossing(np.array([1.0, 2.0, 5.0]), np.array([1.5, 2.5, np.inf]))
    assert (found.median, found.n) == (2.25, 3)
    assert math.isnan(found.low)
    assert median_crossing(np.array([]), np.array([])).n == 0
    with pytest.raises(ValueError, match="high above low"):
        median_crossing(np.array([1.0]), np.array([1.0]))
