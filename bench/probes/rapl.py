"""The energy counter of the CPU's packages, where this process may read it; never an estimate.

It counts for the whole machine, not for a process. Since 2020 it is readable by root alone on most systems, and
virtual machines have none.

Source: the kernel's powercap interface, Documentation/power/powercap/powercap.rst; CVE-2020-8694 for who may read it.
"""

from collections.abc import Mapping
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
SHORTEST_WINDOW = 1.0  # seconds: below it what other processes do weighs as much as the trial
UNREADABLE = "no energy counter of the CPU that this process may read (RAPL, /sys/class/powercap)"


def counters() -> dict[str, tuple[int, int]] | None:
    """Return each package's counter in microjoules, and where it wraps; None where there is none to be read."""
    found = {}
    # intel-rapl:0 is a package (AMD's too); intel-rapl:0:0 is a part of it, which would count twice.
    for domain in sorted(POWERCAP.glob("intel-rapl:*")):
        if domain.name.count(":") == 1:
            try:
                readings = [int((domain / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")]
            except (OSError, ValueError):
                return None  # a part of the packages is no measure of the machine
            found[domain.name] = readings[0], readings[1]
    return found or None


def joules(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> float:
    """Return the energy between two readings, in joules; a counter may have wrapped once."""
    total = 0
    for name, (start, wraps_at) in before.items():
        end = after[name][0]
        total += end - start if end >= start else end - start + wraps_at
    return total * 1e-6
