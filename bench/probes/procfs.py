"""What Linux tells a process of itself: memory, and how long it waited for a core. Elsewhere: None.

Source: proc(5), ``/proc/[pid]/stat``, ``status``, ``clear_refs``, ``smaps_rollup``, ``task/[tid]/schedstat``, and
``/proc/stat``.
"""

import contextlib
import ctypes
import os
from pathlib import Path

import psutil

SELF = Path("/proc/self")
STAT = Path("/proc/stat")

M_MMAP_THRESHOLD = -3  # malloc.h
LEAST_KEPT, MOST_KEPT = 128 * 1024, 32 * 1024 * 1024  # glibc's own limits


def _kilobytes(file: str, key: str, process: Path | None = None) -> int | None:
    """Return the value of ``key`` in a file of ``/proc/self``, or of another ``process``, in bytes."""
    try:
        lines = ((process or SELF) / file).read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), None)


def rss_bytes() -> int | None:
    """Return the resident memory of this process, in bytes, pages shared with others included."""
    return _kilobytes("status", "VmRSS")


def rss_parts_bytes() -> tuple[int | None, int | None, int | None]:
    """Return the resident memory as (anonymous, file-backed, shared), in bytes: what it allocated, loaded, shares."""
    return _kilobytes("status", "RssAnon"), _kilobytes("status", "RssFile"), _kilobytes("status", "RssShmem")


def data_bytes() -> int | None:
    """Return the private memory that this process may write to, in place or not, in bytes: what RLIMIT_DATA counts."""
    return _kilobytes("status", "VmData")


def peak_rss_bytes() -> int | None:
    """Return the largest resident memory since the process began or the last reset, in bytes."""
    return _kilobytes("status", "VmHWM")


def pss_bytes() -> int | None:
    """Return the proportional set size in bytes: each shared page counts 1/n in each of n processes."""
    return _kilobytes("smaps_rollup", "Pss")


def shared_bytes() -> int | None:
    """Return what of the resident memory some other process has in place too, in bytes."""
    clean, dirty = _kilobytes("smaps_rollup", "Shared_Clean"), _kilobytes("smaps_rollup", "Shared_Dirty")
    return None if clean is None or dirty is None else clean + dirty


def family_pss_bytes() -> int | None:
    """Return the proportional set size of this process and of all that it has started, in bytes.

    A page that several of them share is counted once over all, and one shared with others in part.
    """
    mine = [SELF, *(Path("/proc") / str(child.pid) for child in psutil.Process().children(recursive=True))]
    sizes = [_kilobytes("smaps_rollup", "Pss", process) for process in mine]
    known = [size for size in sizes if size is not None]  # one may have ended meanwhile
    return None if sizes[0] is None else sum(known)


def reset_peak_rss() -> bool:
    """Make the present resident memory the new peak; return whether the kernel let us."""
    try:
        (SELF / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def release_freed_memory() -> None:
    """Give memory that was freed, but is kept by the C library for reuse, back to the kernel (glibc only)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_freed_memory(up_to_bytes: int) -> None:
    """Tell the C library to serve blocks below ``up_to_bytes`` from memory it keeps, larger ones apart (glibc only).

    A block served apart is given back to the kernel as soon as it is freed; one from kept memory leaves the
    process larger. Left alone, glibc starts at 128 KiB and raises the limit with each larger block freed, up to
    32 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, up_to_bytes)


def runqueue_waits() -> dict[str, float] | None:
    """Return how long each thread of this process, by its id, was ready to run but had no core, in seconds."""
    waits = {}
    for file in SELF.glob("task/*/schedstat"):
        with contextlib.suppress(OSError, IndexError):  # a thread that has just ended; a kernel that keeps no count
            waits[file.parent.name] = int(file.read_text().split()[1]) * 1e-9
    return waits or None


def pages_from_disk() -> int | None:
    """Return how many pages this process has waited for until a disk gave them: of mapped files, or swapped out."""
    try:
        after_name = (SELF / "stat").read_text().rpartition(")")[2]  # the name may hold anything
        return int(after_name.split()[9])  # majflt
    except (OSError, ValueError, IndexError):
        return None


def steal_seconds() -> float | None:
    """Return for how long a hypervisor ran others on this machine's cores since it started, summed, in seconds.

    It is counted in ticks (10 ms as a rule) and for the whole machine, not for this process.
    """
    try:
        with STAT.open() as file:
            name, *ticks = file.readline().split()
        return int(ticks[7]) / os.sysconf("SC_CLK_TCK") if name == "cpu" else None
    except (OSError, ValueError, IndexError):
        return None


def busy_seconds() -> float | None:
    """Return for how long the cores that this process may use have run anything since the machine started, summed.

    In seconds, counted in ticks (10 ms as a rule), whoever it was that ran.
    """
    try:
        mine = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        lines = [line.split() for line in STAT.read_text().splitlines()]
        # user, nice, system, then (idle and iowait are not busy) irq and softirq; guests are in the first two
        ticks = [sum(map(int, fields[1:4] + fields[6:8])) for fields in lines if fields and fields[0] in mine]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
    except (OSError, ValueError, AttributeError):  # the last: a system without affinity
        return None
