"""Samples in mapped files: made once, the same ones each time, taken up only where they are whole, and learned."""

import numpy as np
import pytest
import torch

from paceline.bench import Trial, run_trial
from paceline.bench.workloads import larger_than_memory as module
from paceline.bench.workloads.data import Data
from paceline.bench.workloads.larger_than_memory import (
    FEATURES,
    LARGER_THAN_MEMORY,
    SAMPLE_BYTES,
    larger_than_memory,
    rule,
)
from paceline.bench.workloads.mapped_files import described
from paceline.trainers import MiniBatch, Sgd

SMALL = larger_than_memory(megabytes=4, name="small")
SAMPLES = 4_000_000 // SAMPLE_BYTES


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PACELINE_DATA", str(tmp_path))
    return tmp_path / "paceline-larger-than-memory"


def test_by_default_there_are_a_million_samples():
    assert LARGER_THAN_MEMORY.data.args[0] * 1_000_000 == SAMPLE_BYTES * 1_000_000


def test_the_files_hold_samples_of_the_rule_and_stay_files():
    train = Data.of(SMALL.data()).train
    assert (train.x.shape, train.y.shape) == ((SAMPLES, FEATURES), (SAMPLES,))
    assert described(train.x) is not None
    agree = (train.x @ rule()).argmax(dim=1) == train.y
    assert agree.double().mean() == pytest.approx(0.9, abs=0.05)
    assert train.y.bincount(minlength=10).min() > SAMPLES / 100
    parts = [*Data.of(SMALL.data()).validation, *Data.of(SMALL.data()).test]
    assert [part.n for part in parts] == [2000, 2000]
    assert not torch.equal(parts[0].x, parts[1].x)
    assert not torch.equal(parts[0].x, train.x[:2000])


def test_they_are_made_once(folder):
    first = SMALL.data()[0]
    made = (folder / "x-4.npy").stat().st_mtime_ns
    again = SMALL.data()[0]
    assert (folder / "x-4.npy").stat().st_mtime_ns == made
    assert np.array_equal(first, again)
    assert len(list(folder.iterdir())) == 2


def test_what_was_left_half_written_is_made_anew(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "drawn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            SMALL.data()
    assert not list(folder.iterdir())
    x, y, *_ = SMALL.data()
    assert len(x) == SAMPLES
    assert len(np.unique(y)) == 10
    assert len(list(folder.iterdir())) == 2


def test_it_is_learned_from_the_files():
    record = run_trial(Trial(SMALL, MiniBatch(Sgd(0.3)), seconds=20, threads=1))
    assert record.status == "reached", record.reason
