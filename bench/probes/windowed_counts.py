"""What is counted of a rank while it trains, evaluation left out: to count something more, add it here."""

import time
from collections.abc import Callable, Mapping

from paceline.bench.probes import cgroup, procfs


def windowed_counts() -> "list[WindowedCount]":
    """Return what is counted, by its name in the rank's observations, which ``records.metrics`` makes a column of."""
    return [
        WindowedCount(
            "runqueue_wait_seconds",
            procfs.runqueue_waits,
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

    def __init__(
        self, name: str, read: Callable[[], float | Mapping[str, float] | None], why_unknown: str = ""
    ) -> None:
        """Count nothing yet.

        Args:
            name: of what is counted.
            read: reads the counter, or one for each of several parts by their names, which may come and go; gives
                None where it cannot.
            why_unknown: why it may not.
        """
        self.name, self._read, self.why_unknown = name, read, why_unknown
        self._total = 0.0
        self._mark: float | Mapping[str, float] | None = None

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
        if now is None or self._mark is None:
            return
        if isinstance(now, Mapping):
            # Of a part that ended nothing more is known; one that began has all of its count from this window.
            before = self._mark if isinstance(self._mark, Mapping) else {}
            self._total += sum(max(0.0, count - before.get(part, 0.0)) for part, count in now.items())
        elif not isinstance(self._mark, Mapping):
            self._total += now - self._mark
