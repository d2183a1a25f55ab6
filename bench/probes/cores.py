"""How many cores a trial may use: fewer than the machine has, in a container, with hyper-threads, or by request."""

import os
from functools import cache
from pathlib import Path

import psutil

from paceline.bench.probes.cgroup import cpu_limit

TOPOLOGY = Path("/sys/devices/system/cpu")


def cores() -> int:
    """Return how many cores this process may keep busy, at least 1.

    The physical cores that it may run on: two hyper-threads of one core share its arithmetic, and torch's own default
    leaves the second idle too. No more than a control group's quota of CPU time gives, rounded down, for threads
    beyond it are held back.
    """
    quota = cpu_limit()
    return max(1, min(physical_cores(), len(affinity()) if quota is None else int(quota)))


def cores_of_a_trial() -> int:
    """Return how many cores a trial takes where nobody says: all, or as many as ``OMP_NUM_THREADS``, if it is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]  # "4,2" is for nested regions: the outer one counts
    return min(cores(), int(asked)) if asked.isdigit() and int(asked) > 0 else cores()


def affinity() -> frozenset[int]:
    """Return the numbers of the logical cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def physical_cores() -> int:
    """Return how many physical cores the logical ones belong to that this process may run on."""
    return _physical(affinity())


@cache  # a machine's topology stays what it is
def _physical(allowed: frozenset[int]) -> int:
    """Return how many physical cores the logical ones in ``allowed`` belong to."""
    groups = {_siblings(number) for number in allowed}
    if "" not in groups:
        return len(groups)
    # Not Linux, or a kernel that does not say: what is known of the whole machine.
    return min(len(allowed), psutil.cpu_count(logical=False) or len(allowed))


def _siblings(number: int) -> str:
    """Return the logical cores that share a physical one with ``number``, as the kernel lists them; "" if unknown."""
    try:
        return (TOPOLOGY / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip()
    except OSError:
        return ""
