"""Say, before a long run, whether this machine is fit to measure on, and what to do where it is not.

The checks take readings and return findings; ``read_machine`` alone looks at the machine.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from paceline.bench.probes.cgroup import cpu_limit, memory_limit_bytes
from paceline.bench.probes.cores import affinity, cores, cores_of_a_trial, physical_cores
from paceline.bench.probes.gpus import Gpu, gpus
from paceline.bench.records.contamination import SLOWDOWNS

LARGEST_LOAD = 0.25  # of the cores: a machine at rest has less, even minutes after some work
LEAST_FREE_BYTES = 2 * 1024**3  # a rank that has torch loaded takes 0.3 GB before it trains anything
LARGEST_JITTER = 1.5  # 99th percentile over median of equal pieces of work: 1.1 to 1.3 on an idle machine
JITTER_SECONDS = 1.0

# Settings that hold a GPU's clock down steadily; see ``records.contamination.SLOWDOWNS`` for what does so at times.
HELD_DOWN = {0x2: "clocks are fixed by an application setting"} | SLOWDOWNS


@dataclass(frozen=True)
class Machine:
    """What one look at the machine showed. None stands for "cannot be read here".

    Attributes:
        cores: that this process may run on, two hyper-threads of one counted as two.
        physical_cores: that these belong to.
        usable_cores: that Paceline keeps busy at most.
        cores_of_a_trial: that a trial takes where nobody says otherwise: fewer if ``OMP_NUM_THREADS`` says so.
        load: average number of processes that ran or waited over the last minute.
        governors: of the cores' clocks, each named once.
        available_bytes: memory that can be had without swapping.
        swapped_bytes: what has been swapped out by now.
        cpu_limit: cores' worth of time that the control group allows; None is no limit.
        memory_limit_bytes: likewise of memory.
        clock: the kernel's clock source.
        jitter: 99th percentile over median of equal pieces of work.
        gpus: as NVML describes them.
    """

    cores: int
    physical_cores: int | None = None
    usable_cores: int | None = None
    cores_of_a_trial: int | None = None
    load: float | None = None
    governors: tuple[str, ...] = ()
    available_bytes: int | None = None
    swapped_bytes: int | None = None
    cpu_limit: float | None = None
    memory_limit_bytes: int | None = None
    clock: str | None = None
    jitter: float | None = None
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: what was looked at, what was seen, and what to do if it is not ``fit``."""

    what: str
    fit: bool
    seen: str
    advice: str = ""

    def __str__(self) -> str:
        """Return the line."""
        advice = "" if self.fit else f": {self.advice}"
        return f"{'OK  ' if self.fit else 'WARN'}  {self.what}: {self.seen}{advice}"


def examine(machine: Machine) -> list[Finding]:
    """Return the findings on ``machine``, in a fixed order; what cannot be read is left out."""
    checks: list[Callable[[Machine], list[Finding]]] = [
        check_cores, check_load, check_governor, check_memory, check_swap, check_limits, check_clock, check_jitter,
        check_gpus,
    ]  # fmt: skip
    return [finding for check in checks for finding in check(machine)]


def check_cores(machine: Machine) -> list[Finding]:
    """What a trial takes of the cores, and why no more; none of it is a fault."""
    if machine.cores_of_a_trial is None or machine.usable_cores is None:
        return []
    reasons, physical = [], machine.physical_cores or machine.cores
    if physical < machine.cores:
        reasons.append(f"{physical} are physical, and two hyper-threads of one share its arithmetic")
    if machine.cpu_limit is not None and machine.cpu_limit < physical:
        reasons.append(f"the control group gives time for {machine.cpu_limit:g}")
    if machine.cores_of_a_trial < machine.usable_cores:
        reasons.append("OMP_NUM_THREADS says so")
    seen = f"trials take {machine.cores_of_a_trial} of {machine.cores}"
    return [Finding("cores", True, f"{seen}: {'; '.join(reasons)}" if reasons else seen)]


def check_load(machine: Machine) -> list[Finding]:
    """Others' work takes cores from the trials."""
    if machine.load is None:
        return []
    seen = f"load average {machine.load:.2f} on {machine.cores} cores"
    fit = machine.load <= LARGEST_LOAD * machine.cores
    return [Finding("load", fit, seen, "wait for other work to end, or stop it (top shows it)")]


def check_governor(machine: Machine) -> list[Finding]:
    """A governor that follows the load makes the first steps of each trial slow."""
    if not machine.governors:
        return []
    fit = machine.governors == ("performance",)
    return [Finding("governor", fit, ", ".join(machine.governors), "cpupower frequency-set -g performance (as root)")]


