"""What a GPU does not tell costs its own number only, and is a reason: against a stub library that refuses."""

import os
import time

import pytest

from paceline.bench.probes import gpu_probe
from paceline.bench.probes.gpu_neighbours import UNLISTED
from paceline.bench.probes.gpu_probe import GpuProbe, GpuReadings
from paceline.bench.probes.gpus import gpus
from tests.probes.fake_nvml import BARE, GIB, MIB, NEVER, calls, missing, probe_threads, started, wait_for_samples

pynvml = pytest.importorskip("pynvml")


@pytest.mark.parametrize(
    ("function", "lost"),
    [
        ("nvmlDeviceGetMemoryInfo_v2", {"device_peak_bytes", "device_baseline_bytes"}),
        ("nvmlDeviceGetComputeRunningProcesses_v3", {"process_peak_bytes", "other_processes", "others_share"}),
        ("nvmlDeviceGetProcessUtilization", {"others_share"}),
        ("nvmlDeviceGetTotalEnergyConsumption", {"energy_joules", "energy_window_seconds"}),
        ("nvmlDeviceIsMigDeviceHandle", {"energy_joules", "energy_window_seconds"}),
        ("nvmlDeviceGetEnforcedPowerLimit", {"power_limit_watts"}),
    ],
)
def test_a_refused_call_costs_the_readings_only_its_own_fields(driver, monkeypatch, function, lost):
    monkeypatch.setattr(gpu_probe, "SHORTEST_ENERGY_WINDOW", 0.0)
    assert missing(started(BARE, period=NEVER).stop()) == set()
    monkeypatch.setenv("FAKE_NVML_FAIL", f"{function}:3")
    readings = started(BARE, period=NEVER).stop()
    assert missing(readings) == lost
    refused = {readings.unmeasured[name] for name in lost} - {UNLISTED}
    assert refused == {"NVMLError_NotSupported: Not Supported"}


