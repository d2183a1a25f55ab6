"""What a rank measures of itself. The GPU's side runs on planted numbers: there is none here."""

import json
import mmap
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from types import SimpleNamespace

import psutil
import pytest
import torch
import torch.distributed as dist

from paceline.bench import Workload, run_trial
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.measure import measure
from paceline.bench.harness.trial import Trial
from paceline.bench.probes import procfs, rapl
from paceline.bench.probes.gpu_probe import GpuReadings
from paceline.bench.probes.rank_probes import Probes
from paceline.bench.probes.windowed_counts import WindowedCount
from paceline.bench.records.quantities import peak_union_bytes
from paceline.trainers import Ddp, MiniBatch
from tests.planted import a_record
from tests.problems import GAUSSIANS


def test_the_peak_of_memory_is_seen_and_reset():
    procfs.reset_peak_rss()
    before = procfs.peak_rss_bytes()
    burst = torch.ones(25_000_000)
    del burst
    assert 90e6 < procfs.peak_rss_bytes() - before < 130e6
    procfs.release_freed_memory()
    procfs.reset_peak_rss()
    assert procfs.peak_rss_bytes() - before < 30e6


def test_a_union_of_forked_ranks_is_what_each_has_alone_and_once_what_they_share():
    """A server holds 100 MB; two ranks forked from it add 30 MB each. That the server has them too changes nothing."""
    program = """
import json, os
from paceline.bench.probes import procfs, rapl
served = bytearray(os.urandom(1)) * 100_000_000
before = procfs.rss_bytes()
pipes = [os.pipe() for _ in range(4)]  # two tell that they are there, two wait until both were
for rank in range(2):
    if os.fork() == 0:
        own = bytearray(os.urandom(1)) * 30_000_000
        os.write(pipes[rank][1], b"x")
        os.read(pipes[2 + rank][0], 1)
        found = {"peak_rss_bytes": procfs.rss_bytes(), "rss_bytes": procfs.rss_bytes()}
        found |= {"pss_bytes": procfs.pss_bytes(), "shared_bytes": procfs.shared_bytes()}
        os.write(1, (json.dumps(found) + chr(10)).encode())
        os.write(pipes[rank][1], b"x")
        os.read(pipes[2 + rank][0], 1)
        os._exit(0)
for _ in range(2):
    for rank in range(2):
        os.read(pipes[rank][0], 1)
    for rank in range(2):
        os.write(pipes[2 + rank][1], b"x")
print(json.dumps(before), flush=True)
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    *ranks, before = sorted(map(json.loads, printed.splitlines()), key=lambda told: isinstance(told, int))
    truly = before + 2 * 30e6
    assert peak_union_bytes(a_record(world_size=2, ranks=ranks)) == pytest.approx(truly, rel=0.05)
    told_by_share = [{name: value for name, value in rank.items() if name != "shared_bytes"} for rank in ranks]
    assert peak_union_bytes(a_record(world_size=2, ranks=told_by_share)) == pytest.approx(truly, rel=0.05)
    assert sum(rank["pss_bytes"] for rank in ranks) < 0.85 * truly  # the server takes a part of each page


@pytest.mark.times
def test_waiting_for_a_core_is_counted():
    """Three processes on one core: each waits about two thirds of the time."""
    program = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from paceline.bench.probes import procfs, rapl
os.fork() and os.fork()  # one parent, two children
waited = lambda: sum(procfs.runqueue_waits().values())
before, began = waited(), time.perf_counter()
while time.perf_counter() - began < 0.6:
    pass
share = (waited() - before) / (time.perf_counter() - began)
os.write(1, f"{share}\\n".encode())
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    shares = [float(line) for line in printed.split()]
    assert len(shares) == 3
    assert sum(shares) / 3 > 0.4


@pytest.mark.times
def test_what_others_take_of_the_cores_is_told_from_what_this_process_takes():
    """Two processes on one core for 0.6 s: to each the other is busy for about half of it."""
    program = """
import os, time
core = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {core})
from paceline.bench.probes import procfs, rapl
os.fork()
before, own, began = procfs.busy_seconds(), time.process_time(), time.perf_counter()
while time.perf_counter() - began < 0.6:
    pass
