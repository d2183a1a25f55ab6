"""NVML through the real ctypes binding, against a stub library with known answers (fake_nvml.c)."""

import ctypes
import itertools
import os
import shutil
import subprocess
import threading
import time
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from paceline.bench.analysis.frames import memory_parts, nvml_missed
from paceline.bench.probes import nvml
from paceline.bench.probes.nvml import GpuProbe, GpuReadings, gpus
from tests.planted import a_record

pynvml = pytest.importorskip("pynvml")

GIB, MIB = 2**30, 2**20
BARE = "00000000-0000-0000-0000-000000000000"
NEVER = 60.0  # a period that no test waits for: what is seen is then seen by the calls, not by the thread
WATTS = 250.0


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """The stub, of a new driver and of one without nvmlDeviceGetMemoryInfo_v2."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("nvml")

    def compiled(name, *flags):
        # No soname: glibc would then hand this library to whoever asks for libnvidia-ml.so.1 later in this
        # process, torch included.
        source = Path(__file__).with_name("fake_nvml.c")
        subprocess.run([compiler, "-shared", "-fPIC", *flags, "-o", folder / name, source], check=True)
        return ctypes.CDLL(str(folder / name))

    return {"new": compiled("new.so"), "old": compiled("old.so", "-DOLD_DRIVER")}


@pytest.fixture
def use(monkeypatch):
    """Makes pynvml talk to another library for the length of a test."""
    functions = dict(pynvml._nvmlGetFunctionPointer_cache)

    def use(library):
        monkeypatch.setattr(pynvml, "nvmlLib", library)
        pynvml._nvmlGetFunctionPointer_cache.clear()

    yield use
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml._nvmlGetFunctionPointer_cache.update(functions)


def probe_threads():
    return [thread for thread in threading.enumerate() if thread.name == "gpu-probe"]


def calls(library, name):
    return ctypes.c_int.in_dll(library, f"fake_nvml_{name}").value


@pytest.fixture
def driver(stubs, use):
    """The stub in place of NVML. Whatever a test does, it leaves NVML closed and no thread behind."""
    use(stubs["new"])
    yield stubs["new"]
    assert calls(stubs["new"], "inits") == calls(stubs["new"], "shutdowns")
    assert not probe_threads()


@pytest.fixture
def setting(monkeypatch, tmp_path):
    """A setting of the stub that can be changed while a sampler runs."""

    def setting(name, value):
        file = tmp_path / name
        new = file.with_suffix(".new")
        new.write_text(str(value))
        new.replace(file)  # at once: a sampler never reads half of it
        if os.environ.get(name) != f"file:{file}":
            monkeypatch.setenv(name, f"file:{file}")

    return setting


def wait_for_samples(library, n=3):
    """Waits until n further looks have begun: the last but one has then seen what was set before."""
    enough, deadline = calls(library, "memory_reads") + n, time.perf_counter() + 5
    while calls(library, "memory_reads") < enough:
        assert time.perf_counter() < deadline, "the sampler does not run"
        time.sleep(0.001)


def started(*arguments, **keywords):
    probe = GpuProbe(*arguments, **keywords)
    probe.start()
    return probe


def missing(readings):
    """The fields without a value; each must have a reason of one line, and no other field one."""
    empty = {name for name, value in asdict(readings).items() if value is None or value == ""}
    assert empty - set(readings.unmeasured) == set()
    assert all(reason and "\n" not in reason for reason in readings.unmeasured.values())
    assert set(readings.unmeasured) - empty == set()
    return empty


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
    assert len(missing(readings)) == 8
    assert readings.best_memory() == (None, reason)


def test_without_the_package_there_is_a_reason_and_no_gpu(monkeypatch):
    monkeypatch.setattr(nvml, "pynvml", None)
    assert gpus() == ([], "the package nvidia-ml-py is not installed")
    assert started(BARE).stop().best_memory() == (None, "the package nvidia-ml-py is not installed")


@pytest.mark.parametrize("uuid", [BARE, f"GPU-{BARE}"])
def test_a_probe_reads_memory_and_the_power_limit(driver, uuid):
    readings = started(uuid, period=NEVER).stop()
    assert readings.process_peak_bytes == 512 * MIB
    assert readings.device_peak_bytes == readings.device_baseline_bytes == GIB
    assert (readings.power_limit_watts, readings.clock_event_reasons) == (400, 0x4)
    assert readings.samples == 2  # at the start and at the stop
    assert readings.best_memory() == (512 * MIB, "nvml_process")
    assert missing(readings) == {"energy_joules"}


def test_a_probe_watches_the_gpu_with_its_uuid(driver, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_COUNT", "3")
    assert started(f"{BARE[:-1]}2", period=NEVER).stop().device_peak_bytes == 3 * GIB


def test_an_unknown_uuid_is_a_reason(driver):
    readings = started(f"{BARE[:-1]}7").stop()
    assert len(missing(readings)) == 8
    assert readings.best_memory()[1].endswith(f"{BARE[:-1]}7: NVMLError_NotFound: Not Found")


def test_a_burst_between_two_calls_is_seen_by_the_thread(driver, setting):
    setting("FAKE_NVML_USED", GIB)
    probe = started(BARE, period=0.005)
    setting("FAKE_NVML_USED", 5 * GIB)
    setting("FAKE_NVML_PROCESSES", f"self:{3 * GIB}")
    wait_for_samples(driver)
    setting("FAKE_NVML_USED", GIB)
    setting("FAKE_NVML_PROCESSES", f"self:{MIB}")
    readings = probe.stop()
    assert (readings.device_baseline_bytes, readings.device_peak_bytes) == (GIB, 5 * GIB)
    assert readings.process_peak_bytes == 3 * GIB
    assert readings.samples >= 4


def test_a_burst_in_a_pause_is_not_seen_and_one_after_it_is(driver, setting):
    setting("FAKE_NVML_USED", GIB)
    probe = started(BARE, period=0.005)
    probe.pause()
    setting("FAKE_NVML_USED", 5 * GIB)
    time.sleep(0.05)  # ten periods
    setting("FAKE_NVML_USED", 2 * GIB)
    probe.resume()
    wait_for_samples(driver)
    assert probe.stop().device_peak_bytes == 2 * GIB


def test_memory_of_a_pause_that_lasts_to_the_end_is_not_seen(driver, setting):
    setting("FAKE_NVML_USED", GIB)
    probe = started(BARE, period=NEVER)
    probe.pause()
    setting("FAKE_NVML_USED", 5 * GIB)
    readings = probe.stop()
    assert (readings.device_peak_bytes, readings.samples) == (GIB, 2)


def test_a_burst_between_two_samples_lies_within_the_bound(driver, setting):
    setting("FAKE_NVML_USED", GIB)
    setting("FAKE_NVML_PROCESSES", f"self:{512 * MIB}")
    reserved = [0]
    probe = started(BARE, period=NEVER, reserved=lambda: reserved[0])
    began = time.perf_counter()
    setting("FAKE_NVML_PROCESSES", f"self:{3 * GIB}")  # of which torch reserves 2.5 GiB; the rest is the context
    reserved[0] = 5 * GIB // 2
    time.sleep(0.02)
    reserved[0] = 0
    setting("FAKE_NVML_PROCESSES", f"self:{512 * MIB}")
    burst = time.perf_counter() - began
    readings = probe.stop()
    assert readings.process_peak_bytes == 512 * MIB  # the burst was not seen
    assert readings.longest_gap_seconds >= burst
    record = a_record(ranks=[{
        "peak_reserved_bytes": 5 * GIB // 2,
        "nvml_process_peak_bytes": readings.process_peak_bytes,
        "nvml_longest_gap_seconds": readings.longest_gap_seconds,
        "beyond_torch_peak_bytes": readings.beyond_torch["peak"],
    }])  # fmt: skip
    found, truly = nvml_missed(record), 3 * GIB - readings.process_peak_bytes
    assert found.at_least == 2 * GIB < truly
    assert truly <= found.at_most == 5 * GIB // 2  # exactly so, since what is not torch's did not change
    assert found.gap_seconds == readings.longest_gap_seconds


def test_memory_that_torch_reserves_while_nvml_is_asked_does_not_lower_the_bound(driver, setting):
    """A look that finds 512 MiB, before and after which torch had 0 and 100 MiB: all of it may be beyond torch."""
    setting("FAKE_NVML_PROCESSES", f"self:{512 * MIB}")
    grows = itertools.cycle([0, 100 * MIB])
    assert started(BARE, period=NEVER, reserved=lambda: next(grows)).stop().beyond_torch["peak"] == 512 * MIB
    shrinks = itertools.cycle([100 * MIB, 0])
    assert started(BARE, period=NEVER, reserved=lambda: next(shrinks)).stop().beyond_torch["peak"] == 512 * MIB


@pytest.mark.parametrize("listed", [True, False])
def test_context_and_nccl_are_told_apart_by_when_they_came(driver, setting, listed):
    """By the process's own memory; where NVML does not list it (in a container), by the rise of the device."""

    def holds(mib):
        setting("FAKE_NVML_USED", 1024 * MIB + mib * MIB)
        setting("FAKE_NVML_PROCESSES", f"self:{mib * MIB}" if listed else "")

    reserved = [0]
    holds(0)
    setting("FAKE_NVML_PROCESSES", "")  # no context yet
    probe = started(BARE, period=NEVER, reserved=lambda: reserved[0] * MIB)
    reserved[0] = 20
    holds(300 + 20)
    probe.mark("context")
    holds(300 + 200 + 20)
    probe.mark("communication")
    probe.reset_peak()
    reserved[0] = 1000
    holds(300 + 200 + 70 + 1000)
    readings = probe.stop()
    assert readings.beyond_torch == {"context": 300 * MIB, "communication": 500 * MIB, "peak": 570 * MIB}
    rank = {f"beyond_torch_{name}_bytes": value for name, value in readings.beyond_torch.items()}
    parts = memory_parts(a_record(device="cuda", ranks=[rank]))
    assert [parts[name] / MIB for name in ("context", "communication", "libraries")] == [300, 200, 70]


