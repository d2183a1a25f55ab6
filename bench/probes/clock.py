"""A stopwatch that waits for the device."""

import time

import torch


def second_clock() -> float:
    """Return the seconds of another clock than ``time.perf_counter``, to check the first against.

    Where there is one, the oscillator's own count: unlike the first, no time server speeds it up or slows it down.
    """
    if hasattr(time, "CLOCK_MONOTONIC_RAW"):
        return time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
    return time.time()


class Clock:
    """Accumulates seconds, synchronizing the device at every start and stop.

    Start and stop at the edges of a window of steps, not around each step: a synchronization
    per step would serialize what it measures.
    """

    def __init__(self, device: torch.device) -> None:
        """Stand still, until ``start``."""
        self._device = device
        self._started: float | None = None

    def start(self) -> None:
        """Start a window."""
        self._synchronize()
        self._started = time.perf_counter()

    def stop(self) -> float:
        """End the window and return its seconds.

        Raises:
            RuntimeError: if the clock is not running.
        """
        self._synchronize()
        if self._started is None:
            raise RuntimeError("the clock is not running")
        seconds = time.perf_counter() - self._started
        self._started = None
        return seconds

    def _synchronize(self) -> None:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
