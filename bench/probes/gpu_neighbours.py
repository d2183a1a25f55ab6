"""Who else computes on a GPU while a trial runs: a second job there halves what the first gets."""

import time
from collections.abc import Sequence
from typing import Any

from paceline.bench.probes.nvml import ask, pynvml

UNLISTED = "NVML does not list this process among those on the GPU: no telling which are others (a container, MIG)"
PERIOD = 1.0  # seconds between questions for the use; the driver keeps its samples for longer than that


class Neighbours:
    """What other processes than ``pid`` did on one GPU since the last reset.

    Source: NVML API Reference, nvmlDeviceGetComputeRunningProcesses_v3, nvmlDeviceGetProcessUtilization.
    """

    def __init__(self, pid: int) -> None:
        """Look at nothing yet."""
        self._pid = pid
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._most: int | None = None  # other processes at once
        self._busiest = 0.0  # share of its multiprocessors that one of them used
        self._unknown: dict[str, str] = {}
        self._asked_at = -PERIOD
        self._seen_until = int(time.time() * 1e6)  # in microseconds, as NVML has it

    def look(self, handle: Any, processes: Sequence[Any], last: bool = False) -> None:
        """Take in the ``processes`` that NVML lists; now and then, and ``last``, ask for what they use."""
        others = {process.pid for process in processes} - {self._pid}
        if len(others) == len(processes):
            return  # this process is not among them: there is no telling which of them it is
        self._most = max(self._most or 0, len(others))
        now = time.perf_counter()
        if now - self._asked_at < PERIOD and not last:
            return
        self._asked_at = now
        for sample in ask(self._unknown, "others_share", _used_since, handle, self._seen_until) or []:
            self._seen_until = max(self._seen_until, sample.timeStamp)
            if sample.pid in others:
                self._busiest = max(self._busiest, sample.smUtil / 100)

    def seen(self) -> tuple[int | None, float | None, dict[str, str]]:
        """Return how many others there were at most, which share of the GPU one of them used, and why if unknown."""
        if self._most is None:
            return None, None, dict.fromkeys(("other_processes", "others_share"), UNLISTED)
        return self._most, None if self._unknown else self._busiest, self._unknown


def _used_since(handle: Any, microseconds: int) -> list[Any]:
    try:
        return list(pynvml.nvmlDeviceGetProcessUtilization(handle, microseconds))
    except pynvml.NVMLError as error:
        if error.value in (pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND):  # nobody used it since
            return []
        raise
