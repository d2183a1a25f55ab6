"""What the compiler lacks is said before it is called, and each trial compiles for itself."""

import os
from dataclasses import dataclass, replace

import pytest
import torch

from paceline.bench import Trial, run_trial
from paceline.bench.probes import compiler
from paceline.trainers import Compiled, MiniBatch
from tests import problems
from tests.problems import GAUSSIANS


def test_without_a_compiler_it_is_said_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiler.missing("cpu") == (
        "torch.compile needs a C++ compiler, and there is no no-such-compiler: apt install g++, or set CXX"
    )
    monkeypatch.setattr(compiler.shutil, "which", lambda name: name)
    monkeypatch.setattr(compiler.sysconfig, "get_path", lambda name: str(tmp_path))
    assert "apt install python3-dev" in compiler.missing("cpu")
    (tmp_path / "Python.h").touch()
    assert compiler.missing("cpu") == ""


@pytest.mark.parametrize("found", [None, "there"])
def test_a_gpu_takes_triton(monkeypatch, found):
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: found)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: name)
    assert ("pip install triton" in compiler.missing("cuda")) is (found is None)
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    assert ("apt install" in compiler.missing("cuda")) is (found is not None)


@dataclass(frozen=True)
class Tells:
    """A trainer whose trial says where its process would keep what it compiles."""

    def __call__(self, task):
        raise ValueError(os.environ["TORCHINDUCTOR_CACHE_DIR"] + " " + os.environ["TRITON_CACHE_DIR"])


def test_each_trial_compiles_into_a_folder_of_its_own_that_is_gone_after_it(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    folders = [run_trial(Trial(GAUSSIANS, Tells())).reason.split()[-2:] for _ in range(2)]
    assert len({folder for both in folders for folder in both}) == 4
    assert not any(os.path.exists(folder) or str(tmp_path) in folder for both in folders for folder in both)


def test_a_ragged_batch_is_one_recompilation_and_evaluation_is_none():
    """256 = 4 x 60 + 16. Held-out samples go through the model in a mode and a size of their own."""
    ragged, even, plain = (
        run_trial(Trial(replace(GAUSSIANS, target=1.0), trainer, steps=20, threads=1))
        for trainer in (Compiled(batch_size=60, backend="eager"), Compiled(backend="eager"), MiniBatch(batch_size=60))
    )
    assert [record.ranks[0]["recompilations"] for record in (ragged, even, plain)] == [1, 0, 0]
    assert 0 == plain.compile_seconds < even.compile_seconds < ragged.compile_seconds
    assert ragged.ranks[0]["compile_seconds_in_training"] == 0
    assert ragged.curve["score"] == plain.curve["score"]


def test_evaluation_runs_a_model_that_comes_compiled_as_it_was_written():
    compiled = replace(GAUSSIANS, model=lambda: torch.compile(problems.network(), backend="eager"), target=1.0)
    record = run_trial(Trial(compiled, MiniBatch(), steps=5))
    assert record.compile_seconds > 0
    assert record.ranks[0]["recompilations"] == 0  # it would be compiled anew for evaluation mode, without gradients
