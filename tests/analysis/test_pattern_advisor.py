"""The advisor that walks, on surfaces whose lowest point is known."""

import math

import pytest

from paceline.bench.analysis.advising import Outcome, Space
from paceline.bench.analysis.pattern_advisor import PatternAdvisor

SIZES = tuple(2**k for k in range(2, 12))
RATES = tuple(0.1 * 2 ** (k / 2) for k in range(-12, 13))


def space(first=(64, 0.1), a=1e-3, b=2e-5):
    return Space(SIZES, RATES, {size: a + b * size for size in SIZES}, first)


def steps(size, lr, critical=100, best=0.4):
    return 100 * (1 + critical / size) * 2 ** (math.log(lr / (best * math.sqrt(size / 64))) ** 2)


def walked(where, law, advisor=None):
    """Return what it ran and chose."""
    advisor, seen = advisor or PatternAdvisor(), []
    while (ask := advisor.next(where, seen)) is not None:
        needed = law(ask.batch_size, ask.lr)
        reached = needed <= ask.most_steps and math.isfinite(needed)
        seen.append(Outcome(ask.batch_size, ask.lr, ask.seed, min(needed, ask.most_steps), reached))
    return seen, advisor.choice(where, seen)


def seconds(where, law, place):
    return law(*place) * where.seconds_per_step[place[0]]


@pytest.mark.parametrize("critical", [10, 100, 1000])
@pytest.mark.parametrize("best", [0.1, 0.4])
def test_it_finds_the_lowest_point_within_5_percent(critical, best):
    where = space()

    def law(size, lr):
        return steps(size, lr, critical, best)

    seen, chosen = walked(where, law)
    least = min(seconds(where, law, (size, lr)) for size in SIZES for lr in RATES)
    assert seconds(where, law, chosen) <= 1.05 * least
    assert len(seen) <= 24


def test_it_begins_where_it_is_told_and_else_in_the_middle():
    assert PatternAdvisor().next(space((256, 0.2)), [])[:2] == (256, 0.2)
    assert PatternAdvisor().next(space(None), [])[:2] == (SIZES[5], RATES[12])


def test_a_run_is_given_up_at_one_and_a_half_times_the_best():
    ask = PatternAdvisor().next(space(), [Outcome(64, 0.1, 0, 100, True)])
    best = 100 * space().seconds_per_step[64]
    assert ask.most_steps * space().seconds_per_step[ask.batch_size] == pytest.approx(1.5 * best, rel=0.02)


def test_without_a_target_reached_other_rates_are_tried_and_then_it_gives_up():
    seen, chosen = walked(space(), lambda size, lr: math.inf)
    assert chosen is None
    assert len({outcome.lr for outcome in seen}) == len(seen) == 7


def test_the_best_run_again_on_other_seeds():
    seen, chosen = walked(space(), steps)
    assert len([outcome for outcome in seen if (outcome.batch_size, outcome.lr) == chosen]) > 1
