"""GPUs are listed through the real ctypes binding, against a stub library with known answers."""

import ctypes
from dataclasses import asdict, fields

import pytest

from paceline.bench.probes import nvml
from paceline.bench.probes.gpus import gpus
from tests.probes.fake_nvml import BARE, GIB, missing, started

pynvml = pytest.importorskip("pynvml")


def test_gpus_are_listed_with_their_values(driver, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_COUNT", "2")
    (first, second), reason = gpus()
    assert asdict(first) == {
        "uuid": f"GPU-{BARE}",
        "name": "Fake GPU 0",
        "driver": "999.01",
        "total_bytes": 16 * GIB,
        "used_bytes": GIB,
        "processes": 1,
        "sm_clock_hz": 345_000_000,
        "max_sm_clock_hz": 1_980_000_000,
        "clock_event_reasons": 4,
        "unmeasured": {},
    }
    assert (second.name, second.used_bytes, reason) == ("Fake GPU 1", 2 * GIB, "")


def test_no_gpu_is_a_reason(driver, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_COUNT", "0")
    assert gpus() == ([], "NVML sees no GPU")


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_a_refusal_of_everything_is_a_reason(driver, monkeypatch, function):
    monkeypatch.setenv("FAKE_NVML_FAIL", f"{function}:9")
    assert gpus() == ([], "NVMLError_DriverNotLoaded: Driver Not Loaded")


@pytest.mark.parametrize(
    ("function", "lost"),
    [
        ("nvmlSystemGetDriverVersion", {"driver"}),
        ("nvmlDeviceGetUUID", {"uuid"}),
        ("nvmlDeviceGetName", {"name"}),
        ("nvmlDeviceGetMemoryInfo_v2", {"total_bytes", "used_bytes"}),
        ("nvmlDeviceGetComputeRunningProcesses_v3", {"processes"}),
        ("nvmlDeviceGetClockInfo", {"sm_clock_hz"}),
        ("nvmlDeviceGetMaxClockInfo", {"max_sm_clock_hz"}),
        ("nvmlDeviceGetCurrentClocksEventReasons", {"clock_event_reasons"}),
    ],
)
def test_a_refused_call_costs_a_gpu_only_its_own_fields(driver, monkeypatch, function, lost):
    monkeypatch.setenv("FAKE_NVML_FAIL", f"{function}:4")
    (gpu,), _ = gpus()
    assert missing(gpu) == lost
    assert set(gpu.unmeasured.values()) == {"NVMLError_NoPermission: Insufficient Permissions"}


def test_a_gpu_that_cannot_be_opened_is_still_listed(driver, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_FAIL", "nvmlDeviceGetHandleByIndex_v2:15")
    (gpu,), reason = gpus()
    assert missing(gpu) == {field.name for field in fields(gpu)} - {"driver", "unmeasured"}
    assert set(gpu.unmeasured.values()) == {"NVMLError_GpuIsLost: GPU is lost"}
    assert reason == ""


def test_without_the_library_there_is_a_reason_and_no_gpu(use, monkeypatch):
    use(None)
    monkeypatch.setattr(pynvml, "CDLL", lambda name: ctypes.CDLL(f"/nowhere/{name}"))
    reason = "NVMLError_LibraryNotFound: NVML Shared Library Not Found"
    assert gpus() == ([], reason)
    readings = started(BARE).stop()
    assert len(missing(readings)) == 10
    assert readings.best_memory() == (None, reason)


def test_without_the_package_there_is_a_reason_and_no_gpu(monkeypatch):
    monkeypatch.setattr(nvml, "pynvml", None)
    assert gpus() == ([], "the package nvidia-ml-py is not installed")
    assert started(BARE).stop().best_memory() == (None, "the package nvidia-ml-py is not installed")