def test_a_refusal_at_a_mark_costs_the_mark_only(driver, setting):
    setting("FAKE_NVML_FAIL", "")
    probe = started(BARE, period=NEVER, reserved=lambda: 0)
    setting("FAKE_NVML_FAIL", "nvmlDeviceGetMemoryInfo_v2:3,nvmlDeviceGetComputeRunningProcesses_v3:3")
    probe.mark("context")
    setting("FAKE_NVML_FAIL", "")
    readings = probe.stop()
    assert readings.beyond_torch == {"peak": 512 * MIB}
    assert readings.process_peak_bytes == 512 * MIB


def test_without_the_allocators_count_nothing_is_said_to_be_beyond_it(driver):
    probe = started(BARE, period=NEVER)
    probe.mark("context")
    assert probe.stop().beyond_torch == {}


def test_samples_are_no_further_apart_than_the_longest_gap(driver):
    probe = started(BARE, period=0.005)
    began = time.perf_counter()
    wait_for_samples(driver, 10)
    readings = probe.stop()
    whole = time.perf_counter() - began
    assert 0.005 <= readings.longest_gap_seconds < whole
    assert whole <= readings.longest_gap_seconds * readings.samples


@pytest.mark.times
def test_neither_a_pause_nor_what_was_before_a_reset_is_a_gap(driver):
    probe = started(BARE, period=NEVER)
    time.sleep(0.2)
    probe.reset_peak()
    probe.pause()
    time.sleep(0.2)
    probe.resume()
    assert probe.stop().longest_gap_seconds < 0.2


