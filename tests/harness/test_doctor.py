"""Planted readings and the findings they must give; the reading itself, where the answer is known."""

import subprocess
import sys

import pytest

from paceline.bench.harness import doctor
from paceline.bench.harness.doctor import Machine, examine
from paceline.bench.harness.environment import capture
from paceline.bench.probes import cgroup, cores
from paceline.bench.probes.gpus import Gpu
from tests.paths import ROOT

GIB = 1024**3

FIT = {
    "cores": 8, "physical_cores": 8, "usable_cores": 8, "cores_of_a_trial": 8,
    "load": 0.3, "governors": ("performance",), "available_bytes": 16 * GIB, "swapped_bytes": 0,
    "cpu_limit": 8.0, "memory_limit_bytes": 16 * GIB, "clock": "tsc", "jitter": 1.1,
    "gpus": (Gpu(name="A100", processes=0, clock_event_reasons=0x1),),  # idle: no slowdown
}  # fmt: skip


def unfit(**changes):
    return [finding for finding in examine(Machine(**FIT | changes)) if not finding.fit]


def test_a_fit_machine_has_no_warning_and_a_line_for_each_check():
    lines = [str(finding) for finding in examine(Machine(**FIT))]
    assert len(lines) == 11
    assert all(line.startswith("OK    ") for line in lines)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"load": 2.1}, "WARN  load: load average 2.10 on 8 cores: wait for other work to end"),
        ({"governors": ("performance", "powersave")}, "WARN  governor: performance, powersave: cpupower "),
        ({"available_bytes": GIB}, "WARN  memory: 1.1 GB available: free some: at least 2.1 GB"),
        ({"swapped_bytes": 5 * 10**8}, "WARN  swap: 0.5 GB swapped out: free memory"),
        (
            {"cpu_limit": 0.5, "usable_cores": 1, "cores_of_a_trial": 1},
            "WARN  CPU limit of the control group: 0.5 cores' worth of time on 8 cores: trials take 1: raise it to 1",
        ),
        ({"memory_limit_bytes": GIB}, "WARN  memory limit of the control group: 1.1 GB: raise it"),
        ({"clock": "hpet"}, "WARN  clock source: hpet: boot with clocksource=tsc"),
        ({"jitter": 2.0}, "WARN  jitter: 99th percentile of equal pieces of work is 2.00 x their median: expect"),
        ({"gpus": (Gpu(name="A100", processes=2),)}, "WARN  GPU 0 A100, shared: 2 processes on it: end them"),
        (
            {"gpus": (Gpu(name="A100", clock_event_reasons=0x40 | 0x4),)},
            "WARN  GPU 0 A100, clock: hardware thermal slowdown: let it cool",
        ),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_each_fault_is_found_alone_and_by_name(changes, line):
    (finding,) = unfit(**changes)
    assert str(finding).startswith(line)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "OK    cores: trials take 8 of 8"),
        (
            {"cores": 16},
            "OK    cores: trials take 8 of 16: 8 are physical, and two hyper-threads of one share its arithmetic",
        ),
        ({"cores_of_a_trial": 3}, "OK    cores: trials take 3 of 8: OMP_NUM_THREADS says so"),
        (
            {"cores": 64, "physical_cores": 64, "cpu_limit": 4.5, "usable_cores": 4, "cores_of_a_trial": 4},
            "OK    cores: trials take 4 of 64: the control group gives time for 4.5",
        ),
    ],
)
def test_the_cores_of_a_trial_are_said_with_the_reason(changes, line):
    assert str(examine(Machine(**FIT | changes))[0]) == line


def test_a_quota_to_which_threads_are_cut_is_no_fault():
    changes = {"cores": 64, "physical_cores": 64, "cpu_limit": 4.5, "usable_cores": 4, "cores_of_a_trial": 4}
    lines = [str(finding) for finding in examine(Machine(**FIT | changes))]
    assert "OK    CPU limit of the control group: 4.5 cores' worth of time on 64 cores: trials take 4" in lines
    assert not unfit(**changes)


