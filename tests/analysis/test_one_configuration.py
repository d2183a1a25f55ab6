"""What several comparisons measured of one configuration is one number, once it is told in units of their anchors."""

import math
from dataclasses import replace

import pytest

from paceline.bench.analysis.anchor import anchors, groups_of
from paceline.bench.analysis.drift import varies_by
from paceline.bench.analysis.frames import load_results, trials_frame
from paceline.bench.analysis.one_configuration import several_times
from tests.synthetic import noise, results, timed, write

# How slow the machine was in each comparison, and in its blocks.
SLOW = {"strategies": 1.45, "batch_size": 1.0, "precision": 1.2}
BLOCKS = (1.0, 1.3, 0.9, 1.0, 1.1, 1.0)


def measured(comparison, cell, seconds, trainer="MiniBatch", **changes):
    """Return trials of a cell that takes so many seconds a step on a machine at its usual speed."""
    found = []
    for record in timed(comparison, cell, trainer=trainer, batch_size=64, seconds_per_step=seconds, **changes):
        spent = 100 * seconds * SLOW[comparison] * BLOCKS[record.block] * noise(comparison + cell, record.block)
        found.append(replace(record, curve=record.curve | {"seconds": [spent / 100, spent]}))
    return found


def of_anchor(comparison):
    return [
        replace(record, trial=f"{comparison}#{record.block}", started=f"2026-01-01T00:0{record.block}:00.000+00:00")
        for record in measured(comparison, "anchor", 0.0005)
    ]


CELLS = [
    measured("strategies", "digits-MiniBatch", 0.001),
    measured("strategies", "digits-Amp", 0.003, trainer="Amp"),
    measured("batch_size", "digits-MiniBatch-B64", 0.001),
    measured("precision", "digits-MiniBatch-x", 0.001),
]
ANCHORS = tuple(record for comparison in SLOW for record in of_anchor(comparison))


@pytest.fixture
def run():
    return replace(results(*CELLS), anchors=ANCHORS)


def test_one_that_was_measured_three_times_comes_to_one_number(run):
    (found,) = several_times(run)
    assert [cell["comparison"] for cell in found.cells] == ["strategies", "batch_size", "precision"]
    assert found.metric == "seconds_per_step"
    assert found.medians[0].median == pytest.approx(1.45 * found.medians[1].median, rel=0.03)
    assert found.apart
    # In units of anchors they are the same to their noise, and at the run's mean speed one number.
    assert [ratio.ratio for ratio in found.ratios] == pytest.approx([1.0, 1.0, 1.0], abs=0.02)
    assert found.chance > 0.05
    mean_speed = math.prod(SLOW.values()) ** (1 / 3) * math.prod(BLOCKS) ** (1 / 6)
    assert found.reconciled.median == pytest.approx(0.001 * mean_speed, rel=0.01)
    assert found.reconciled.high < 1.03 * found.reconciled.low
    assert found.reconciled.n == 6


def test_one_that_is_not_the_same_is_said_to_be_none(run):
    faster = measured("batch_size", "digits-MiniBatch-B64", 0.0008)
    (found,) = several_times(replace(results(*CELLS[:2], faster, CELLS[3]), anchors=ANCHORS))
    assert found.ratios[1].ratio == pytest.approx(0.8, rel=0.02)
    assert found.chance < 0.01


def test_another_rate_is_another_configuration(run):
    other = [replace(r, hyperparameters={"batch_size": 64}) for r in CELLS[2]]
    assert not several_times(replace(results(*CELLS[:2], other), anchors=ANCHORS))


def test_what_is_not_one_to_time_is_left_out(run):
    """Trials whose gradients were observed are slower; those that arrived where others missed are the lucky ones."""
    observed = [replace(r, noise={"step": [1]}) for r in CELLS[2]]
    (found,) = several_times(replace(results(*CELLS[:2], observed, CELLS[3]), anchors=ANCHORS))
    assert [cell["comparison"] for cell in found.cells] == ["strategies", "precision"]
    raced = [
        [replace(r, stop_at_target=True, status="reached", curve=r.curve | {"score": [None, 0.95]}) for r in cell]
        for cell in (CELLS[0], CELLS[2])
    ]
    found = several_times(replace(results(*raced), anchors=ANCHORS))
    assert [each.metric for each in found] == ["seconds_per_step", "seconds_to_target"]
    raced[0][2] = replace(raced[0][2], status="missed", curve=CELLS[0][2].curve)
    assert [each.metric for each in several_times(replace(results(*raced), anchors=ANCHORS))] == ["seconds_per_step"]


def test_without_anchors_nothing_is_reconciled_and_what_is_apart_is_seen():
    (found,) = several_times(results(*CELLS))
    assert found.apart
    assert math.isnan(found.reconciled.median)
    assert math.isnan(found.chance)


def test_what_an_anchor_varies_by_is_told_by_block_and_comparison(run):
    found = varies_by(run)
    logs = [math.log(each) for each in SLOW.values()]
    mean = sum(logs) / 3
    assert found.comparisons == pytest.approx(math.sqrt(sum((log - mean) ** 2 for log in logs) / 2), rel=0.2)
    assert found.blocks > 5 * found.within


def test_anchors_are_read_apart_from_what_is_compared(tmp_path):
    search = replace(ANCHORS[0], cell="anchor-search", search="anchor-search", trial="s", block=1)
    read = load_results(write(tmp_path, *CELLS, list(ANCHORS), [search]))
    assert "anchor" not in set(read.trials["cell"])
    assert len(read.anchors) == 19
    assert anchors(read)["search"].sum() == 1
    assert {key: len(logs) for key, logs in groups_of(read).items()} == {("", name): 6 for name in SLOW}
    assert len(trials_frame(read.records)) == 24