@pytest.mark.parametrize("moment", ["pause", "stop"])
def test_a_run_shorter_than_the_period_is_seen_at_its_end(driver, setting, moment):
    setting("FAKE_NVML_USED", GIB)
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_USED", 4 * GIB)
    getattr(probe, moment)()
    setting("FAKE_NVML_USED", GIB)
    assert probe.stop().device_peak_bytes == 4 * GIB


def test_a_reset_forgets_the_warm_up_but_not_the_baseline(driver, setting):
    setting("FAKE_NVML_USED", GIB)
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_USED", 9 * GIB)
    setting("FAKE_NVML_PROCESSES", f"self:{8 * GIB}")
    probe.pause()
    probe.resume()
    setting("FAKE_NVML_USED", 3 * GIB)
    setting("FAKE_NVML_PROCESSES", f"self:{2 * GIB}")
    probe.reset_peak()
    readings = probe.stop()
    assert (readings.device_baseline_bytes, readings.device_peak_bytes) == (GIB, 3 * GIB)
    assert readings.process_peak_bytes == 2 * GIB
    assert readings.samples == 2


def test_a_window_that_was_all_pause_has_no_peak(driver):
    probe = started(BARE, period=NEVER)
    probe.pause()
    probe.reset_peak()
    readings = probe.stop()
    assert missing(readings) == {
        "process_peak_bytes",
        "device_peak_bytes",
        "clock_event_reasons",
        "energy_joules",
        "longest_gap_seconds",
    }
    assert "pause" in readings.unmeasured["device_peak_bytes"]


