"""A rank's sign of life: the parent hears that it gets on, and with what, however long that takes."""

import threading
from collections.abc import Callable
from typing import Any


class Pulse:
    """Tells the parent each time it looks and something has been done since, from a thread that sleeps in between.

    Attributes:
        doing: what the rank is at, in words: "warm-up".
        done: anything that changes as it gets on: the number of steps, say.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None], every: float) -> None:
        """Look ``every`` so many seconds."""
        self.doing, self.done = "its start", 0
        self._send, self._every = send, every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="pulse", daemon=True)

    def __enter__(self) -> "Pulse":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End: nothing is sent from then on."""
        self._stopped.set()
        self._thread.join()

    def get_on(self, doing: str) -> None:
        """Take note that something was done, and what comes next."""
        self.doing = doing
        self.done += 1

    def _look(self) -> None:
        told: tuple[str, int] | None = None
        while not self._stopped.wait(self._every):
            now = self.doing, self.done
            if now != told:
                self._send({"doing": self.doing})
                told = now
