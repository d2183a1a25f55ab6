"""When a target was reached is known as an interval, success stands beside it, and luck is called luck."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.time_to_target import (
    crossings,
    disagreements,
    fixed_budget,
    intervals,
    level_at_hit,
    lucky,
    quality_at,
    success,
)
from paceline.bench.report import strategies
from tests.planted import a_curve, a_record
from tests.synthetic import results


def test_trials_give_the_intervals_that_they_know():
    missed = {"status": "missed", "curve": a_curve((10, 1000, 1.0, 0.5, 0.8), (20, 2000, 4.0, 0.5, 0.85))}
    diverged = {"status": "diverged", "curve": a_curve((10, 1000, 1.0, 0.5, 0.1))}
    crashed = {"status": "crashed", "curve": a_curve((10, 1000, 1.0, 0.5, 0.1))}
    at_once = {"curve": a_curve((10, 1000, 1.5, 0.5, 0.92))}
    trials = [a_record(), a_record(**missed), a_record(**diverged), a_record(**crashed), a_record(**at_once)]
    low, high = intervals(trials)
    # One that diverged would not have got there in the 4 s of the other either.
    assert list(zip(low, high, strict=True)) == [(1.0, 2.0), (4.0, math.inf), (4.0, math.inf), (0.0, 1.5)]
    low, high = intervals(trials, "samples_to_target")
    assert (low[0], high[0], low[1]) == (1000, 2000, 2000)


def test_success_stands_beside_time_with_the_exact_interval():
    """Clopper & Pearson's tables: 5 of 6 is 35.9 % to 99.6 %; 6 of 6 is 54.1 % to 100 %."""
    five = success(5, 6)
    assert (five.median, five.low, five.high) == pytest.approx((5 / 6, 0.3588, 0.9958), abs=1e-4)
    assert success(6, 6).low == pytest.approx(0.5407, abs=1e-4)
    dead = {"status": "crashed", "curve": a_curve()}
    [found] = crossings(results([a_record(seed=0), a_record(seed=1, **dead)])).values()
    assert (found.success.median, found.success.n) == (0.5, 2)


def test_restricted_mean_and_par2_are_what_they_are_called():
    """Crossings at 1.5 s (of 1 to 2 s), and one missed at 10 s: (1.5 + 10) / 2, and (1.5 + 20) / 2."""
    missed = {"status": "missed", "curve": a_curve((10, 1000, 10.0, 0.5, 0.8))}
    [found] = crossings(results([a_record(seed=0), a_record(seed=1, **missed)])).values()
    assert (found.budget, found.restricted_mean, found.par2) == (10.0, 5.75, 10.75)
    # The budget is that of the strictest cell: this one's trials are not credited with more time than others had.
    strict = [a_record(seed=0, cell="points-Amp", seconds_allowed=1.0)]
    both = crossings(results([a_record(seed=0)], strict))
    assert [(c.budget, c.par2, c.success.median) for c in both.values()] == [(1.0, 2.0, 0.0)] * 2


def scored(scores, **changes):
    """Return a trial that was evaluated every second."""
    points = [(10 * i, 1000 * i, float(i), 0.5, float(score)) for i, score in enumerate(scores, 1)]
    return a_record(curve=a_curve(*points), **changes)


def until_hit(scores, target=0.9):
    return scores[: np.flatnonzero(scores >= target)[0] + 1]


