"""When a trial is at its end: at the target, out of budget, diverged, or no better for long."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paceline.bench.harness.windows import SPACING

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial

# A trial is given up as diverged when at ten evaluations in a row the loss is ten times the largest of the first ten:
# not for one unlucky batch, and not for losses that are large from the beginning.
HOPELESS, EVALUATIONS = 10.0, 10

# A score that has not moved in fewer steps than these is no plateau yet: a rate may still be warming up.
LEAST_PLATEAU = 100


@dataclass
class Ending:
    """What the evaluations of a trial have shown so far.

    Attributes:
        trial: whose.
        score: the last one that was finite, larger is better; None before there is one.
    """

    trial: "Trial"
    score: float | None = None
    _was_reached: bool = False
    _best_score: float = -math.inf
    _best_step: int = 0
    _last: int = 0
    _first_losses: list[float] = field(default_factory=list)
    _hopeless: int = 0

    def after(self, number: int, loss: float, score: float | None, out_of_budget: str) -> tuple[str, str] | None:
        """Return status and reason if the trial ends after step ``number``.

        Args:
            number: of the step.
            loss: its training loss.
            score: on the validation samples; None where it was not taken.
            out_of_budget: why it must end; "" if it need not.
        """
        again, self._last = number == self._last, number
        self._was_reached |= score is not None and self.trial.workload.reached(score)
        if not math.isfinite(loss):
            return "diverged", f"the training loss was {loss} at step {number}"
        # A score may be undefined until the model has learned something: a correlation, while all predictions are one.
        if score is not None and (math.isinf(score) or (math.isnan(score) and self._best_step)):
            return "diverged", f"the score was {score} at step {number}"
        if again:  # the trainer ended right after an evaluation: there is no other loss to go by
            return self._status(out_of_budget)
        if self._is_hopeless(loss):
            times = loss / max(map(abs, self._first_losses))
            return "diverged", f"the training loss at step {number} was {times:.3g} times that of the first steps"
        if score is not None and math.isfinite(score):
            self.score = score if self.trial.workload.higher_is_better else -score
            if self.score > self._best_score:
                self._best_score, self._best_step = self.score, number
        if out_of_budget or (self._was_reached and self.trial.stop_at_target):
            return self._status(out_of_budget)
        return self._plateau(number)

    def _is_hopeless(self, loss: float) -> bool:
        if len(self._first_losses) < EVALUATIONS:
            self._first_losses.append(loss)
        # A loss may be negative (a log density, minus a similarity): it has risen by so many times the size it had.
        size = max(map(abs, self._first_losses))
        risen = loss - max(self._first_losses)
        self._hopeless = self._hopeless + 1 if risen > (HOPELESS - 1) * size > 0 else 0
        return self._hopeless == EVALUATIONS

    def _plateau(self, number: int) -> tuple[str, str] | None:
        without, patience = number - self._best_step, self.trial.stop_on_plateau
        if patience is None or without < max(LEAST_PLATEAU, (SPACING**patience - 1) * self._best_step):
            return None
        best = self._best_score if self.trial.workload.higher_is_better else -self._best_score
        return "plateaued", f"{without} steps brought no better score than {best:.6g} at step {self._best_step}"

    def _status(self, out_of_budget: str) -> tuple[str, str]:
        if self._was_reached:
            return "reached", ""
        return "missed", f"target {self.trial.workload.target:g} not reached: {out_of_budget}"
