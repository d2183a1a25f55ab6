"""Regularization: what each kind does to the final score and to the gap between test and training loss.

The gap is the mean test loss minus the mean training loss at the end of training, both of the model as it
is scored: without dropout, on samples that are not shifted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.scores import ScoreVerdict, grain_of, margin_of, no_finer, score_verdict
from paceline.bench.analysis.statistics import ERROR, Interval, mean_interval, median_interval

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
        margin: of scores: see ``scores.margin_of``.
        grain: of scores: see ``scores.grain_of``.
    """

    workload: str
    kind: str
    trials: pd.DataFrame
    margin: float = 0.0
    grain: float = 0.0

    def interval(self, column: str, error: float = ERROR) -> Interval:
        """Return the median of a column, the mean of a paired difference, with its interval."""
        seeds = self.trials.index.get_level_values("seed").tolist()
        values = self.trials[column].tolist()
        if column in ("better", "wider"):
            found = mean_interval(values, seeds, error)
        else:
            found = median_interval(values, positive=False, seeds=seeds, error=error)
        return no_finer(found, self.grain) if column in ("better", "final_score", "best_score") else found

    def improved(self, error: float = ERROR) -> ScoreVerdict:
        """Return whether the final score is better than without any; equivalent within the margin of scores."""
        found = self.interval("better", error)
        return score_verdict(found.low, found.high, self.margin)

    def narrower(self, error: float = ERROR) -> ScoreVerdict:
        """Return whether the gap is "better" than without any, which is narrower."""
        found = self.interval("wider", error)
        return score_verdict(-found.high, -found.low, 0.0)


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
    return [effect for _, own in trials.groupby("environment", sort=False) for effect in _effects(results, own)]


def _effects(results: Results, trials: pd.DataFrame) -> Iterator[Effect]:
    for cell, base in trials.groupby("cell", sort=False):
        if not str(cell).endswith(f"-{NONE}"):
            continue
        workload = str(base["workload"].iloc[0])
        margin = margin_of(float(base["final_score"].median()), bool(base["sign"].iloc[0] > 0))
        for kind in (NONE, *KINDS):
            own = trials[trials["cell"] == str(cell).removesuffix(NONE) + kind]
            if not own.empty:
                better = (own["final_score"] - base["final_score"]) * own["sign"]
                own = own.assign(better=better, wider=own["gap"] - base["gap"])
                yield Effect(workload, kind, own, margin, grain_of(results, workload))
