"""What the control group of this process allows: a container's limits, which the number of cores does not show.

Source: Documentation/admin-guide/cgroup-v2.rst (cpu.max, cpu.stat, memory.max), cgroup-v1 and
scheduler/sched-bwc.rst (throttled_time) of the Linux kernel.
"""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cpu_limit() -> float | None:
    """Return how many cores' worth of time the group may use; None where there is no limit or no telling."""
    found = []
    for group in _groups(""):
        quota, _, period = _text(group / "cpu.max").partition(" ")
        if quota.isdigit():
            found.append(int(quota) / int(period))
    for group in _groups("cpu"):
        quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():  # -1 is no limit
            found.append(int(quota) / int(period))
    return min(found, default=None)


def memory_limit_bytes() -> int | None:
    """Return how much memory the group may use, in bytes; None where there is no limit or no telling."""
    texts = [_text(group / "memory.max") for group in _groups("")]
    texts += [_text(group / "memory.limit_in_bytes") for group in _groups("memory")]
    # The first version says "no limit" by a number near 2**63.
    return min((int(text) for text in texts if text.isdigit() and int(text) < 2**60), default=None)


def throttled_seconds() -> float | None:
    """Return for how long a quota has held back the group or one of those around it since it was made, in seconds.

    It is summed over the cores that had work to do, and counts all processes of the group. None where no group counts.
    """
    found = [_counted(group / "cpu.stat", "throttled_usec", 1e-6) for group in _groups("")]
    found += [_counted(group / "cpu.stat", "throttled_time", 1e-9) for group in _groups("cpu")]
    known = [seconds for seconds in found if seconds is not None]
    return sum(known) if known else None  # each group counts its own quota only


def _counted(path: Path, name: str, unit: float) -> float | None:
    """Return the value of ``name`` among the lines "name value" of a file, times ``unit``."""
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value) * unit
    return None


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's group and of those around it; "" is the second version's."""
    for line in _text(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            # Inside a container the path may be the host's, and the folder that of the container.
            top = ROOT / controller
            own = top / path.lstrip("/")
            yield own
            yield from (folder for folder in own.parents if folder == top or top in folder.parents)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
