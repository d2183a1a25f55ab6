"""TF32 has its own name and its own peak. The GPU is a stand-in; what torch is set to is real."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from paceline.bench import run_trial
from paceline.bench.analysis.frames import peak_flops
from paceline.bench.analysis.trial_laws import broken
from paceline.bench.harness.peak import machines, measured
from paceline.bench.harness.trial import Trial
from paceline.bench.probes.float32_precision import IN_BFLOAT16, multiplied_in_bfloat16, multiplied_in_tf32, multiply_in
from paceline.bench.workloads import torch_settings
from paceline.trainers import Amp, MiniBatch
from tests.planted import a_record
from tests.problems import GAUSSIANS

DENSE = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
CONVOLUTIONS = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten())
BOTH = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))


@pytest.fixture(autouse=True)
def settings():
    with torch_settings.kept_apart():
        yield


def in_tf32(monkeypatch, model, capability=(8, 0)):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    with FlopCounterMode(display=False) as counter:
        model(torch.ones(2, 1, 8, 8)).sum().backward()
    return multiplied_in_tf32(counter, torch.device("cuda", 0))


def test_by_torchs_defaults_convolutions_are_made_in_tf32_and_matrix_products_are_not(monkeypatch):
    assert [in_tf32(monkeypatch, model) for model in (DENSE, CONVOLUTIONS, BOTH)] == [False, True, True]


def test_both_follow_what_torch_is_set_to(monkeypatch):
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    assert [in_tf32(monkeypatch, model) for model in (DENSE, CONVOLUTIONS, BOTH)] == [True, False, True]


def test_what_has_no_tf32_uses_none(monkeypatch):
    assert not in_tf32(monkeypatch, CONVOLUTIONS, capability=(7, 5))
    with FlopCounterMode(display=False) as counter:
        CONVOLUTIONS(torch.ones(2, 1, 8, 8))
    assert not multiplied_in_tf32(counter, torch.device("cpu"))


def test_the_peak_of_each_is_measured_with_and_without_it():
    assert multiply_in("tf32") == torch.float32
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    assert multiply_in("float32") == torch.float32
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert multiply_in("bfloat16") == torch.bfloat16


def lower(workload=GAUSSIANS):
    return replace(workload, settings={"float32_matmul_precision": "medium"})


@pytest.mark.parametrize("kind", ["matmul", "conv"])
def test_a_cpu_that_multiplies_in_bfloat16_is_seen_to(kind):
    """Where the processor does, that is: the setting allows it only."""
    models = {"matmul": DENSE, "conv": CONVOLUTIONS}
    found = {}
    for precision in ("ieee", "bf16"):
        getattr(torch.backends.mkldnn, kind).fp32_precision = precision
        with FlopCounterMode(display=False) as counter:
            models[kind](torch.ones(2, 1, 8, 8)).sum().backward()
        found[precision] = multiplied_in_bfloat16(counter, torch.device("cpu"))
    able = "amx_bf16" in Path("/proc/cpuinfo").read_text() or "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    assert found == {"ieee": False, "bf16": able}


def test_what_a_workloads_settings_allow_has_a_peak_and_a_name_of_its_own():
    trial = Trial(lower(), MiniBatch(), steps=2, threads=1)
    assert [machine.dtype for machine in machines([trial])] == ["float32", IN_BFLOAT16]
    assert [machine.dtype for machine in machines([replace(trial, workload=GAUSSIANS)])] == ["float32"]
    [full, fast] = [peak["flops_per_second"] for peak in measured([trial], lambda line: None)]
    record = run_trial(trial)
    if record.dtype == IN_BFLOAT16:  # the processor does
        assert fast > 1.2 * full
    else:
        assert record.dtype == "float32"
    assert "mfu" not in record.unmeasured
    assert run_trial(replace(trial, workload=GAUSSIANS)).dtype == "float32"


def test_a_peak_in_full_is_that_whatever_this_process_is_set_to():
    torch.set_float32_matmul_precision("medium")
    multiply_in("float32")
    x, one = torch.full((64, 64), 1 + 2**-12), torch.eye(64)
    assert torch.equal(x @ one, x)


def test_on_a_gpu_both_peaks_are_measured_of_what_trains_in_float32():
    on_gpu = [Trial(GAUSSIANS, trainer, device="cuda") for trainer in (MiniBatch(), Amp(dtype="float16"))]
    assert [machine.dtype for machine in machines(on_gpu)] == ["float16", "float32", "tf32"]
    assert [machine.dtype for machine in machines([Trial(GAUSSIANS, MiniBatch())])] == ["float32"]


def test_a_trial_in_tf32_is_held_to_the_peak_of_tf32():
    """40 TFLOP/s of convolutions broke a law of a card that makes 19 of float32 and 120 of TF32."""
    peaks = [
        {"device": "cuda", "dtype": dtype, "threads": 2, "world_size": 1, "flops_per_second": rate}
        for dtype, rate in (("float32", 19e12), ("tf32", 120e12))
    ]
    record = a_record(device="cuda", dtype="tf32", threads=2)
    samples, seconds = record.curve["samples"][-1], record.curve["seconds"][-1]
    record = replace(record, flops_per_sample=40e12 * seconds / samples)
    assert not [law for law in broken(record, peak_flops(record, {"gemm_peaks": peaks})) if law.startswith("mfu")]
    as_float32 = replace(record, dtype="float32")
    assert [law for law in broken(as_float32, peak_flops(as_float32, {"gemm_peaks": peaks})) if law.startswith("mfu")]


@dataclass(frozen=True)
class Half(MiniBatch):
    """Says so by torch's own name for it."""

    dtype: torch.dtype = torch.bfloat16


def test_a_dtype_may_be_torchs_own():
    assert [machine.dtype for machine in machines([Trial(GAUSSIANS, Half()), Trial(GAUSSIANS, MiniBatch())])] == [
        "bfloat16",
        "float32",
    ]


def test_a_model_of_a_dtype_without_a_peak_says_why_there_is_no_share_of_it():
    doubles = replace(GAUSSIANS, model=lambda: nn.Sequential(Doubles(), nn.Linear(20, 4).double()))
    record = run_trial(Trial(doubles, MiniBatch(), threads=1, steps=2))
    assert record.dtype == "float64", record.reason
    assert "float64" in record.unmeasured["mfu"]


class Doubles(nn.Module):
    """Makes its inputs float64."""

    def forward(self, x):
        return x.double()
