"""Where a step's time goes: planted sleeps are found in the right phase, and the phases add up to the step."""

import gzip
import json
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from paceline.bench import Trial, run_trial
from paceline.bench.probes import phases as module
from paceline.bench.probes.phases import divided
from paceline.bench.records.record import PHASES
from paceline.trainers import Accumulate, Ddp, FullBatch, MiniBatch, Online, ReduceOnPlateau
from tests import problems
from tests.problems import GAUSSIANS

SLEEP = 0.02


def profiled(trainer, workload=GAUSSIANS, **changes):
    trial = Trial(workload, trainer, threads=1, steps=12, stop_at_target=False, phases=True)
    return run_trial(replace(trial, **changes))


def seconds_a_step(record, rank=0):
    seen = record.ranks[rank]
    return {phase: spent / seen["phase_steps"] for phase, spent in seen["phase_seconds"].items()}


class TestDivided:
    def test_what_nothing_claims_is_the_rest_and_what_lies_outside_of_steps_is_nobodys(self):
        found = divided([(10, 20), (30, 40)], [("forward", (12, 15)), ("backward", (25, 33))], [], [], [])
        assert found == dict.fromkeys(PHASES, 0.0) | {"forward": 3, "backward": 3, "rest": 14}

    def test_the_innermost_counts(self):
        """An optimizer that calls the model again: a closure's passes are no update."""
        marks = [("optimizer", (0, 10)), ("forward", (1, 4)), ("backward", (4, 8)), ("data", (2, 3))]
        found = divided([(0, 12)], marks, [], [], [])
        assert found == dict.fromkeys(PHASES, 0.0) | {"optimizer": 3, "forward": 2, "data": 1, "backward": 4, "rest": 2}

    def test_communication_beside_computing_takes_no_time_of_its_own(self):
        found = divided([(0, 20)], [("backward", (0, 18))], [], [(5, 15), (12, 17)], [(0, 7), (9, 10)])
        assert found["communication"] == (9 - 7) + (17 - 10)
        assert found["backward"] == 18 - 9

    def test_a_copy_is_one_where_data_are_fetched(self):
        found = divided([(0, 10)], [("data", (0, 5)), ("forward", (5, 9))], [(3, 6)], [], [])
        assert (found["data"], found["host_to_device"], found["forward"]) == (3, 2, 4)

    def test_of_no_steps_there_is_nothing(self):
        assert divided([], [], [], [], []) == dict.fromkeys(PHASES, 0.0)


@pytest.mark.parametrize(
    "trainer",
    [FullBatch(), MiniBatch(), Online(), Accumulate(), ReduceOnPlateau(), Ddp()],
    ids=lambda trainer: type(trainer).__name__,
)
def test_phases_add_up_to_what_steps_took_by_another_clock(trainer):
    record = profiled(trainer, world_size=2 if isinstance(trainer, Ddp) else 1, steps=40)
    assert record.status in ("missed", "reached"), record.reason
    for seen in record.ranks:
        assert seen["phase_steps"] == 30
        assert sum(seen["phase_seconds"].values()) == pytest.approx(seen["phase_wall_seconds"], rel=0.05)
        for phase in ("data", "forward", "backward", "optimizer"):
            assert seen["phase_seconds"][phase] > 0, phase
        assert seen["phase_seconds"]["host_to_device"] == 0
        assert (seen["phase_seconds"]["communication"] > 0) is isinstance(trainer, Ddp)


class SleepsForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = problems.network()

    def forward(self, x):
        time.sleep(SLEEP)
        return self.inner(x)


class SleepsBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(SLEEP)
        return gradient


class SlowGradient(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = problems.network()

    def forward(self, x):
        return SleepsBackward.apply(self.inner(x))


class SleepsWhenAsked(Dataset):
    def __len__(self):
        return 256

    def __getitem__(self, i):
        return DATA[0][i], DATA[1][i]

    def __getitems__(self, indices):
        time.sleep(SLEEP)
        return [self[i] for i in indices]


DATA = problems.gaussians()


class SleepyStep(torch.optim.SGD):
    def step(self, closure=None):
        time.sleep(SLEEP)
        return super().step(closure)


@dataclass(frozen=True)
class SleepySgd:
    lr: float = 0.05

    def __call__(self, parameters):
        return SleepyStep(list(parameters), lr=self.lr)


def slept(x, _):
    time.sleep(SLEEP)
    return nn.functional.cross_entropy(x, _, reduction="none")


SLEEPS = {
    "forward": (MiniBatch(), replace(GAUSSIANS, model=SleepsForward)),
    "forward, in the loss": (MiniBatch(), replace(GAUSSIANS, loss=slept)),
    "backward": (MiniBatch(), replace(GAUSSIANS, model=SlowGradient)),
    "data": (MiniBatch(), replace(GAUSSIANS, data=lambda: (SleepsWhenAsked(), *DATA[2:]))),
    "optimizer": (MiniBatch(SleepySgd()), GAUSSIANS),
}


@pytest.mark.parametrize("where", SLEEPS)
def test_planted_sleeps_are_found_where_they_are(where):
    trainer, workload = SLEEPS[where]
    found = seconds_a_step(profiled(trainer, workload))
    phase = where.split(",")[0]
    assert found[phase] >= SLEEP
    assert sum(found.values()) - found[phase] < SLEEP / 2


@dataclass(frozen=True)
class OneRankIsLate(Ddp):
    """Rank 1 sleeps before each pass: what rank 0 does then is wait for it."""

    def __call__(self, task):
        for step in super().__call__(task):
            yield step
            if torch.distributed.get_rank() == 1:
                time.sleep(SLEEP)


def test_to_wait_for_a_rank_that_is_late_is_communication():
    record = profiled(OneRankIsLate(), world_size=2)
    waits, late = (seconds_a_step(record, rank) for rank in (0, 1))
    assert waits["communication"] >= SLEEP / 2  # the late one's steps are not the other's to the millisecond
    assert late["communication"] < SLEEP / 2
    assert late["rest"] >= SLEEP


def test_the_run_is_the_same_to_the_last_bit():
    plain, looked_at = (profiled(Accumulate(), steps=20, phases=phases) for phases in (False, True))
    assert plain.curve["loss"] == looked_at.curve["loss"]
    assert "phase_seconds" not in plain.ranks[0]


def test_a_run_keeps_one_trace_a_cell_in_its_folder(tmp_path: Path):
    trial = Trial(GAUSSIANS, MiniBatch(), threads=1, steps=6, phases=True)
    for cell in ("a", "a", "b/c"):
        run_trial(trial, cell=cell, errors=tmp_path / "errors")
    files = sorted((tmp_path / "traces").iterdir())
    assert [file.name for file in files] == ["a.json.gz", "b_c.json.gz"]
    assert all(file.stat().st_size < 100_000 for file in files)
    names = {event.get("name") for event in json.loads(gzip.decompress(files[0].read_bytes()))["traceEvents"]}
    assert {"paceline: step", "paceline: forward", "Optimizer.step#SGD.step"} <= names


def test_a_trace_that_is_too_large_is_not_kept_and_it_is_said(monkeypatch):
    monkeypatch.setattr(module, "LARGEST_TRACE", 100)
    probe = module.PhasesProbe(torch.device("cpu"))
    with closing(probe.of(MiniBatch())(problems.task())) as steps:
        for _ in zip(range(5), steps, strict=False):
            pass
    assert probe.trace is None
    assert "too much to be kept" in probe.unmeasured["trace"]
