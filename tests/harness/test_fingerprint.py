"""What makes two trials of one cell those of two codes or of two data sets."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from paceline.bench.harness.fingerprint import fingerprint
from paceline.bench.harness.run import definition
from paceline.bench.harness.run_folder import check_unchanged
from paceline.bench.harness.trial import Trial
from paceline.bench.records.environments import changed_code
from paceline.bench.workloads.user_code import from_file
from paceline.trainers import Ddp, MiniBatch
from tests.planted import a_record
from tests.problems import GAUSSIANS

THEIRS = """
from dataclasses import dataclass
import functools
import torch
from torch import nn
import neighbour
from paceline.bench import Workload
from paceline.trainers import MiniBatch, Sgd, Step

WIDTH = 16

def network(depth):
    return nn.Sequential(nn.Linear(4, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))

def samples():
    x = torch.arange(80.0).reshape(20, 4)
    return x, torch.arange(20) % 2, x, torch.arange(20) % 2

MINE = Workload(name="mine", model=functools.partial(network, 2), data=samples, target=0.9)

class Base(MiniBatch):
    kind = 1

@dataclass(frozen=True)
class Own(MiniBatch):
    lr: float = 0.1

    def __call__(self, task):
        for step in super().__call__(task):
            neighbour.look(step)
            yield step

@dataclass(frozen=True)
class Another(MiniBatch):
    lr: float = 0.1
"""
NEIGHBOUR = "def look(step):\n    return step.samples + 1\n"
NOTHING, TRAINER, WORKLOAD, DATA = "", "the code of its trainer", "the code of its workload", "its data"
CHANGES = {
    "nothing": ("", "", NOTHING),
    "a comment": ("WIDTH = 16", "WIDTH = 16  # of the hidden layer", NOTHING),
    "layout": ("nn.Linear(4, WIDTH), nn.ReLU(),", "nn.Linear(4, WIDTH),\n        nn.ReLU(),", NOTHING),
    "another trainer of the file": (
        "class Another(MiniBatch):\n    lr",
        "class Another(MiniBatch):\n    rate",
        NOTHING,
    ),
    "how the same data are built": ("torch.arange(80.0)", "(0.0 + torch.arange(80.0))", NOTHING),
    "the data": ("torch.arange(80.0)", "(1.0 + torch.arange(80.0))", DATA),
    "the labels": ("torch.arange(20) % 2, x", "(torch.arange(20) + 1) % 2, x", DATA),
    "the model": ("nn.ReLU()", "nn.Tanh()", WORKLOAD),
    "a constant that it uses": ("WIDTH = 16", "WIDTH = 17", WORKLOAD),
    "what it is called with": ("(network, 2)", "(network, 3)", WORKLOAD),
    "the trainer": ("            yield step", "            yield step\n            yield step", TRAINER),
    "its base": ("class Own(MiniBatch)", "class Own(Base)", TRAINER),
    "what it calls beside it": ("samples + 1", "samples + 2", TRAINER),
}


def of_file(folder, text, neighbour=NEIGHBOUR):
    folder.mkdir()
    (folder / "mine.py").write_text(text)
    (folder / "neighbour.py").write_text(neighbour)
    (workload, _), (own, _) = (from_file(f"{folder / 'mine.py'}:{name}") for name in ("MINE", "Own"))
    return fingerprint(Trial(workload, own()))


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen_where_it_matters_and_nowhere_else(what, tmp_path):
    before, after, found = CHANGES[what]
    assert before in THEIRS + NEIGHBOUR
    one = of_file(tmp_path / "one", THEIRS)
    other = of_file(tmp_path / "two", THEIRS.replace(before, after), NEIGHBOUR.replace(before, after))
    assert changed_code(one, other) == found


def test_another_process_finds_the_same():
    """Whatever order its sets come in."""
    program = (
        "from tests.harness.test_fingerprint import *\n"
        "if __name__ == '__main__': print(fingerprint(Trial(GAUSSIANS, Ddp())))"
    )
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        assert told.stdout.strip() == str(fingerprint(Trial(GAUSSIANS, Ddp()))), told.stderr


def test_two_versions_of_python_compile_the_same_code_differently():
    one = {"python": "3.11", "trainer": "a", "workload": "b", "data": "c"}
    assert changed_code(one, one | {"python": "3.12", "trainer": "x", "workload": "y"}) == ""
    assert changed_code(one, one | {"python": "3.12", "data": "z"}) == DATA
    assert changed_code(one, one | {"trainer": "x", "workload": "y"}) == f"{TRAINER} and {WORKLOAD}"
    assert changed_code({}, one) == changed_code(one, {}) == ""  # of older records nothing is known


def test_a_run_is_not_gone_on_with_on_other_code_or_data():
    cell = Trial(GAUSSIANS, MiniBatch(), threads=1)
    held = a_record(comparison="null", cell="A", **definition(cell))
    check_unchanged("null", {"A": cell}, [held])
    x, y, *held_out = GAUSSIANS.data()
    shifted = replace(GAUSSIANS, data=lambda: (x + 1, y, *held_out))
    with pytest.raises(ValueError, match=r"A is not what it was: its data changed; does data\(\) draw the same"):
        check_unchanged("null", {"A": replace(cell, workload=shifted)}, [held])
    wider = replace(GAUSSIANS, model=lambda: torch.nn.Linear(20, 4))
    with pytest.raises(ValueError, match=r"the code of its workload changed; run without --resume"):
        check_unchanged("null", {"A": replace(cell, workload=wider)}, [held])
    older = replace(held, code={})
    check_unchanged("null", {"A": replace(cell, workload=wider)}, [older])