@pytest.mark.times
def test_energy_is_power_times_time_since_the_reset(driver):
    probe = started(BARE)
    time.sleep(0.2)
    began = time.perf_counter()
    probe.reset_peak()
    time.sleep(1.05)
    readings = probe.stop()
    assert 1.05 <= readings.energy_window_seconds <= time.perf_counter() - began
    assert readings.energy_joules == pytest.approx(WATTS * readings.energy_window_seconds, rel=0.05)
    assert missing(readings) == set()


@pytest.mark.times
def test_energy_of_less_than_a_second_is_refused(driver):
    readings = started(BARE, period=NEVER).stop()
    assert readings.energy_joules is None
    assert "too short" in readings.unmeasured["energy_joules"]
    assert 0 < readings.energy_window_seconds < 1


@pytest.mark.parametrize(
    ("function", "lost"),
    [
        ("nvmlDeviceGetMemoryInfo_v2", {"device_peak_bytes", "device_baseline_bytes"}),
        ("nvmlDeviceGetComputeRunningProcesses_v3", {"process_peak_bytes"}),
        ("nvmlDeviceGetTotalEnergyConsumption", {"energy_joules", "energy_window_seconds"}),
        ("nvmlDeviceIsMigDeviceHandle", {"energy_joules", "energy_window_seconds"}),
        ("nvmlDeviceGetEnforcedPowerLimit", {"power_limit_watts"}),
    ],
)
def test_a_refused_call_costs_the_readings_only_its_own_fields(driver, monkeypatch, function, lost):
    monkeypatch.setattr(nvml, "SHORTEST_ENERGY_WINDOW", 0.0)
    assert missing(started(BARE, period=NEVER).stop()) == set()
    monkeypatch.setenv("FAKE_NVML_FAIL", f"{function}:3")
    readings = started(BARE, period=NEVER).stop()
    assert missing(readings) == lost
    assert {readings.unmeasured[name] for name in lost} == {"NVMLError_NotSupported: Not Supported"}


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
    assert len(missing(readings)) == 8
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
    setting("FAKE_NVML_PROCESSES", f"123:{GIB},self:{2 * GIB}")
    assert started(BARE, pid=123, period=NEVER).stop().process_peak_bytes == GIB


@pytest.mark.parametrize("memory", ["na", "0"])
def test_a_process_listed_without_memory_has_unknown_memory(driver, setting, memory):
    setting("FAKE_NVML_PROCESSES", f"self:{memory}")
    readings = started(BARE, period=NEVER).stop()
    assert readings.process_peak_bytes is None
    assert "without its memory" in readings.unmeasured["process_peak_bytes"]


@pytest.mark.parametrize("uuid", [BARE, f"MIG-{BARE}"])
def test_an_instance_of_a_gpu_has_memory_but_no_energy(driver, setting, monkeypatch, uuid):
    monkeypatch.setenv("FAKE_NVML_MIG", "1")
    monkeypatch.setattr(nvml, "SHORTEST_ENERGY_WINDOW", 0.0)
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
    assert len(missing(readings)) == 8
    assert readings.best_memory() == (None, "the probe was never started")