busy, own = procfs.busy_seconds() - before, time.process_time() - own
os.write(1, f"{busy} {own}\\n".encode())
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    seen = [tuple(map(float, line.split())) for line in printed.splitlines()]
    assert len(seen) == 2
    for busy, own in seen:
        assert busy == pytest.approx(0.6, abs=0.1)  # of this one core, not of all
        assert 0.1 < busy - own < 0.5


class FakeGpuProbe:
    """Tells planted readings, and keeps what it was told to do."""

    readings = GpuReadings(
        process_peak_bytes=700, device_peak_bytes=900, device_baseline_bytes=100, energy_joules=50.0,
        energy_window_seconds=2.0, power_limit_watts=300.0, samples=9, unmeasured={},
        longest_gap_seconds=0.06, beyond_torch={"context": 300, "communication": 450, "peak": 500},
        other_processes=1, others_share=0.25,
    )  # fmt: skip

    def __init__(self, uuid, pid, reserved, spare):
        self.calls = [f"probe {uuid} {pid}"]
        self.reserved, self.spare = reserved, spare
        FakeGpuProbe.last = self

    def stop(self):
        self.calls.append("stop")
        return self.readings

    def mark(self, name):
        self.calls.append(f"mark {name}")

    def __getattr__(self, name):
        return lambda: self.calls.append(name)


