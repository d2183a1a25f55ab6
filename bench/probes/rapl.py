"""The energy counter of the CPU's packages, where this process may read it; never an estimate.

It counts for the whole machine, not for a process. Since 2020 it is readable by root alone on most systems, and
virtual machines have none.

Source: the kernel's powercap interface, Documentation/power/powercap/powercap.rst; CVE-2020-8694 for who may read it.
"""

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
SHORTEST_WINDOW = 0.02  # seconds; the counter moves every millisecond
UNREADABLE = "no energy counter of the CPU that this process may read (RAPL, /sys/class/powercap)"


class Packages:
    """What the CPU's packages have taken since the first reading.

    A counter wraps, on a large processor within minutes: it is to be read more often than that.
    """

    def __init__(self) -> None:
        """Read nothing yet."""
        self._last: dict[str, int] = {}  # microjoules, of each package
        self._joules = 0.0

    def joules(self) -> float | None:
        """Return the joules since the first call; None where there is no counter to be read."""
        now = counters()
        if now is None:
            return None
        for name, (microjoules, wraps_at) in now.items():
            since = microjoules - self._last.get(name, microjoules)
            self._joules += (since if since >= 0 else since + wraps_at) * 1e-6
            self._last[name] = microjoules
        return self._joules


def counters() -> dict[str, tuple[int, int]] | None:
    """Return each package's counter in microjoules, and where it wraps; None where there is none to be read."""
    found = {}
    # intel-rapl:0 may be a package (AMD's too); intel-rapl:0:0 is a part of one, which would count twice. So would
    # the platform, "psys", of which the packages are parts.
    for domain in sorted(POWERCAP.glob("intel-rapl:*")):
        if domain.name.count(":") == 1:
            try:
                if (domain / "name").read_text().startswith("package"):
                    readings = [int((domain / name).read_text()) for name in ("energy_uj", "max_energy_range_uj")]
                    found[domain.name] = readings[0], readings[1]
            except (OSError, ValueError):
                return None  # a part of the packages is no measure of the machine
    return found or None