def check_memory(machine: Machine) -> list[Finding]:
    """Without free memory a trial swaps or is killed."""
    if machine.available_bytes is None:
        return []
    seen = f"{machine.available_bytes / 1e9:.1f} GB available"
    fit = machine.available_bytes >= LEAST_FREE_BYTES
    return [Finding("memory", fit, seen, f"free some: at least {LEAST_FREE_BYTES / 1e9:.1f} GB")]


def check_swap(machine: Machine) -> list[Finding]:
    """Swapped pages come back in the middle of a trial."""
    if machine.swapped_bytes is None:
        return []
    seen = f"{machine.swapped_bytes / 1e9:.1f} GB swapped out"
    return [Finding("swap", machine.swapped_bytes == 0, seen, "free memory, then swapoff -a && swapon -a (as root)")]


def check_limits(machine: Machine) -> list[Finding]:
    """Threads beyond what a control group allows are stopped for the rest of each period: trials take fewer.

    Of less than one core's time even a single thread is stopped.
    """
    found = []
    if machine.cpu_limit is not None:
        seen = f"{machine.cpu_limit:g} cores' worth of time on {machine.cores} cores"
        if machine.cores_of_a_trial is not None:
            seen += f": trials take {machine.cores_of_a_trial}"
        advice = "raise it to 1 at least: even one thread is held back for a part of the time"
        found.append(Finding("CPU limit of the control group", machine.cpu_limit >= 1, seen, advice))
    if machine.memory_limit_bytes is not None:
        seen = f"{machine.memory_limit_bytes / 1e9:.1f} GB"
        fit = machine.memory_limit_bytes >= LEAST_FREE_BYTES
        found.append(Finding("memory limit of the control group", fit, seen, "raise it"))
    return found


def check_clock(machine: Machine) -> list[Finding]:
    """Some clocks are read by a system call, which takes longer than a small step may."""
    if machine.clock is None:
        return []
    fit = machine.clock not in ("hpet", "acpi_pm", "jiffies")
    advice = "boot with clocksource=tsc, or have the hypervisor offer a stable one"
    return [Finding("clock source", fit, machine.clock, advice)]


def check_jitter(machine: Machine) -> list[Finding]:
    """Equal pieces of work should take equally long: this sees what the other checks do not know of."""
    if machine.jitter is None:
        return []
    seen = f"99th percentile of equal pieces of work is {machine.jitter:.2f} x their median"
    advice = f"expect at most {LARGEST_JITTER:g} x: something else uses this machine, or its host"
    return [Finding("jitter", machine.jitter <= LARGEST_JITTER, seen, advice)]


def check_gpus(machine: Machine) -> list[Finding]:
    """A GPU that is shared or held down gives numbers of its neighbours or of its cooling."""
    found = []
    for number, gpu in enumerate(machine.gpus):
        what = f"GPU {number} {gpu.name}".strip()
        if gpu.processes is not None:
            advice = "end them, or choose another GPU with CUDA_VISIBLE_DEVICES (nvidia-smi shows them)"
            found.append(Finding(f"{what}, shared", gpu.processes == 0, f"{gpu.processes} processes on it", advice))
        if gpu.clock_event_reasons is not None:
            reasons = [text for bit, text in HELD_DOWN.items() if gpu.clock_event_reasons & bit]
            advice = "let it cool, check its power supply, or nvidia-smi -rac (as root)"
            found.append(Finding(f"{what}, clock", not reasons, ", ".join(reasons) or "not held down", advice))
    return found


def read_machine() -> Machine:
    """Look at this machine; takes ``JITTER_SECONDS``. The load is read first, before that adds to it."""
    load = load_average()
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    clock = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    return Machine(
        cores=len(affinity()),
        physical_cores=physical_cores(),
        usable_cores=cores(),
        cores_of_a_trial=cores_of_a_trial(),
        load=load[0] if load else None,
        governors=governors(),
        available_bytes=memory.available,
        swapped_bytes=swap.used,
        cpu_limit=cpu_limit(),
        memory_limit_bytes=memory_limit_bytes(),
        clock=clock.read_text().strip() if clock.exists() else None,
        jitter=measure_jitter(JITTER_SECONDS),
        gpus=tuple(gpus()[0]),
    )


def load_average() -> list[float] | None:
    """Return how many processes ran or waited over the last 1, 5 and 15 minutes; None where the system does not say."""
    try:
        return list(os.getloadavg())
    except (AttributeError, OSError):  # Windows has none
        return None


def governors() -> tuple[str, ...]:
    """Return the governors of the cores' clocks, each once; none where the system does not say."""
    files = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return tuple(sorted({file.read_text().strip() for file in files}))


def measure_jitter(seconds: float) -> float:
    """Do equal pieces of work of about a millisecond for ``seconds``; return 99th percentile over median."""
    durations: list[float] = []
    ends = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends or len(durations) < 2:
        sum(range(40_000))
        durations.append(time.perf_counter() - began)
    return statistics.quantiles(durations, n=100, method="inclusive")[98] / statistics.median(durations)
