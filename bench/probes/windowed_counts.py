"""What is counted of a rank while it trains, evaluation left out: to count something more, add it here."""

import time
from collections.abc import Callable

from paceline.bench.probes import cgroup, procfs


def windowed_counts() -> "list[WindowedCount]":
    """Return what is counted, by its name in the rank's observations, which ``records.metrics`` makes a column of."""
    return [
        WindowedCount(
            "runqueue_wait_seconds",
            procfs.runqueue_wait_seconds,
            "this system keeps no scheduler statistics (/proc/self/task/*/schedstat)",
        ),
        WindowedCount("cpu_seconds", time.process_time),
        WindowedCount(
            "steal_seconds",
            procfs.steal_seconds,
            "this system does not say what a hypervisor takes (/proc/stat)",
        ),
        WindowedCount(
            "throttled_seconds",
            cgroup.throttled_seconds,
            "no control group around this process counts what its quota holds back",
        ),
        WindowedCount(
            "pages_from_disk",
            procfs.pages_from_disk,
            "this system does not count the pages that a process waits for (/proc/self/stat)",
        ),
    ]


class WindowedCount:
    """What a counter that only goes up counts during training: between windows it is not looked at.

    Attributes:
        name: of what is counted, in the rank's observations.
        why_unknown: why there may be no telling.
    """

    def __init__(self, name: str, read: Callable[[], float | None], why_unknown: str = "") -> None:
        """Count nothing yet; ``read`` reads the counter, and gives None where it cannot."""
        self.name, self._read, self.why_unknown = name, read, why_unknown
        self._total = 0.0
        self._mark: float | None = None

    @property
    def total(self) -> float | None:
        """What was counted over the windows so far; None where the counter cannot be read."""
        return None if self._mark is None else self._total

    def reset(self) -> None:
        """Forget what was counted."""
        self._total = 0.0

    def begin(self) -> None:
        """Begin a window."""
        self._mark = self._read()

    def end(self) -> None:
        """End the window."""
        now = self._read()
        if now is not None and self._mark is not None:
            self._total += now - self._mark
