"""Drift of the machine is called where it was planted, and on a steady machine in one run of twenty at most."""

import math

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis.drift import apart, drifts, holm, slopes, tables, trend, uneven
from tests.synthetic import results, timed

NOISES = np.array([0.02, 0.02, 0.05, 0.01, 0.1])[:, np.newaxis]  # of four cells and the anchor


def steady(random, blocks=6):
    """Return a comparison in which nothing but noise differs between blocks, of each cell its own [cells, blocks]."""
    return NOISES * random.standard_t(4, (5, blocks))


@pytest.mark.parametrize("test", [uneven, trend, apart])
def test_of_families_on_a_steady_machine_one_in_twenty_calls_something_at_most(test):
    random = np.random.default_rng(3)
    called = [min(holm([test(steady(random)) for _ in range(4)])) < 0.05 for _ in range(200)]
    assert sum(called) <= stats.binom.ppf(0.99, len(called), 0.05)  # the tests are exact: 5 % is what they have


def test_blocks_that_are_slow_at_random_are_uneven_but_no_trend_nor_apart():
    random = np.random.default_rng(4)
    chances = []
    for _ in range(60):
        logs = steady(random) + math.log(1.4) * (np.arange(6) == random.integers(6))
        chances.append((uneven(logs), trend(logs), apart(logs)))
    found = np.array(chances) < 0.05
    assert found[:, 0].mean() > 0.9
    assert found[:, 1:].mean(axis=0).max() <= 0.12


def test_a_machine_that_grows_slower_is_a_trend():
    """By a third over six blocks: told in nearly all runs, whatever the cells' noise."""
    random = np.random.default_rng(5)
    line = np.linspace(0, math.log(4 / 3), 6)
    assert np.mean([trend(steady(random) + line) < 0.05 for _ in range(40)]) > 0.9
    assert np.mean([apart(steady(random) + line) < 0.05 for _ in range(40)]) < 0.15


def test_a_cell_that_grows_faster_than_the_others_is_apart():
    """As accumulation did on the reference run: 2.86 times mini-batch in the first block, 1.37 in the last."""
    random = np.random.default_rng(6)
    line = np.zeros((5, 6))
    line[1] = np.linspace(math.log(2.86), math.log(1.37), 6)
    assert np.mean([apart(steady(random) + line) < 0.05 for _ in range(40)]) > 0.9


def test_a_line_rises_from_the_first_block_to_the_last():
    assert slopes(np.array([0.0, 1.0, 2.0, 3.0])) == pytest.approx(3.0)
    assert slopes(np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0]])) == pytest.approx([0.0, -2.0])


def test_too_few_blocks_or_cells_tell_nothing():
    logs = np.zeros((1, 4))
    assert all(math.isnan(test(logs)) for test in (uneven, trend, apart))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, math.nan]) == pytest.approx([0.03, 0.06, 0.06, math.nan], nan_ok=True)
    assert holm([]) == []


def test_a_runs_comparisons_each_have_their_own():
    """The synthetic machine is up to 2.5 times as slow in some blocks as in others: uneven, and no trend."""
    cells = [
        timed("strategies", f"digits-{name}", trainer=name, batch_size=64, seconds_per_step=0.001) for name in "ab"
    ]
    (found,) = drifts(results(*cells))
    assert (found.comparison, found.workloads, found.blocks, found.cells) == ("strategies", "digits", 6, 2)
    assert found.uneven < 0.05
    assert found.trend > 0.05


def test_cells_that_share_no_block_are_looked_at_by_themselves():
    one = timed("strategies", "digits-a", trainer="a", batch_size=64, seconds_per_step=0.001)
    other = timed("strategies", "other-b", trainer="b", batch_size=64, seconds_per_step=0.001, workload="other")
    later = [type(r)(**{**vars(r), "block": r.block + 6}) for r in other]
    assert {name: logs.shape for name, logs in tables(results(one, later), "", "strategies").items()} == {
        "digits": (1, 6), "other": (1, 6)
    }  # fmt: skip
