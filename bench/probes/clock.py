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

    Attributes:
        lap_seconds: of the window that was stopped last, the seconds until ``lap``; all of them without one.
    """

    def __init__(self, device: torch.device) -> None:
        """Stand still, until ``start``."""
        self._device = device
        self._started: float | None = None
        self._lap: float | None = None
        # A GPU is not waited for within a window: it notes by itself when it has come so far.
        cuda = device.type == "cuda"
        self._marks = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if cuda else []
        self.lap_seconds = 0.0

    def start(self) -> None:
        """Start a window."""
        self._synchronize()
        self._lap, self._started = None, time.perf_counter()
        for mark in self._marks[:1]:
            mark.record()

    def lap(self) -> None:
        """Note the time within a window, without waiting for the device."""
        assert self._started is not None, "the clock is not running"
        self._lap = time.perf_counter() - self._started
        for mark in self._marks[1:]:
            mark.record()

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
        if self._lap is not None and self._marks:
            self._lap = self._marks[0].elapsed_time(self._marks[1]) * 1e-3
        self.lap_seconds = seconds if self._lap is None else min(self._lap, seconds)
        return seconds

    def _synchronize(self) -> None:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
