"""Ranks may have children, and of none is anything left: not of a rank that was killed, nor of a run that was."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from paceline.bench import Trial, run_trial
from paceline.trainers import MiniBatch, Sgd, Step
from tests import problems
from tests.paths import ROOT
from tests.problems import GAUSSIANS, POINTS


@dataclass(frozen=True)
class Loaded(MiniBatch):
    """Trains on what processes of its own load."""

    def __call__(self, task):
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        loader = DataLoader(TensorDataset(task.x, task.y), self.batch_size, num_workers=2, persistent_workers=True)
        while True:
            for x, y in loader:
                loss = task.loss(model(x), y).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                yield Step(model, loss.detach(), samples=len(x))


def test_a_trainer_may_load_its_data_in_processes_of_its_own():
    record = run_trial(Trial(GAUSSIANS, Loaded(Sgd(lr=0.3)), threads=1, seconds=60))
    assert record.status == "reached", record.reason


@pytest.mark.parametrize("end", [problems.kill_itself, problems.loop_forever], ids=["it is killed", "it hangs"])
def test_the_children_of_a_rank_end_with_it(end, tmp_path):
    file = tmp_path / "children"

    @dataclass(frozen=True)
    class HasChildren:
        def __call__(self, task):
            model = task.model()
            model(task.x)
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            with file.open("a") as opened:
                opened.write(f"{child.pid}\n")
            yield Step(model, torch.zeros(()), samples=1)
            end()

    record = run_trial(Trial(POINTS, HasChildren(), threads=1, patience=3))
    assert record.status in ("crashed", "timed_out")
    for pid in file.read_text().split():
        gone(psutil.Process(int(pid)) if psutil.pid_exists(int(pid)) else None, seconds=3)


def gone(*processes, seconds):
    """Check that none of ``processes`` is there any more, in ``seconds`` at most; one whose parent is slow may be."""
    ends = time.monotonic() + seconds
    while left := [p for p in processes if p is not None and p.is_running() and p.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < ends, left
        time.sleep(0.02)


RUN = """
from paceline.bench import Trial, run_trial
from tests.problems import POINTS, Sleeper
run_trial(Trial(POINTS, Sleeper(0.01), seconds=600, threads=1))
"""

# Torch comes from a slow disk, for the fork server at least.
SLOW = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "torch.distributed" and "multiprocessing.forkserver" in sys.modules and sys.argv[0] == "-c":
            print("loading", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.parametrize("while_it", ["loads torch", "trains"])
def test_nothing_survives_a_killed_run_for_three_seconds(while_it, tmp_path):
    (tmp_path / "run.py").write_text(RUN)
    if while_it == "loads torch":
        (tmp_path / "sitecustomize.py").write_text(SLOW)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    run = subprocess.Popen(
        [sys.executable, str(tmp_path / "run.py")], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        if while_it == "loads torch":
            assert run.stdout.readline() == "loading\n"
            family = psutil.Process(run.pid).children(recursive=True)
            assert len(family) == 2  # the fork server, and multiprocessing's tracker
        else:
            ends = time.monotonic() + 60
            while len(family := psutil.Process(run.pid).children(recursive=True)) < 3:
                assert time.monotonic() < ends
                time.sleep(0.05)
    finally:
        run.kill()
        run.communicate()
    gone(*family, seconds=3)
