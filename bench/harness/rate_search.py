"""The search for a learning rate: every cell of a comparison gets the same number of rates, seeds and budget.

A coarse grid first, then one rate after the other where the best so far leaves most room: beyond it where it lies at
the edge of what was tried, else half-way (in the logarithm) into the wider of its two gaps. A trainer may declare
further hyperparameters to be searched,

    searched: ClassVar[dict[str, tuple[float, float]]] = {"largest_norm": (0.1, 10.0)}

which take quasi-random values between their ends, on a logarithmic scale, along the coarse grid, so that the number of
trials stays the same; the later rates keep those of the best. Settings of its optimizer are searched likewise where a
benchmark names them (``Search.along``).

Rates are ranked by what does not depend on how fast or how busy the machine was: samples to target where trials race
to it, elsewhere the last score on the validation samples. The seeds of a search are its own, and the score that is
reported in the end is that on the test samples: a rate is not judged on what it was chosen on.
"""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from scipy.stats import qmc

from paceline.bench.harness.cotuned import with_settings
from paceline.bench.records.record import Record

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial
    from paceline.trainers.task import Trainer


@dataclass(frozen=True)
class Search:
    """A cell whose learning rate is to be found before it is measured.

    Attributes:
        trial: what to run; its trainer's rate is set by the search.
        rates: the coarse grid, in any order.
        refinements: how many rates are tried after it.
        seeds: trials of each rate.
        along: settings of the optimizer that are searched with its rate, by the names of ``harness.cotuned``, and
            between which ends.
    """

    trial: "Trial"
    rates: tuple[float, ...]
    refinements: int = 2
    seeds: int = 2
    along: tuple[tuple[str, tuple[float, float]], ...] = ()

    def __len__(self) -> int:
        """Return the number of trials."""
        return (len(self.rates) + self.refinements) * self.seeds

    def first(self) -> list["Trainer"]:
        """Return the trainers of the coarse grid.

        Raises:
            ValueError: if there are fewer than two rates, or the trainer has no optimizer; one line.
        """
        if len(set(self.rates)) < 2 or min(self.rates) <= 0:
            raise ValueError(f"a search needs two positive learning rates or more, got {self.rates}")
        found: list[Trainer] = []
        own = dict(self.along)
        for lr, others in zip(sorted(self.rates), self._others(), strict=True):
            trainer: Any = with_rate(self.trial.trainer, _rounded(lr))
            settings = {name: others.pop(name) for name in own}
            found.append(replace(trainer, optimizer=with_settings(trainer.optimizer, settings), **others))
        return found

    def _others(self) -> Iterator[dict[str, float]]:
        """Yield the values of what is searched along, the trainer's own and its optimizer's, for each coarse rate."""
        declared: Mapping[str, tuple[float, float]] = getattr(self.trial.trainer, "searched", {}) | dict(self.along)
        if not declared:
            yield from ({} for _ in self.rates)
            return
        # Halton's sequence begins at its corner, where every value is the lowest.
        for point in qmc.Halton(len(declared), scramble=False).random(len(self.rates) + 1)[1:]:
            yield {
                name: _rounded(low * (high / low) ** share)
                for (name, (low, high)), share in zip(declared.items(), point, strict=True)
            }

    def following(self, tried: Mapping["Trainer", Sequence[Record]]) -> "Trainer":
        """Return the trainer to try next, given the trials of those that were tried."""
        best = self.best(tried)
        rates = sorted(rate_of(trainer) for trainer in tried)
        lr, place = rate_of(best), rates.index(rate_of(best))
        # As far apart as the coarse grid is.
        step = (max(self.rates) / min(self.rates)) ** (1 / (len(self.rates) - 1))
        if place == 0:
            return with_rate(best, _rounded(lr / step))
        if place == len(rates) - 1:
            return with_rate(best, _rounded(lr * step))
        below, above = rates[place - 1], rates[place + 1]
        nearest = below if lr / below > above / lr else above
        if math.isclose(lr / below, above / lr, rel_tol=0.05):  # the rates were rounded
            scores = {rate_of(trainer): self.loss_of(records) for trainer, records in tried.items()}
            nearest = min(below, above, key=lambda rate: scores[rate])
        return with_rate(best, _rounded(math.sqrt(lr * nearest)))

    def best(self, tried: Mapping["Trainer", Sequence[Record]]) -> "Trainer":
        """Return the trainer whose trials did best; where none reached the target, the one that came nearest."""
        return min(tried, key=lambda trainer: self.loss_of(tried[trainer]))

    def loss_of(self, records: Sequence[Record]) -> tuple[float, float]:
        """Return what the best rate has least of: (share of trials without success, mean cost of the others)."""
        sign = -1 if self.trial.workload.higher_is_better else 1
        finals = [_final(record) for record in records if record.status != "diverged"]
        scores = [sign * score for score in finals if score is not None]
        if self.trial.stop_at_target:
            hits = [float(record.curve["samples"][-1]) for record in records if record.status == "reached"]
            if hits:
                return 1 - len(hits) / len(records), statistics.fmean(hits)
            return 1 + (not scores), statistics.fmean(scores or [math.inf])
        return 1 - len(scores) / len(records), statistics.fmean(scores or [math.inf])


def _final(record: Record) -> float | None:
    scores = [score for score in record.curve["score"] if score is not None]
    return scores[-1] if scores else None


def rate_of(trainer: "Trainer") -> float:
    """Return the learning rate of ``trainer``'s optimizer."""
    optimizer: Any = getattr(trainer, "optimizer")  # noqa: B009  # not every trainer has one; what is searched does
    return float(optimizer.lr)


def with_rate(trainer: "Trainer", lr: float) -> "Trainer":
    """Return ``trainer`` with the learning rate ``lr``; all else is kept.

    Raises:
        ValueError: if it has no optimizer.
    """
    optimizer: Any = getattr(trainer, "optimizer", None)
    if optimizer is None:
        raise ValueError(f"{type(trainer).__name__} has no field 'optimizer' whose learning rate could be set")
    changed: Trainer = replace(trainer, optimizer=replace(optimizer, lr=lr))
    return changed


def label_of(trainer: "Trainer") -> str:
    """Return what tells ``trainer`` from the others of its search: "lr0.1", "lr0.1-largest_norm2.15"."""
    declared = getattr(trainer, "searched", {})
    return "-".join([f"lr{rate_of(trainer):g}", *(f"{name}{getattr(trainer, name):g}" for name in declared)])


def _rounded(value: float) -> float:
    """Return ``value`` to three digits, as it is written in names and tables."""
    return float(f"{value:.3g}")


def log_grid(center: float, factor: float, count: int) -> tuple[float, ...]:
    """Return ``count`` rates around ``center``, each ``factor`` times the one before."""
    return tuple(_rounded(center * factor ** (k - (count - 1) / 2)) for k in range(count))
