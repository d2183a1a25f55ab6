"""Numbers of different comparisons are made comparable by their anchors: simulated, with slow comparisons and blocks.

The machine's log seconds in a block are those of its comparison (some take half as long again), a line along its blocks
(up to a fifth), and those of the block (some take 1.4 times as long); a trial's noise comes on top.
"""

import math

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis.anchor import _compared, at_speed, components
from paceline.bench.analysis.drift import holm
from paceline.bench.analysis.one_configuration import chance_of_one
from paceline.bench.analysis.statistics import student

RUNS, COMPARISONS, BLOCKS = 3000, 8, 6
CELL = math.log(3.0)  # in units of the anchor


def simulated(slow):
    """Return (anchors, cells, machine), logs [runs, comparisons, blocks]: the cell is the same everywhere.

    A share ``slow`` of the comparisons met a slow machine.
    """
    random = np.random.default_rng(1)
    each, all_blocks = (RUNS, COMPARISONS, 1), (RUNS, COMPARISONS, BLOCKS)
    of_comparison = math.log(1.5) * (random.random(each) < slow) + random.normal(0, 0.05, each)
    line = random.uniform(-0.2, 0.2, each) * np.linspace(-0.5, 0.5, BLOCKS)
    of_block = math.log(1.4) * (random.random(all_blocks) < 0.15)
    machine = of_comparison + line + of_block
    noises = (random.normal(0, noise, all_blocks) for noise in (0.02, 0.04))
    anchors, cells = (machine + level + noise for level, noise in zip((0.0, CELL), noises, strict=True))
    return anchors, cells, machine


@pytest.fixture(scope="module")
def run():
    return simulated(0.4)[:2]


def covers(low, high, truth):
    return float(((low <= truth) & (truth <= high)).mean())


def test_a_ratio_across_comparisons_is_covered_whatever_the_machine_did_between_them(run):
    anchors, cells = run
    relative = cells - anchors
    assert 0.93 <= covers(*student(relative[:, 0] - relative[:, 1]), 0.0) <= 0.97
    # What stands in the tables is not: the same cell, in two comparisons, is called different in most runs.
    assert covers(*student(cells[:, 0] - cells[:, 1]), 0.0) < 0.6


def test_within_a_comparison_it_is_covered_as_before(run):
    anchors, cells = run
    assert 0.93 <= covers(*student(cells[:, 0] - anchors[:, 0]), CELL) <= 0.97


@pytest.mark.parametrize("slow", [0.1, 0.4])
def test_a_median_is_covered_across_comparisons(slow):
    """Told by its first comparison alone, however slow that was: at the mean speed of all eight."""
    anchors, cells, machine = simulated(slow)
    truth = CELL + machine.mean(axis=(1, 2))
    _, low, high = at_speed(cells[:, 0] - anchors[:, 0], anchors.mean(axis=(1, 2)))
    assert 0.93 <= covers(low, high, truth) <= 0.97
    # What its own blocks say is that of their state.
    assert covers(*student(cells[:, 0]), truth) < 0.8


def test_of_a_family_of_equal_configurations_one_in_twenty_is_called_apart_at_most():
    """Five configurations of one run, each measured in eight comparisons beside the same anchors."""
    random = np.random.default_rng(2)
    families = []
    for _ in range(600):
        anchors = random.normal(0, 0.02, (BLOCKS, COMPARISONS))
        tables = random.normal(0, 0.04, (5, BLOCKS, COMPARISONS)) - anchors
        families.append(min(holm([chance_of_one(table) for table in tables])))
    assert sum(np.array(families) < 0.05) <= stats.binom.ppf(0.99, len(families), 0.05)


def test_a_configuration_that_is_not_one_is_called_so():
    random = np.random.default_rng(0)
    table = random.normal(0, 0.03, (6, 3)) + np.array([0.0, 0.0, 0.3])
    assert chance_of_one(table) < 1e-4
    assert math.isnan(chance_of_one(table[:2]))


def test_components_are_what_was_planted():
    """Of 400 runs, variances on average: within 0.02^2, blocks 0.05^2, comparisons 0.2^2; groups differ in size."""
    random = np.random.default_rng(0)
    sizes = (3, 6, 12, 1, 6, 3, 6, 12)
    found = []
    for _ in range(400):
        groups = [random.normal(0, 0.2) + random.normal(0, 0.05, size) + random.normal(0, 0.02, size) for size in sizes]
        parts = components(groups, within=0.02**2)
        found.append([parts.within**2, parts.blocks**2, parts.comparisons**2])
    means = np.mean(found, axis=0)
    np.testing.assert_allclose(means, [0.02**2, 0.05**2, 0.2**2], rtol=0.08)


def test_what_cannot_be_told_is_nan():
    alone = components([np.array([1.0])])
    assert math.isnan(alone.blocks)
    assert math.isnan(alone.comparisons)
    assert math.isnan(components([np.array([1.0, 2.0])]).comparisons)
    assert math.isnan(_compared(np.array([0.1, 0.2]), 0.05, "seconds_per_step").low)