class FakeCuda:
    """A GPU and torch's allocator: what is freed stays reserved, until the cache is emptied."""

    def __init__(self):
        self.allocated, self.reserved, self.peaks, self.emptied = 0, 0, {"allocated": 0, "reserved": 0}, 0

    def uses(self, held, peak):
        """So many bytes are needed at once for a while; then some of them go on to be held."""
        self.reserved = max(self.reserved, peak)
        self.allocated = held
        self.peaks = {
            "allocated": max(self.peaks["allocated"], peak),
            "reserved": max(self.reserved, self.peaks["reserved"]),
        }

    def get_device_properties(self, device):
        return SimpleNamespace(uuid="abc")

    def is_initialized(self):
        return False

    def synchronize(self, device):
        pass

    def empty_cache(self):
        self.reserved, self.emptied = self.allocated, self.emptied + 1

    def memory_allocated(self, device):
        return self.allocated

    def memory_reserved(self, device):
        return self.reserved

    def max_memory_allocated(self, device):
        return self.peaks["allocated"]

    def max_memory_reserved(self, device):
        return self.peaks["reserved"]

    def reset_peak_memory_stats(self, device):
        self.peaks = {"allocated": self.allocated, "reserved": self.reserved}


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that nothing uses yet."""
    fake = FakeCuda()
    monkeypatch.setattr("paceline.bench.probes.rank_probes.torch.cuda", fake)
    monkeypatch.setattr("paceline.bench.probes.rank_probes.GpuProbe", FakeGpuProbe)
    return fake


def run_probes(gpu):
    """Data of 30 bytes; steps that need 80 more, of which the first took 500 for a search; evaluations of 6000."""
    probes = Probes(torch.device("cuda", 0))
    gpu.uses(held=30, peak=30)
    probes.mark("context")
    probes.mark("communication")
    gpu.uses(held=30, peak=30 + 500)
    probes.steps_follow()
    gpu.uses(held=30, peak=30 + 80)
    probes.evaluation_follows()
    gpu.uses(held=30, peak=30 + 6000)
    probes.reset()
    gpu.uses(held=30, peak=30 + 80)
    probes.pause()
    gpu.uses(held=30, peak=30 + 6000)
    probes.resume()
    gpu.uses(held=30, peak=30 + 60)
    probes.pause()
    return probes.finish()


class TestGpu:
    def test_readings_reach_the_record(self, gpu):
        seen, unmeasured = run_probes(gpu)
        assert (seen["peak_device_bytes"], seen["peak_device_source"]) == (700, "nvml_process")
        assert (seen["start_allocated_bytes"], seen["peak_allocated_bytes"], seen["peak_reserved_bytes"]) == (
            30,
            110,
            110,
        )
        assert seen["energy_joules"] == 50.0
        assert seen["nvml_longest_gap_seconds"] == 0.06
        assert not {"peak_device_bytes", "energy_joules", "peak_allocated_bytes"} & unmeasured.keys()

    def test_evaluation_is_kept_from_the_sampler(self, gpu):
        run_probes(gpu)
        calls = [call for call in FakeGpuProbe.last.calls if call != f"probe abc {os.getpid()}"]
        assert calls == [
            "start",
            "mark context",
            "mark communication",
            "reset_peak",
            "resume",
            "pause",
            "resume",
            "pause",
            "stop",
        ]

    def test_a_driver_that_tells_nothing_leaves_torchs_own_count(self, gpu, monkeypatch):
        silent = GpuReadings(
            None,
            None,
            None,
            None,
            None,
            None,
            0,
            {"process_peak_bytes": "NVMLError_NotSupported", "other_processes": "none listed"},
        )
        monkeypatch.setattr(FakeGpuProbe, "readings", silent)
        seen, unmeasured = run_probes(gpu)
        assert (seen["peak_device_bytes"], seen["peak_device_source"]) == (110, "torch_max_reserved")
        assert "NotSupported" in unmeasured["process_peak_bytes"]
        assert unmeasured["gpu_other_processes"] == "none listed"
        assert not [name for name in seen if "beyond" in name]
        assert "group of ranks" in unmeasured["communication_bytes"]

    def test_the_sampler_is_told_what_torch_has_reserved_and_its_marks_reach_the_record(self, gpu):
        seen, unmeasured = run_probes(gpu)
        assert FakeGpuProbe.last.reserved() == 6030
        told = {name.removeprefix("beyond_torch_"): value for name, value in seen.items() if "beyond" in name}
        assert told == {"context_bytes": 300, "communication_bytes": 450, "peak_bytes": 500}
        assert "communication_bytes" not in unmeasured

    def test_what_cublas_works_in_is_what_torch_gets_back_of_it(self, gpu, monkeypatch):
        def clear():
            gpu.allocated -= 12

        monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", clear, raising=False)
        assert run_probes(gpu)[0]["workspaces_bytes"] == 12

    def test_a_torch_that_keeps_them_says_so(self, gpu, monkeypatch):
        monkeypatch.delattr(torch._C, "_cuda_clearCublasWorkspaces", raising=False)
        seen, unmeasured = run_probes(gpu)
        assert "workspaces_bytes" not in seen
        assert "cuBLAS" in unmeasured["workspaces_bytes"]

    def test_evaluation_sets_no_peak_and_leaves_nothing_to_be_asked_for_anew_on_the_clock(self, gpu):
        """What it cached stays where the next steps find it. Only the warm-up's search for kernels is given back."""
        seen, _ = run_probes(gpu)
        assert gpu.emptied == 1
        assert seen["peak_reserved_bytes"] == 30 + 80
        assert FakeGpuProbe.last.spare() == 6000 - 80

    def test_what_training_takes_on_top_of_what_warm_up_showed_counts(self, gpu):
        """From what evaluation left, and beyond it: a batch that grew."""
        probes = Probes(torch.device("cuda", 0))
        gpu.uses(held=30, peak=110)
        probes.evaluation_follows()
        gpu.uses(held=30, peak=500)
        probes.reset()
        gpu.uses(held=30, peak=300)
        probes.pause()
        assert probes.finish()[0]["peak_reserved_bytes"] == 300
        probes.resume()
        gpu.uses(held=30, peak=900)
        probes.pause()
        assert 300 + 900 - 500 <= probes.finish()[0]["peak_reserved_bytes"] == 900

    def test_a_trainer_without_a_step_to_warm_up_by_owns_all_there_is(self, gpu):
        probes = Probes(torch.device("cuda", 0))
        gpu.uses(held=30, peak=30)
        probes.reset()
        gpu.uses(held=30, peak=70)
        probes.pause()
        assert probes.finish()[0]["peak_reserved_bytes"] == 70

    def test_which_gpu_it_was_and_who_else_was_there_reach_the_record(self, gpu):
        seen, _ = run_probes(gpu)
        assert (seen["gpu_uuid"], seen["gpu_other_processes"], seen["gpu_others_share"]) == ("abc", 1, 0.25)


