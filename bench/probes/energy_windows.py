"""The energy of training, evaluation left out, by a counter that moves in ticks."""

import time
from collections.abc import Callable

# Of a stretch between two readings of the counter, so much may be evaluation.
LONGEST_PAUSE_SHARE = 0.05
# So much of the training seconds must lie in such stretches for their power to be that of the trial.
LEAST_SHARE = 0.5


class EnergyWindows:
    """What a counter of energy counts from one reading to another, where what lay between was training.

    A reading is off by as much as the counter takes in a tick, so that two of them stand some time apart: a stretch of
    ``shortest`` seconds at least. Windows of training are often shorter than that. Then a stretch goes on through
    evaluations, as long as these are a small share of it; else it is given up, and the next window begins another.

    Attributes:
        joules, seconds: of all stretches.
        trained: seconds of all windows, in a stretch or not.
        refused: whether the counter did not tell once since the reset.
    """

    def __init__(self, read: Callable[[], float | None], shortest: float) -> None:
        """Count nothing yet; ``read`` gives the counter in joules, None where it cannot."""
        self._read, self._shortest = read, shortest
        self.reset()

    def reset(self) -> None:
        """Forget what was counted, and be outside of any window."""
        self.joules = self.seconds = self.trained = 0.0
        self.refused = False
        self._start: float | None = None  # the counter where the stretch began, joules; None: there is no stretch
        self._start_at = self._paused = self._began = self._ended = 0.0  # seconds

    def begin(self) -> None:
        """Begin a window of training."""
        now = time.perf_counter()
        if self._start is not None:
            self._paused += now - self._ended
            if self._paused > LONGEST_PAUSE_SHARE * (now - self._start_at):
                self._start = None
        if self._start is None:
            self._start = self._told()
            self._start_at, self._paused = time.perf_counter(), 0.0
        self._began = time.perf_counter()

    def end(self) -> None:
        """End the window."""
        self._ended = time.perf_counter()
        self.trained += self._ended - self._began
        if self._start is not None and self._ended - self._start_at >= self._shortest:
            if (now := self._told()) is not None:
                self.joules += now - self._start
                self.seconds += self._ended - self._start_at
            self._start = None

    @property
    def why_unknown(self) -> str:
        """Why the stretches do not tell of the trial; "" if they do."""
        if self.seconds and self.seconds >= LEAST_SHARE * self.trained:
            return ""
        return (
            f"windows of training are too short: the energy counter needs stretches of {self._shortest:g} s with at "
            f"most {LONGEST_PAUSE_SHARE:.0%} of evaluation, and {self.seconds:.3g} of {self.trained:.3g} s were in such"
        )

    def _told(self) -> float | None:
        told = self._read()
        self.refused |= told is None
        return told
