"""What a run that is gone on with takes over from what it was."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from paceline.bench import bench_scaling, bench_strategies
from paceline.bench.harness import blocks as module
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.plan import make_plan
from paceline.bench.harness.run import definition
from paceline.bench.harness.run_folder import RunFolder
from paceline.bench.harness.trial import Trial, hyperparameters
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
    what = definition(comparison.cells["gaussians-A"])
    for block in range(20):
        repeat = int(block < 3)
        folder.append(a_record(comparison="null", cell="gaussians-A", block=block, repeat=repeat, **what))
    blocks = Blocks(tmp_path, "quick", lambda line: None)
    monkeypatch.setattr(module, "check_unchanged", lambda *_: None)
    blocks.resume({}, [comparison])
    assert blocks._repeats._left == 4 - 3


def test_a_function_in_a_field_is_the_same_in_each_run():
    @dataclass(frozen=True)
    class Clipped(MiniBatch):
        clip: Callable[[float], float] = abs

    def hyperparameters_with(clip):
        return hyperparameters(Clipped(clip=clip))["clip"]

    one, again = (lambda x: x), (lambda x: x)
    assert hyperparameters_with(one) == hyperparameters_with(again)
    assert "0x" not in hyperparameters_with(one)
    assert hyperparameters_with(abs) != hyperparameters_with(round)


def test_patience_reaches_every_trial():
    plan = make_plan(suite="quick", patience=7.0)
    for bench in (bench_strategies, bench_scaling):
        assert {cell.patience for cell in bench.cells(plan).values()} == {7.0}
    with pytest.raises(ValueError, match="--patience must be more than 0, got 0"):
        make_plan(patience=0.0)


class TestLock:
    def test_a_folder_that_a_run_writes_to_is_not_gone_on_with(self, tmp_path):
        first, second = (Blocks(tmp_path, "quick", lambda line: None) for _ in range(2))
        folder = first.open({}, [])
        with pytest.raises(ValueError, match=f"another run is writing to {folder}; wait until it has ended"):
            second.resume({}, [])
        first.close()
        second.resume({}, [])
        assert sorted(path.name for path in folder.iterdir()) == [
            "environment.json"
        ]  # there is nothing to leave behind

    def test_a_run_that_is_refused_keeps_nobody_out(self, tmp_path):
        first, second = (Blocks(tmp_path, "quick", lambda line: None) for _ in range(2))
        comparison = Comparison("null", {"A": Trial(GAUSSIANS, MiniBatch())}, 1)
        folder = RunFolder.new(tmp_path, {})
        folder.append(a_record(comparison="null", cell="A", seed=7, block=0))
        with pytest.raises(ValueError, match="has seed 7"):
            first.resume({}, [comparison])
        second.resume({}, [])

    def test_a_killed_run_leaves_none_though_its_children_live_on(self, tmp_path):
        program = (
            "import subprocess, sys\nfrom pathlib import Path\nfrom paceline.bench.harness.blocks import Blocks\n"
            f"blocks = Blocks(Path({str(tmp_path)!r}), 'quick', print)\nblocks.open({{}}, [])\n"
            "print(subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL).pid, flush=True)\nsys.stdin.read()"
        )
        run = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with run:
            child = int(run.stdout.readline())
            again = Blocks(tmp_path, "quick", lambda line: None)
            with pytest.raises(ValueError, match="another run is writing"):
                again.resume({}, [])
            run.kill()
        try:
            again.resume({}, [])
        finally:
            os.kill(child, signal.SIGKILL)


class TestDisturbed:
    """10 blocks of two cells, of which 2 trials may be repeated; five were disturbed, one of them repeated since."""

    def gone_on_with(self, tmp_path, monkeypatch, disturbed_again=False):
        ran = []
        comparison = Comparison("null", {name: Trial(GAUSSIANS, MiniBatch(), threads=1) for name in "AB"}, blocks=10)
        what = definition(comparison.cells["A"])
        waited = {"train_seconds": 1.0, "runqueue_wait_seconds": 0.5, "busy_seconds": 2.0, "own_seconds": 1.0}

        def run_trial(trial, *, errors, **where):
            ran.append((where["cell"], where["block"], where["repeat"]))
            ranks = [waited] if disturbed_again else []
            return a_record(trial=f"{ran[-1]}", seed=trial.seed, **(what | where), ranks=ranks)

        monkeypatch.setattr(module, "run_trial", run_trial)
        if not list(tmp_path.iterdir()):
            folder = RunFolder.new(tmp_path, {})
            for cell in "AB":
                for block in range(10):
                    ranks = [waited] if block < 2 or (cell, block) == ("B", 2) else []
                    one = a_record(comparison="null", cell=cell, block=block, seed=block, **what, ranks=ranks)
                    folder.append(one)
                    if (cell, block) == ("A", 0):
                        folder.append(replace(one, trial="again", repeat=1))
        blocks = Blocks(tmp_path, "quick", lambda line: None)
        blocks.resume({}, [comparison])
        blocks.run(comparison)
        blocks.close()
        return ran, [record.trial for records in blocks.records.values() for record in records]

    def test_one_that_was_not_repeated_is_when_the_run_goes_on_and_only_then(self, tmp_path, monkeypatch):
        ran, counting = self.gone_on_with(tmp_path, monkeypatch)
        assert ran == [("A", 1, 1)]  # one repeat of two was left
        assert str(ran[0]) in counting
        assert self.gone_on_with(tmp_path, monkeypatch)[0] == []

    def test_none_is_repeated_twice(self, tmp_path, monkeypatch):
        assert self.gone_on_with(tmp_path, monkeypatch, disturbed_again=True)[0] == [("A", 1, 1)]
        assert self.gone_on_with(tmp_path, monkeypatch, disturbed_again=True)[0] == []
