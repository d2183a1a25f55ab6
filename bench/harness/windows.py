"""Windows of training: after which steps they end, and what went into the first step of each."""

import math

# Evaluations are spaced geometrically, so that the time to target is known equally well, relative
# to itself, for a trainer of ten steps and for one of a million. At the start they are some steps apart: the step right
# after an evaluation takes 0.1 to 0.25 ms longer. After a mere sleep of the same length it does too, so what was
# evaluated, read and freed in between is not the cause: caches are cold and threads asleep, and only another step would
# warm them. A step so long that this is lost in it is scored each time: a crossing is then known to one step.
SPACING, LEAST_APART, LONG_STEP = 1.03, 3, 0.010  # the last in seconds


class Windows:
    """Where the windows of one run end.

    Attributes:
        first: the number of the first step of the present window.
        end: and of its last.
        first_seconds, first_steps, first_samples: of the windows so far, what went into their first steps: rates are
            taken without them.
    """

    def __init__(self) -> None:
        """Begin with a window of one step."""
        self.first = self.end = self._planned = 1
        self.first_seconds, self.first_steps, self.first_samples = 0.0, 0, 0

    def saw_first(self, samples: int) -> None:
        """Take note of a first step."""
        self.first_steps, self.first_samples = self.first_steps + 1, self.first_samples + samples

    def are_long(self, number: int, seconds: float) -> bool:
        """Return whether steps are, the first ones apart, of ``number`` that took ``seconds``."""
        return number > self.first_steps and seconds - self.first_seconds >= LONG_STEP * (number - self.first_steps)

    def go_on(self, number: int, long: bool) -> None:
        """Begin the window after step ``number``, which is of one step if steps are ``long``, as all ranks must hold.

        Those ends that do not depend on seconds are kept to, whatever is scored between them: one seed crosses the
        target there on each machine.
        """
        while self._planned <= number:
            self._planned = max(self._planned + LEAST_APART, math.ceil(SPACING * self._planned))
        following = max(number + 1, math.ceil(SPACING * number))
        self.end = min(self._planned, following) if long else self._planned
        self.first = number + 1

    def of_first_steps(self) -> dict[str, float]:
        """Return what a rank's record says of them."""
        return {name: getattr(self, name) for name in ("first_seconds", "first_steps", "first_samples")}
