"""What the tests of GPUs share: the stub's numbers, and how to look at it."""

import ctypes
import threading
import time
from dataclasses import asdict

from paceline.bench.probes.gpu_probe import GpuProbe

GIB, MIB = 2**30, 2**20
BARE = "00000000-0000-0000-0000-000000000000"
NEVER = 60.0  # a period that no test waits for: what is seen is then seen by the calls, not by the thread
WATTS = 250.0


def probe_threads():
    return [thread for thread in threading.enumerate() if thread.name == "gpu-probe"]


def calls(library, name):
    return ctypes.c_int.in_dll(library, f"fake_nvml_{name}").value


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
