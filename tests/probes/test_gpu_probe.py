"""What a probe sees of a GPU, through the real ctypes binding, against a stub library with known answers."""

import itertools
import time

import pytest

from paceline.bench.analysis.memory_parts import memory_parts, nvml_missed
from tests.planted import a_record
from tests.probes.fake_nvml import BARE, GIB, MIB, NEVER, WATTS, missing, started, wait_for_samples

pynvml = pytest.importorskip("pynvml")


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
    assert len(missing(readings)) == 10
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
        "other_processes",
        "others_share",
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


def test_neighbours_are_the_most_there_were_at_once_and_what_one_of_them_used(driver, setting):
    setting("FAKE_NVML_PROCESSES", "self:1")
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_PROCESSES", "self:1,77:1,78:1")
    probe.pause()  # looks
    probe.resume()
    setting("FAKE_NVML_PROCESSES", "self:1,78:1")
    setting("FAKE_NVML_SHARES", "self:90,78:35")
    readings = probe.stop()
    assert (readings.other_processes, readings.others_share) == (2, 0.35)


def test_alone_on_the_gpu_there_are_no_neighbours_and_before_a_reset_none_are_remembered(driver, setting):
    setting("FAKE_NVML_SHARES", "self:99")
    readings = started(BARE, period=NEVER).stop()
    assert (readings.other_processes, readings.others_share) == (0, 0.0)
    setting("FAKE_NVML_PROCESSES", "self:1,77:1")
    probe = started(BARE, period=NEVER)
    setting("FAKE_NVML_PROCESSES", "self:1")
    probe.reset_peak()
    assert probe.stop().other_processes == 0


def test_where_this_process_is_not_listed_there_is_no_telling_who_is_another(driver, setting):
    setting("FAKE_NVML_PROCESSES", "77:1")
    readings = started(BARE, period=NEVER).stop()
    assert (readings.other_processes, readings.others_share) == (None, None)
    assert "no telling" in readings.unmeasured["other_processes"]


def test_what_evaluation_left_in_torchs_cache_is_no_memory_of_the_trial(driver, setting):
    """Of 9 GiB that the process holds, 6 are cached from an evaluation; 0.5 is beyond torch."""
    reserved, spare = [2 * GIB], [0]
    setting("FAKE_NVML_USED", GIB)
    probe = started(BARE, period=NEVER, reserved=lambda: reserved[0], spare=lambda: spare[0])
    probe.pause()
    reserved[0], spare[0] = 17 * GIB // 2, 6 * GIB
    setting("FAKE_NVML_USED", 10 * GIB)
    setting("FAKE_NVML_PROCESSES", f"self:{9 * GIB}")
    probe.resume()
    readings = probe.stop()
    assert (readings.process_peak_bytes, readings.device_peak_bytes) == (3 * GIB, 4 * GIB)
    assert readings.beyond_torch["peak"] == 512 * MIB
