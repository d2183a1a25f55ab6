"""What a run that is gone on with takes over from what it was."""

import json

import pytest

from paceline.bench import bench_scaling, bench_strategies
from paceline.bench.harness import blocks as module
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.plan import make_plan
from paceline.bench.harness.run_folder import RunFolder
from paceline.bench.harness.trial import Trial
from paceline.trainers import MiniBatch
from tests.planted import a_record
from tests.problems import GAUSSIANS


@pytest.mark.parametrize(
    ("before", "now", "then"),
    [({}, {"until_decided": True}, True), ({"until_decided": True}, {}, True), ({}, {}, None)],
    ids=["it becomes so", "it was so", "never"],
)
def test_a_run_that_was_ever_looked_at_after_each_block_says_so(tmp_path, before, now, then):
    """Intervals for a fixed number of blocks would be wrong too often: ``analysis.sequential`` has those for this."""
    folder = RunFolder.new(tmp_path, before)
    folder.went_on(now)
    kept = json.loads((folder.path / "environment.json").read_text())
    assert kept.get("until_decided") is then


def test_repeats_are_so_many_of_a_run_however_often_it_is_gone_on_with(tmp_path, monkeypatch):
    """40 trials, of which a tenth may be repeated; three of the 20 that are done were."""
    comparison = Comparison("null", {"gaussians-A": Trial(GAUSSIANS, MiniBatch(), threads=1)}, blocks=40)
    folder = RunFolder.new(tmp_path, {})
    from paceline.bench.harness.run import definition

    what = definition(comparison.cells["gaussians-A"])
    for block in range(20):
        repeat = int(block < 3)
        folder.append(a_record(comparison="null", cell="gaussians-A", block=block, repeat=repeat, **what))
    blocks = Blocks(tmp_path, "quick", lambda line: None)
    monkeypatch.setattr(module, "check_unchanged", lambda *_: None)
    blocks.resume({}, [comparison])
    assert blocks._repeats._left == 4 - 3


def test_patience_reaches_every_trial():
    plan = make_plan(patience=7.0)
    for bench in (bench_strategies, bench_scaling):
        assert {cell.patience for cell in bench.cells(plan).values()} == {7.0}
    with pytest.raises(ValueError, match="--patience must be more than 0, got 0"):
        make_plan(patience=0.0)
