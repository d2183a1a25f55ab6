"""What is said of drift: of anchors, of blocks, and of configurations that have several numbers."""

from dataclasses import replace

import pytest

from paceline.bench.analysis.frames import load_results
from paceline.bench.report import drift
from paceline.bench.report.decision import decision_text
from tests.analysis.test_one_configuration import ANCHORS, CELLS
from tests.paths import ROOT
from tests.synthetic import results, timed


@pytest.fixture
def run():
    return replace(results(*CELLS), anchors=ANCHORS)


def test_how_steady_the_machine_was_is_said_in_numbers(run):
    said = drift.headline(run)
    assert said.startswith("One and the same cell, the anchor, took 0.459 to 0.961 ms a step over the run.")
    assert "from comparison to comparison (standard deviations)." in said
    assert "they are to be compared in units of the anchor only" in said
    assert "In strategies, batch size and precision some blocks ran on a slower machine than others" in said


def test_each_comparison_is_told_against_the_whole_run(run):
    rows = drift.table(run).set_index("comparison")
    assert rows.index.tolist() == ["strategies", "batch size", "precision"]
    assert rows["of the run's mean"].tolist() == ["1.21", "0.831", "0.998"]
    assert rows["what its blocks tell"].unique().tolist() == ["blocks differ"]


def test_a_comparison_of_one_block_is_there_and_tells_nothing():
    run = replace(results([CELLS[0][0]]), anchors=ANCHORS[:1])
    (row,) = drift.table(run).to_dict("records")
    assert (row["blocks"], row["blocks differ by"], row["from first to last"]) == ("1", "—", "—")
    assert (row["of the run's mean"], row["what its blocks tell"]) == ("1.00", "—")


def test_one_configuration_has_one_number_beside_what_each_comparison_found(run):
    rows = drift.one_configuration(run)
    assert rows["configuration"].unique().tolist() == ["MiniBatch, B=64, rate 0.0500 on digits"]
    assert rows["comparison"].tolist() == ["strategies", "batch size", "precision"]
    assert rows["one number"].nunique() == 1
    assert rows["verdict"].unique().tolist() == ["apart by the machine alone"]
    said = drift.reconciliation(run)
    assert "numbers that are apart (MiniBatch, B=64, rate 0.0500 on digits)" in said
    assert "beside each stands the one number" in said
    assert said in " ".join(decision_text(run).split())  # before anything is decided


def test_too_few_seeds_in_common_settle_nothing(run):
    fewer = [CELLS[0], [r for r in CELLS[2] if r.block < 2]]
    rows = drift.one_configuration(replace(results(*fewer), anchors=ANCHORS))
    assert rows["verdict"].unique().tolist() == [
        "fewer than three seeds in common: whether it is one number is not known"
    ]


def test_a_comparison_whose_cells_drift_apart_is_named():
    cells = [
        timed("strategies", f"digits-{name}", trainer=name, batch_size=64, seconds_per_step=0.001, blocks=6)
        for name in "abcd"
    ]
    cells[0] = [
        replace(r, curve=r.curve | {"seconds": [s * 1.2**r.block for s in r.curve["seconds"]]}) for r in cells[0]
    ]
    said = drift.headline(results(*cells))
    assert "In strategies cells changed differently from block to block" in said


def test_a_run_without_anchors_says_so_and_its_numbers_are_marked():
    """As the reference run, in which mini-batch at one setting took 0.121 s and 0.0816 s."""
    run = load_results(ROOT / "results" / "reference")
    if run.anchors:
        pytest.skip("the reference has anchors")
    assert drift.headline(run).startswith("No anchor was run")
    assert "use none of them against a number of another comparison" in drift.reconciliation(run)
    rows = drift.one_configuration(run)
    assert set(rows["one number"]) == {"—"}
    assert "apart: the machine's doing or not, no anchor tells" in set(rows["verdict"])


def test_anchors_that_failed_are_told_and_tell_nothing(run):
    failed = [replace(r, status="crashed", reason="killed", curve={name: [] for name in r.curve}) for r in ANCHORS]
    assert drift.headline(replace(run, anchors=(*ANCHORS[:17], failed[17]))).count("ended without a result") == 1
    said = drift.headline(replace(run, anchors=tuple(failed)))
    assert said.startswith("No anchor was run")
    assert "18 of 18 anchors ended without a result: killed." in said


def test_a_run_in_which_nothing_was_measured_twice():
    run = results(CELLS[0])
    assert drift.warning(run) == ""
    assert drift.reconciliation(run) == "No configuration was measured in two comparisons."
    assert drift.one_configuration(run).empty
