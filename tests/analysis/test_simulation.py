"""Comparisons on simulated machines: the schedule and the comparison are the real ones, the seconds are drawn.

The noise is that of a real run: one strategy under two names on two cores with nothing else to do. What is tried is the
method, so that it is one number, and not what the last reference run happened to meet.
"""

import math
from functools import partial

import numpy as np
import pandas as pd
import pytest

from paceline.bench import compare
from paceline.bench.harness.comparison import schedule

REPETITIONS = 400
BLOCKS = 12
DRIFT = 0.05  # the machine's slow-down from the first trial of a run to its last


@pytest.fixture(scope="module")
def noise() -> float:
    """Standard deviation of the log ratio of its seconds per step, by a null test of 12 blocks; of 30 it was 0.036."""
    return 0.053


def blocked(run: int, blocks: int = BLOCKS) -> list[tuple[int, str]]:
    """Return (block, cell) in the order in which ``Blocks.run`` runs them."""
    return [(block, cell) for block, _, cell in schedule(f"comparison {run}", ["A", "B"], range(blocks))]


def one_after_the_other(run: int, blocks: int = BLOCKS) -> list[tuple[int, str]]:
    return [(block, cell) for cell in "AB" for block in range(blocks)]


def verdicts(order, ratio: float, noise: float, drift: float = 0.0) -> "pd.Series[int]":
    """Return how often each verdict fell in as many runs, in which A takes ``ratio`` times the seconds of B."""
    rng = np.random.default_rng(0)
    found = []
    for run in range(REPETITIONS):
        rows = pd.DataFrame(order(run), columns=["block", "cell"])
        slowness = np.linspace(0.0, math.log1p(drift), len(rows)) + rng.normal(0.0, noise / math.sqrt(2), len(rows))
        seconds = np.exp(slowness) * np.where(rows["cell"] == "A", ratio, 1.0)
        rows = rows.assign(trainer=rows["cell"], workload="w", seed=rows["block"], seconds_per_step=seconds)
        # Without a margin, in which small false differences would pass for equivalence.
        found.append(compare(rows, "A", "B", "seconds_per_step", margin=0.0).verdict)
    return pd.Series(found).value_counts()


def different(counts: "pd.Series[int]") -> float:
    return (counts.get("faster", 0) + counts.get("slower", 0)) / REPETITIONS


# 5 % of 400 is 20. A procedure that errs in exactly 5 % goes beyond 35 once in a thousand simulations (binomial).
AT_MOST = 35 / REPETITIONS


def test_identical_strategies_are_rarely_called_different(noise):
    assert different(verdicts(blocked, 1.0, noise)) <= AT_MOST


def test_drift_makes_a_winner_of_what_runs_first_and_blocks_do_not(noise):
    """A machine that slows down by 5 % over the run; A and B are the same.

    Twice as many trials as elsewhere: more of them only make the false winner surer, and blocks no worse.
    """
    wrong = verdicts(partial(one_after_the_other, blocks=2 * BLOCKS), 1.0, noise, DRIFT)
    assert wrong.get("faster", 0) / REPETITIONS > 0.5  # A ran first
    assert wrong.get("slower", 0) == 0
    for blocks in (BLOCKS, 2 * BLOCKS):
        assert different(verdicts(partial(blocked, blocks=blocks), 1.0, noise, DRIFT)) <= AT_MOST


def test_a_true_slow_down_of_5_percent_is_found(noise):
    """In at least 80 % of runs of 12 blocks, drift or not, and never as a speed-up."""
    found = verdicts(blocked, 1.05, noise, DRIFT)
    assert found.get("slower", 0) / REPETITIONS >= 0.8
    assert found.get("faster", 0) == 0


def test_the_schedule_runs_every_cell_once_a_block_in_changing_order():
    runs = list(schedule("c", ["A", "B", "C"], range(40)))
    assert [(block, position) for block, position, _ in runs] == [(b, p) for b in range(40) for p in range(3)]
    orders = [tuple(cell for block, _, cell in runs if block == b) for b in range(40)]
    assert {tuple(sorted(order)) for order in orders} == {("A", "B", "C")}
    assert len(set(orders)) == 6
    # Further blocks are the ones that a longer run would have run.
    assert list(schedule("c", ["A", "B", "C"], range(38, 40))) == runs[-6:]