def test_a_code_without_a_name_is_still_a_reason(driver, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_FAIL", "nvmlDeviceGetEnforcedPowerLimit:4321")
    assert "NVMLError" in started(BARE, period=NEVER).stop().unmeasured["power_limit_watts"]


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetHandleByUUID"])
def test_a_gpu_that_cannot_be_opened_gives_readings_of_reasons(driver, monkeypatch, function):
    monkeypatch.setenv("FAKE_NVML_FAIL", f"{function}:15")
    probe = started(BARE)
    probe.reset_peak()
    probe.pause()
    probe.resume()
    readings = probe.stop()
    assert len(missing(readings)) == 10
    assert all("NVMLError_GpuIsLost" in reason for reason in readings.unmeasured.values())


def test_a_gpu_lost_in_the_middle_leaves_no_half_peak_until_a_reset(driver, setting):
    setting("FAKE_NVML_FAIL", "")
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_FAIL", "nvmlDeviceGetMemoryInfo_v2:15,nvmlDeviceGetComputeRunningProcesses_v3:15")
    probe.pause()
    probe.resume()
    setting("FAKE_NVML_FAIL", "")
    readings = probe.stop()
    assert (readings.process_peak_bytes, readings.device_peak_bytes) == (None, None)
    assert readings.best_memory() == (None, "NVMLError_GpuIsLost: GPU is lost")

    setting("FAKE_NVML_FAIL", "nvmlDeviceGetComputeRunningProcesses_v3:15")
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_FAIL", "")
    probe.reset_peak()
    assert probe.stop().best_memory() == (512 * MIB, "nvml_process")


def test_a_failing_thread_samples_on_and_ends(driver, setting):
    setting("FAKE_NVML_FAIL", "")
    probe = started(BARE, period=0.002)
    setting("FAKE_NVML_FAIL", "nvmlDeviceGetComputeRunningProcesses_v3:999")
    wait_for_samples(driver)
    assert missing(probe.stop()) == {"process_peak_bytes", "energy_joules"}


@pytest.mark.parametrize("processes", ["", f"1:{6 * GIB},2:{7 * GIB}"])
def test_where_this_process_is_not_listed_memory_is_the_rise_of_the_device(driver, setting, processes):
    setting("FAKE_NVML_USED", 2 * GIB)
    setting("FAKE_NVML_PROCESSES", processes)
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_USED", 5 * GIB)
    readings = probe.stop()
    assert readings.process_peak_bytes is None
    assert f"lists {processes.count(':')} compute" in readings.unmeasured["process_peak_bytes"]
    assert "container" in readings.unmeasured["process_peak_bytes"]
    assert readings.best_memory() == (3 * GIB, "nvml_device_delta")


def test_a_process_not_yet_listed_at_the_start_is_found_later(driver, setting):
    setting("FAKE_NVML_PROCESSES", "")
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_PROCESSES", f"1:{6 * GIB},self:{GIB}")
    assert probe.stop().process_peak_bytes == GIB


def test_the_process_may_be_another(driver, setting):
    setting("FAKE_NVML_PROCESSES", "")
    probe = started(BARE, pid=123, period=NEVER)
    setting("FAKE_NVML_PROCESSES", f"123:{GIB},self:{2 * GIB}")
    assert probe.stop().process_peak_bytes == GIB


def test_a_process_of_our_number_that_was_there_before_us_is_not_taken_for_us(driver, setting):
    """Where PIDs have namespaces, NVML may tell those of the host, one of which may be ours in here."""
    setting("FAKE_NVML_USED", GIB)
    setting("FAKE_NVML_PROCESSES", f"{os.getpid()}:{GIB}")
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_USED", 4 * GIB)
    setting("FAKE_NVML_PROCESSES", f"{os.getpid()}:{GIB},77:{3 * GIB}")
    readings = probe.stop()
    assert readings.best_memory() == (3 * GIB, "nvml_device_delta")
    assert "PID namespaces" in readings.unmeasured["process_peak_bytes"]
    assert readings.other_processes is None


@pytest.mark.parametrize("memory", ["na", "0"])
def test_a_process_listed_without_memory_has_unknown_memory(driver, setting, memory):
    setting("FAKE_NVML_PROCESSES", f"self:{memory}")
    readings = started(BARE, period=NEVER).stop()
    assert readings.process_peak_bytes is None
    assert "without its memory" in readings.unmeasured["process_peak_bytes"]


@pytest.mark.parametrize("uuid", [BARE, f"MIG-{BARE}"])
def test_an_instance_of_a_gpu_has_memory_but_no_energy(driver, setting, monkeypatch, uuid):
    monkeypatch.setenv("FAKE_NVML_MIG", "1")
    monkeypatch.setattr(gpu_probe, "SHORTEST_ENERGY_WINDOW", 0.0)
    setting("FAKE_NVML_USED", GIB)
    probe = started(uuid, period=NEVER)
    setting("FAKE_NVML_USED", 3 * GIB)
    readings = probe.stop()
    assert readings.best_memory() == (2 * GIB, "nvml_device_delta")
    assert missing(readings) == {"process_peak_bytes", "energy_joules", "energy_window_seconds"}
    assert "MIG" in readings.unmeasured["process_peak_bytes"]
    assert "NotSupported" in readings.unmeasured["energy_joules"]


def test_a_device_that_did_not_rise_is_no_measurement_of_zero(driver, setting):
    setting("FAKE_NVML_PROCESSES", "")
    memory, reason = started(BARE, period=NEVER).stop().best_memory()
    assert memory is None
    assert "did not rise" in reason


def test_best_memory_needs_no_gpu():
    def best(process, peak, baseline):
        unmeasured = {
            name: f"no {name}"
            for name, value in [("process_peak_bytes", process), ("device_baseline_bytes", baseline)]
            if value is None
        }
        return GpuReadings(process, peak, baseline, None, None, None, 1, unmeasured).best_memory()

    assert best(7, 100, 60) == (7, "nvml_process")
    assert best(None, 100, 60) == (40, "nvml_device_delta")
    assert best(None, 100, None) == (None, "no process_peak_bytes; no device_baseline_bytes")


def test_an_old_driver_answers_with_the_first_version_of_memory(stubs, use):
    use(stubs["old"])
    (gpu,), _ = gpus()
    assert gpu.used_bytes == 1324 * MIB  # 300 MiB of it the driver's own
    assert started(BARE, period=NEVER).stop().device_peak_bytes == 1324 * MIB


def test_nvml_is_opened_and_closed_once_each(driver):
    before = calls(driver, "inits"), calls(driver, "shutdowns")
    gpus()
    probe = started(BARE)
    assert (calls(driver, "inits"), calls(driver, "shutdowns")) == (before[0] + 2, before[1] + 1)
    assert probe.stop() is probe.stop()
    assert (calls(driver, "inits"), calls(driver, "shutdowns")) == (before[0] + 2, before[1] + 2)


@pytest.mark.times
def test_the_thread_lives_from_start_to_stop_and_never_delays_it(driver):
    probe = started(BARE, period=NEVER)
    assert [thread.daemon for thread in probe_threads()] == [True]
    began = time.perf_counter()
    probe.stop()
    assert time.perf_counter() - began < 1
    assert not probe_threads()


def test_a_probe_that_was_never_started_says_so(driver):
    readings = GpuProbe(BARE).stop()
    assert len(missing(readings)) == 10
    assert readings.best_memory() == (None, "the probe was never started")
