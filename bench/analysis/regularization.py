"""Regularization: what each kind does to the final score and to the gap between held-out and training loss.

The gap is the mean held-out loss minus the mean training loss at the end of training, both of the model as it
is scored: without dropout, on samples that are not shifted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import Interval, median_interval

COMPARISON = "regularization"

NONE = "none"

KINDS = ("L1", "L2", "dropout", "shifts", "early-stopping")


@dataclass(frozen=True)
class Effect:
    """What one kind of regularization did, its trials paired by seed with those without any.

    Attributes:
        workload: the one without any; a kind that is a part of the model has a workload of its own.
        kind: "none", or one of ``KINDS``.
        trials: its rows, with the columns ``gap``, ``best_score`` (along the way), ``better`` (final score above that
            without any, or below it where lower is better) and ``wider`` (gap minus that without any).
    """

    workload: str
    kind: str
    trials: pd.DataFrame

    def interval(self, column: str) -> Interval:
        """Return the median of a column with its interval."""
        seeds = self.trials.index.get_level_values("seed").tolist()
        return median_interval(self.trials[column].tolist(), positive=False, seeds=seeds)


def effects(results: Results) -> list[Effect]:
    """Return what was measured, by workload, first without any regularization; only where that was run too."""
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    if trials.empty:
        return []
    sign = trials["trial"].map({record.trial: 1 if record.higher_is_better else -1 for record in results.records})
    scores = results.curves.groupby("trial")["score"]
    best = trials["trial"].map(scores.max()).where(sign > 0, trials["trial"].map(scores.min()))
    gap = trials["held_out_loss"] - trials["train_loss"]
    trials = trials.assign(gap=gap, best_score=best, sign=sign).set_index(["seed", "block"])
    return [effect for _, own in trials.groupby("environment", sort=False) for effect in _effects(own)]


def _effects(trials: pd.DataFrame) -> Iterator[Effect]:
    for cell, base in trials.groupby("cell", sort=False):
        if not str(cell).endswith(f"-{NONE}"):
            continue
        for kind in (NONE, *KINDS):
            own = trials[trials["cell"] == str(cell).removesuffix(NONE) + kind]
            if not own.empty:
                better = (own["final_score"] - base["final_score"]) * own["sign"]
                yield Effect(
                    str(base["workload"].iloc[0]), kind, own.assign(better=better, wider=own["gap"] - base["gap"])
                )