def test_a_system_that_keeps_no_counts_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(procfs, "SELF", tmp_path / "nothing")
    probes = Probes(torch.device("cpu"))
    probes.reset()
    probes.pause()
    seen, unmeasured = probes.finish()
    assert "peak_rss_bytes" not in seen
    assert "runqueue_wait_seconds" not in seen
    assert "clear_refs" in unmeasured["peak_rss_bytes"]
    assert "schedstat" in unmeasured["runqueue_wait_seconds"]
    assert "pages_from_disk" not in seen
    assert "/proc/self/stat" in unmeasured["pages_from_disk"]


def test_a_quota_is_counted_while_it_holds_back_training_and_not_between_windows(monkeypatch):
    """The counter goes on during warm-up (to 1 s), training (0.25 s and 0.5 s) and evaluation (2 s)."""
    counter = iter([1.0, 1.25, 3.25, 3.75])
    monkeypatch.setattr("paceline.bench.probes.cgroup.throttled_seconds", lambda: next(counter))
    probes = Probes(torch.device("cpu"))
    probes.reset()
    for after in (probes.pause, probes.resume, probes.pause):
        after()
    seen, unmeasured = probes.finish()
    assert seen["throttled_seconds"] == 0.75
    assert "throttled_seconds" not in unmeasured


