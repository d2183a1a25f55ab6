"""The advisor on surfaces whose best cell is known."""

import math
from statistics import fmean

import pytest

from paceline.bench.analysis.advising import Ask, Outcome, Space
from paceline.bench.analysis.grid_tables import SEEDS
from paceline.bench.analysis.quadratic_advisor import QuadraticAdvisor
from paceline.bench.analysis.regret import best_of, regret_of
from paceline.bench.analysis.replay import following, replayed
from tests.analysis.planted_tables import BATCH_SIZES, RATES, critical_batch, planted

SPACE = Space(BATCH_SIZES, RATES, {size: 1e-4 + 1e-6 * size for size in BATCH_SIZES})


def _best_on_seeds(table):
    return min(table.cells, key=lambda cell: table.seconds(cell, SEEDS))


def surface(**settings):
    return lambda size, lr: critical_batch(size, lr, **settings)


@pytest.mark.parametrize("critical", [10.0, 100.0, 1000.0])
@pytest.mark.parametrize("best_rate", [0.08, 0.32, 1.0])
def test_it_finds_the_best_cell_or_one_as_good(critical, best_rate):
    table = planted(surface(critical=critical, best_rate=best_rate))
    points = replayed(following(QuadraticAdvisor()), table)
    best = best_of(table)
    assert regret_of(table, points[-1].choice, best) < 0.05
    assert points[-1].spent < 0.10 * table.cost


def test_of_noisy_runs_it_chooses_no_worse_than_the_whole_grid_on_three_seeds():
    """Twenty tables whose runs differ by a tenth: 144 runs of each know no more than 30 that a surface smooths."""
    exact = planted()
    best, advised, exhaustive = best_of(exact), [], []
    for seed in range(20):
        table = planted(noise=0.1, seed=seed)
        chosen = replayed(following(QuadraticAdvisor()), table, seed % 3)[-1].choice
        advised.append(regret_of(exact, chosen, best))
        exhaustive.append(regret_of(exact, _best_on_seeds(table), best))
    assert 0 < fmean(advised) <= fmean(exhaustive) < 0.05


def test_the_larger_a_step_is_at_no_price_the_larger_the_batch_it_chooses():
    free = planted(seconds=lambda size: 1e-4)
    dear = planted(seconds=lambda size: 1e-5 * size)
    chosen = [replayed(following(QuadraticAdvisor()), table)[-1].choice[0] for table in (free, dear)]
    assert chosen == [512, 16]


def test_a_run_stops_at_one_and_a_half_times_the_best():
    reached = Outcome(128, RATES[3], 0, 100.0, True)
    ask = QuadraticAdvisor().next(SPACE, [reached])
    best = 100.0 * SPACE.seconds_per_step[128]
    assert ask.most_steps * SPACE.seconds_per_step[ask.batch_size] == pytest.approx(1.5 * best)


def test_a_stopped_run_is_known_to_take_longer_than_it_was_given():
    seen = [Outcome(128, RATES[3], 0, 100.0, True), Outcome(128, RATES[4], 0, 150.0, False)]
    expected = QuadraticAdvisor().surface(SPACE, seen).seconds[128, RATES[4]]
    assert expected > math.log(150 * SPACE.seconds_per_step[128]) - 0.02
    # And where it reached the target there, it takes just that, all but for what is thought to be its luck.
    seen[1] = seen[1]._replace(reached=True)
    assert QuadraticAdvisor().surface(SPACE, seen).seconds[128, RATES[4]] < expected


def test_where_it_diverged_no_larger_rate_and_no_smaller_batch_is_run():
    advisor, seen = QuadraticAdvisor(runs=40), [Outcome(128, RATES[3], 0, 100.0, True)]
    seen.append(Outcome(128, RATES[4], 0, 10.0, False, ended=True))
    asked = []
    while (ask := advisor.next(SPACE, seen)) is not None:
        asked.append(ask)
        seen.append(Outcome(ask.batch_size, ask.lr, ask.seed, 100.0, True))
    assert asked
    assert not [ask for ask in asked if ask.batch_size <= 128 and ask.lr >= RATES[4]]


def test_until_a_run_reaches_the_target_all_rates_are_given_more_time_in_turn():
    advisor, seen = QuadraticAdvisor(), []
    for _ in range(10):
        ask = advisor.next(SPACE, seen)
        seen.append(Outcome(ask.batch_size, ask.lr, ask.seed, ask.most_steps, False))
    assert {outcome.batch_size for outcome in seen} == {128}
    assert [outcome.steps for outcome in seen] == [100.0] * 5 + [400.0] * 5 or len({o.lr for o in seen}) < 5
    assert advisor.choice(SPACE, seen) is None


def test_it_begins_where_it_is_told():
    told = Space(BATCH_SIZES, RATES, SPACE.seconds_per_step, first=(30, 0.5))
    assert QuadraticAdvisor().next(told, [])[:2] == (32, RATES[6])


def test_it_has_seen_enough_after_its_runs_and_where_all_diverged():
    reached = Outcome(128, RATES[3], 0, 100.0, True)
    assert QuadraticAdvisor(runs=1).next(SPACE, [reached]) is None
    everywhere = [Outcome(128, lr, 0, 10.0, False, ended=True) for lr in RATES]
    assert QuadraticAdvisor().next(SPACE, everywhere) is None


def test_it_keeps_nothing_between_calls():
    seen = [Outcome(128, RATES[3], 0, 100.0, True)]
    asks = {QuadraticAdvisor().next(SPACE, seen) for _ in range(2)}
    assert len(asks) == 1
    assert isinstance(asks.pop(), Ask)
