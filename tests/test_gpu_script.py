"""``tests/gpu.sh`` where there is no GPU: it claims nothing. What of its checks the CPU can run is run there."""

import os
import subprocess
import sys

import pytest
import torch

from paceline.bench import load_results
from tests.gpu.checks import run
from tests.gpu.machine import Machine, within
from tests.gpu.wide import WIDE, wide
from tests.paths import ROOT


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so_in_one_line_and_writes_nothing(tmp_path):
    results = tmp_path / "results"
    command = ["bash", str(ROOT / "tests/gpu.sh"), str(results)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHON": sys.executable}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "gpu.sh: no GPU here: nothing was run\n", "")
    assert not results.exists()


def test_its_checks_run_on_the_cpu_and_leave_open_what_needs_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "checks"
    found = run(Machine("cpu", width=64, batch_size=64, samples=512, seconds=0.3, folder=folder))
    verdicts = {check.what: check.verdict for check in found}
    assert {name for name, verdict in verdicts.items() if verdict == "open"} == {
        "beside plain torch",
        "neighbours on the GPU",
        "compiling",
    }
    assert [str(check) for check in found if check.verdict == "WRONG"] == []
    assert {"peak of float32", "training in float32", "DDP on one rank"} < verdicts.keys()
    assert {f"out of memory, {name}" for name in ("MiniBatch", "Ddp")} < verdicts.keys()
    assert {f"equivalence of {name}" for name in ("FullBatch", "Ddp", "Amp in bfloat16")} < verdicts.keys()
    read = ("a mapped file", "a Dataset", "a Dataset read by two processes")
    assert {"Online on a stream", *(f"MiniBatch on {source}" for source in read)} < verdicts.keys()
    assert {"phases of MiniBatch on a Dataset", "characters in float32", "characters by Lion"} < verdicts.keys()
    assert "equivalence of text-bilstm, Accumulate" in verdicts
    results = load_results(folder)
    assert dict(zip(results.trials["cell"], results.trials["status"], strict=True)) == {
        "float32": "missed",
        "ddp": "missed",
        "out-of-memory-MiniBatch": "out_of_memory",
        "out-of-memory-Ddp": "out_of_memory",
        **dict.fromkeys(("here-MiniBatch", "mapped-MiniBatch", "rows-MiniBatch", "workers-MiniBatch"), "missed"),
        **dict.fromkeys(("stream-Online", "phases-MiniBatch on a Dataset"), "missed"),
        **dict.fromkeys(("characters-float32", "characters-Lion"), "missed"),
    }
    assert (folder / "checks.txt").read_text().splitlines() == [str(check) for check in found]


def test_numbers_are_alike_within_a_share_and_open_where_one_is_not_known():
    assert within(104.0, 100.0, 0.05) == "ok"
    assert within(106.0, 100.0, 0.05) == "WRONG"
    assert within(106.0, 100.0, 0.05, slack=1.0) == "ok"
    assert within(float("nan"), 100.0, 0.05) == within(1.0, float("nan"), 0.05) == "open"


def test_a_step_of_the_wide_network_is_trillions_of_flops():
    model = WIDE.model()
    weights = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    assert 6 * 4096 * weights > 1.5e12
    x, y, *held_out = wide(8, 640).data()
    assert (x.shape, y.shape, held_out[0].shape) == ((640, 1024), (640,), (64, 1024))
    assert len(set(y.tolist())) == 10