def test_the_doctor_says_what_paceline_will_take(monkeypatch):
    """Of 16 hyper-threads of 8 cores, under a quota of 4.5 and a wish for 3."""
    monkeypatch.setattr(doctor, "measure_jitter", lambda seconds: 1.0)
    monkeypatch.setattr(cores, "affinity", lambda: frozenset(range(16)))
    monkeypatch.setattr(doctor, "affinity", lambda: frozenset(range(16)))
    monkeypatch.setattr(cores, "_physical", lambda allowed: len(allowed) // 2)
    monkeypatch.setattr(cores, "cpu_limit", lambda: 4.5)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    seen = doctor.read_machine()
    assert (seen.cores, seen.physical_cores, seen.usable_cores, seen.cores_of_a_trial) == (16, 8, 4, 3)


def test_a_system_without_a_load_average_has_none_and_no_finding_on_it(monkeypatch):
    monkeypatch.setattr(doctor, "measure_jitter", lambda seconds: 1.0)
    monkeypatch.delattr(doctor.os, "getloadavg")  # Windows
    seen = doctor.read_machine()
    assert seen.load is None
    assert "load" not in [finding.what for finding in examine(seen)]
    assert capture()["load_average"] is None


def test_what_cannot_be_read_is_neither_fit_nor_unfit():
    assert examine(Machine(cores=2)) == []


def test_jitter_is_the_99th_percentile_over_the_median(monkeypatch):
    """A clock on which 2 of every 100 pieces of work take 5 ms and all others 1 ms."""
    now, readings = [0.0], [0]

    def perf_counter():
        readings[0] += 1
        if readings[0] > 1 and readings[0] % 2 == 1:  # the reading that ends a piece
            now[0] += 5e-3 if (readings[0] // 2) % 100 < 2 else 1e-3
        return now[0]

    monkeypatch.setattr(doctor.time, "perf_counter", perf_counter)
    assert doctor.measure_jitter(1.0) == pytest.approx(5.0)


def test_the_limits_of_a_control_group_and_of_those_around_it(tmp_path, monkeypatch):
    membership, root = tmp_path / "membership", tmp_path / "groups"
    (root / "outer" / "inner").mkdir(parents=True)
    membership.write_text("0::/outer/inner\n")
    monkeypatch.setattr(cgroup, "MEMBERSHIP", membership)
    monkeypatch.setattr(cgroup, "ROOT", root)
    assert (cgroup.cpu_limit(), cgroup.memory_limit_bytes()) == (None, None)
    (root / "outer" / "inner" / "cpu.max").write_text("max 100000\n")
    (root / "outer" / "cpu.max").write_text("150000 100000\n")
    (root / "outer" / "memory.max").write_text("1000000\n")
    assert (cgroup.cpu_limit(), cgroup.memory_limit_bytes()) == (1.5, 1_000_000)


def test_what_a_quota_held_back_is_summed_over_the_group_and_those_around_it(tmp_path, monkeypatch):
    """In microseconds by the second version of control groups, in nanoseconds by the first."""
    membership, root = tmp_path / "membership", tmp_path / "groups"
    (root / "outer" / "inner").mkdir(parents=True)
    (root / "cpu" / "box").mkdir(parents=True)
    monkeypatch.setattr(cgroup, "MEMBERSHIP", membership)
    monkeypatch.setattr(cgroup, "ROOT", root)
    membership.write_text("0::/outer/inner\n")
    (root / "cpu.stat").write_text("usage_usec 9000000\n")  # the outermost group has no quota, and counts none
    assert cgroup.throttled_seconds() is None
    (root / "outer" / "inner" / "cpu.stat").write_text("usage_usec 7\nnr_throttled 3\nthrottled_usec 1250000\n")
    (root / "outer" / "cpu.stat").write_text("usage_usec 8\nnr_throttled 1\nthrottled_usec 500000\n")
    assert cgroup.throttled_seconds() == pytest.approx(1.75)
    membership.write_text("2:cpu,cpuacct:/box\n")
    (root / "cpu" / "box" / "cpu.stat").write_text("nr_periods 10\nnr_throttled 2\nthrottled_time 300000000\n")
    assert cgroup.throttled_seconds() == pytest.approx(0.3)


def test_the_command_prints_a_line_a_finding_and_ends_as_it_found():
    done = subprocess.run(
        [sys.executable, "-m", "paceline.bench", "doctor"], capture_output=True, text=True, check=False,
        cwd=ROOT,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert {line[:6] for line in lines} <= {"OK    ", "WARN  "}
    assert {"cores", "load", "memory", "jitter"} <= {line[6:].split(":")[0] for line in lines}
    assert done.returncode == any(line.startswith("WARN") for line in lines)
    assert done.stderr == ""