def noisy(level, slope=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return level + slope * np.arange(2000) + 0.01 * rng.standard_normal(2000)


def test_quality_is_that_of_the_last_evaluation_before_the_fastest_typically_hits():
    first, second = scored([0.5, 0.6, 0.95], cell="a"), scored([0.3, 0.7, 0.8, 0.85, 0.91], cell="b")
    assert fixed_budget([first, second]) == 3.0
    # At 2 s: the hit at 3 s, chosen because it was high, judges nobody.
    assert quality_at([first], 3.0).median == 0.6
    assert quality_at([second], 3.0).median == 0.7
    assert quality_at([first, second], 2500, "samples").median == pytest.approx(0.65)
    assert math.isnan(quality_at([first, second], 1.0).median)
    # A trial that ended at the target sooner counts with what it had before the hit.
    assert quality_at([first], 5.0).median == 0.6


def test_the_first_trial_of_many_does_not_choose_the_budget():
    """One trial of six is there at once; what diverged early has reached nothing."""
    fast = [scored([0.5, 0.6, 0.7, 0.8, 0.91], seed=i, cell="fast") for i in range(5)]
    slow = [scored([0.5] * 9 + [0.91], seed=i, cell="slow") for i in range(6)]
    at_once, lost = scored([0.5, 0.95], seed=5, cell="fast"), scored([0.1, 0.1], status="diverged", cell="other")
    assert fixed_budget([*fast, at_once, *slow, lost]) == 5.0
    assert quality_at([*fast, at_once], 5.0).median == 0.8
    assert fixed_budget([lost, scored([0.5] * 4, status="missed", cell="slow")]) == 2.0
    # The more trials, the sooner the first of them: the typical one stays where it is.
    times = np.exp(0.3 * np.random.default_rng(0).standard_normal(60))
    many = [scored([0.5, 0.91], seed=i, cell="fast") for i in range(60)]
    for record, time in zip(many, times, strict=True):
        record.curve["seconds"][:] = [time / 2, time]
    assert fixed_budget(many) == pytest.approx(1.0, abs=0.1)
    assert min(record.curve["seconds"][-1] for record in many) < 0.6


def test_a_lower_score_is_the_better_where_the_target_is_a_loss():
    falling = {"higher_is_better": False, "target": 0.2}
    fast = [scored([0.9, 0.8, 0.1], seed=i, cell="points-Fast", **falling) for i in range(6)]
    slow = [scored([0.4, 0.3, 0.3, 0.3, 0.1], seed=i, cell="points-Slow", **falling) for i in range(6)]
    found = crossings(results(fast, slow))
    assert found["points-Fast", ""].at_seconds.median == pytest.approx(0.8)
    assert list(disagreements(found).values()) == [["Slow"], []]


def test_cells_in_which_first_crossing_and_quality_disagree_are_flagged():
    """Jumpy hits at 4 s from 0.5, while Steady is at 0.87 then; Best is ahead in both and is not flagged."""
    jumpy = [scored([0.4, 0.5, 0.5 + i / 1000, 0.91], seed=i, cell="points-Jumpy") for i in range(6)]
    steady = [
        scored([0.5, 0.7, 0.87 + i / 1000, 0.88, 0.89, 0.895, 0.91], seed=i, cell="points-Steady") for i in range(6)
    ]
    flags = strategies.time_to_target(results(jumpy, steady)).set_index("strategy")["flag"]
    assert flags["Jumpy"] == "reaches the target before Steady, but scores less at equal seconds"
    assert flags["Steady"] == ""
    scores = strategies.time_to_target(results(jumpy, steady)).set_index("strategy")["score at equal seconds"]
    assert scores["Jumpy"] == "0.502 [0.500, 0.505] at 4.00 s"
    best = [scored([0.6, 0.8, 0.89 + i / 1000, 0.91], seed=i, cell="points-Best") for i in range(6)]
    assert not any(strategies.time_to_target(results(best, steady))["flag"])


def test_a_flat_noisy_curve_hits_by_luck_and_a_rising_one_does_not():
    flat = [scored(until_hit(noisy(0.875, seed=i)), seed=i) for i in range(20)]
    rising = [scored(until_hit(noisy(0.5, 0.01, seed=i)), seed=i) for i in range(20)]
    exact = scored(until_hit(0.5 + 0.01 * np.arange(60)))
    assert sum(map(lucky, flat)) >= 17
    assert sum(map(lucky, rising)) <= 1
    assert not lucky(exact)
    assert "lucky crossing?" in strategies.time_to_target(results(flat))["flag"][0]
    assert strategies.time_to_target(results(rising))["flag"][0] == ""


@pytest.mark.parametrize(("rise", "noise"), [(0.07, 0.002), (0.07, 0.01), (0.02, 0.005), (0.0, 0.005)])
def test_the_level_at_the_crossing_is_what_the_curve_had_come_to(rise, noise):
    """The first noisy evaluation to hit comes early, and the shortfall is found to a third of the noise.

    Evaluations are 3 % of the steps apart; a curve that does not rise stays 1.5 standard deviations below the target.
    """
    rng, short, error = np.random.default_rng(1), [], []
    steps = np.arange(200)
    true = 0.9 + rise * (steps - 150) * math.log10(1.03) if rise else np.full(200, 0.9 - 1.5 * noise)
    for _ in range(200):
        scores = true + noise * rng.standard_normal(len(steps))
        [hit, *_] = np.flatnonzero(scores >= 0.9)
        level = level_at_hit(scored(scores[: hit + 1]))
        if not math.isnan(level):  # hit too early to tell
            short.append(0.9 - true[hit])
            error.append(level - true[hit])
    assert abs(np.mean(error)) < 0.35 * noise
    assert np.mean(short) > (0.25 if noise == 0.002 else 0.8) * noise  # what the first hit hides


def test_a_hit_that_does_not_last_was_luck_where_the_curve_goes_on():
    rise = list(0.5 + 0.05 * np.arange(9))
    assert lucky(scored([*rise, 0.85, 0.84, 0.86, 0.85, 0.87], stop_at_target=False))
    assert not lucky(scored([*rise, 0.92, 0.91, 0.89, 0.93, 0.92], stop_at_target=False))