def test_pages_that_come_from_a_disk_are_counted_while_training_and_not_between_windows(tmp_path):
    """A mapped file that is not in memory: each page comes as it is touched, 300 in training, 200 in evaluation."""
    around = [part for part in psutil.disk_partitions(all=True) if tmp_path.is_relative_to(part.mountpoint)]
    if max(around, key=lambda part: len(part.mountpoint)).fstype in ("tmpfs", "ramfs"):
        pytest.skip("the folder of temporary files is in memory: no page of it comes from a disk")
    file, page = tmp_path / "pages", mmap.PAGESIZE
    with file.open("wb") as written:
        written.write(os.urandom(500 * page))
        written.flush()
        os.fsync(written.fileno())
        os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with file.open("rb") as read, mmap.mmap(read.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        mapped.madvise(mmap.MADV_RANDOM)
        probes = Probes(torch.device("cpu"))
        probes.reset()
        touched = [mapped[number * page] for number in range(300)]
        probes.pause()
        touched += [mapped[number * page] for number in range(300, 500)]
        probes.resume()
        probes.pause()
        assert len(touched) == 500
    seen, _ = probes.finish()
    assert 300 <= seen["pages_from_disk"] < 350  # code that is touched for the first time may come from a disk too


def test_a_thread_that_ends_takes_nothing_away_from_what_the_others_waited():
    """Three threads wait 1 s each before training; one ends within it, one begins and waits 0.25 s."""
    readings = iter([{"1": 1.0, "2": 1.0, "3": 1.0}, {"1": 1.5, "2": 1.125, "4": 0.25}])
    count = WindowedCount("waits", lambda: next(readings))
    count.begin()
    count.end()
    assert count.total == 0.5 + 0.125 + 0.25


def test_what_building_the_model_took_is_no_training(monkeypatch):
    """The counter goes on during building (to 5 s) and training (0.25 s)."""
    counter = iter([1.0, 5.0, 5.25])
    monkeypatch.setattr("paceline.bench.probes.cgroup.throttled_seconds", lambda: next(counter))
    probes = Probes(torch.device("cpu"))
    probes.reset()
    probes.built()
    probes.pause()
    assert probes.finish()[0]["throttled_seconds"] == 0.25


def test_a_model_that_takes_long_to_build_takes_no_cpu_time_of_training():
    """Half a second of work in the factory, and three small steps."""

    def slow_to_build():
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        return GAUSSIANS.model()

    record = run_trial(Trial(replace(GAUSSIANS, model=slow_to_build), MiniBatch(), threads=1, steps=3))
    (rank,) = record.ranks
    assert rank["build_seconds"] >= 0.5
    assert rank["cpu_seconds"] < 0.25


def test_where_no_group_counts_what_a_quota_holds_back_it_is_said(monkeypatch):
    monkeypatch.setattr("paceline.bench.probes.cgroup.throttled_seconds", lambda: None)
    probes = Probes(torch.device("cpu"))
    probes.reset()
    probes.pause()
    seen, unmeasured = probes.finish()
    assert "throttled_seconds" not in seen
    assert "quota" in unmeasured["throttled_seconds"]


def test_the_packages_energy_is_read_around_each_window_and_a_trial_too_short_for_it_says_so(monkeypatch):
    """The counter takes 30 W in training, and 1000 J in each evaluation."""
    took = [0.0]
    monkeypatch.setattr(rapl.Packages, "joules", lambda self: took[0])

    def run(*windows):
        probes = Probes(torch.device("cpu"))
        probes.reset()
        for seconds in windows:
            time.sleep(seconds)
            took[0] += 30 * seconds
            probes.pause()
            took[0] += 1000
            probes.resume()
        probes.pause()
        return probes.finish()

    seen, unmeasured = run(0.03, 0.03, 0.03)
    assert seen["package_joules"] == pytest.approx(30 * 0.09)
    assert 0.09 <= seen["package_window_seconds"] < 1
    assert "energy_joules" not in unmeasured
    monkeypatch.setattr(rapl, "SHORTEST_WINDOW", 60.0)
    seen, unmeasured = run(0.001, 0.001)
    assert "package_joules" not in seen
    assert "too short" in unmeasured["energy_joules"]


def test_no_thread_is_started_on_the_cpu():
    before = threading.active_count()
    Probes(torch.device("cpu")).reset()
    time.sleep(0.01)
    assert threading.active_count() == before


def test_what_training_needs_is_noted_after_steps_that_search_for_nothing_and_before_the_evaluation(
    monkeypatch, tmp_path
):
    """The order on which the accounts of a GPU's memory rest."""
    happened = []

    def noted(name):
        return lambda *_: happened.append(name)

    @dataclass(frozen=True)
    class Noted(MiniBatch):
        def __call__(self, task):
            for step in super().__call__(task):
                happened.append("step")
                yield step

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("steps_follow", "evaluation_follows", "reset", "built"):
        monkeypatch.setattr(Probes, name, noted(name))
    monkeypatch.setattr(Workload, "evaluate", lambda *_, **__: happened.append("evaluation") or 0.5)
    data_file, _ = DATA_FILES.prepare(GAUSSIANS)
    threads = torch.get_num_threads()
    try:
        measure(Trial(GAUSSIANS, Noted(), threads=1, steps=2), data_file, 0, str(tmp_path), send=lambda message: None)
    finally:
        torch.set_num_threads(threads)
    assert happened[:2] == ["step", "step"]
    expected = ["steps_follow", "step", "evaluation_follows", "evaluation", "reset", "built", "step", "evaluation"]
    assert [name for name, before in zip(happened[2:], happened[1:], strict=False) if name != before][:8] == expected


def test_the_marks_lie_before_and_after_the_ranks_have_met(monkeypatch, tmp_path):
    """What the first collective takes must lie between them: it is NCCL's."""
    marks, met = [], []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setattr(Probes, "mark", lambda self, what: marks.append((what, dist.is_initialized(), len(met))))
    monkeypatch.setattr("paceline.bench.harness.ranks.Ranks.meet", lambda self: met.append(self))
    data_file, _ = DATA_FILES.prepare(GAUSSIANS)
    threads = torch.get_num_threads()
    try:
        for trainer in (MiniBatch(), Ddp()):
            trial = Trial(GAUSSIANS, trainer, threads=1, steps=2)
            measure(trial, data_file, 0, str(tmp_path / "rendezvous"), send=lambda message: None)
    finally:
        torch.set_num_threads(threads)
    assert [mark[:2] for mark in marks] == [("context", False), ("context", False), ("communication", True)]
    assert marks[2][2] - marks[1][2] == 1
