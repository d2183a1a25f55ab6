"""Regularization: what each kind does to the final score and to the gap between held-out and training loss.

The gap is the mean held-out loss minus the mean training loss at the end of training, both of the model as it
is scored: without dropout, on samples that are not shifted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import Interval, median_interval
from paceline.bench.report.wording import with_interval

COMPARISON = "regularization"
NONE = "none"
KINDS = ("L1", "L2", "dropout", "shifts", "early-stopping")

# Scores within this share of each other are called equal, if the whole interval is.
MARGIN = 0.01

MEASURE = (
    "Paired differences to training without any: final score, positive where the regularizer is better, where one "
    f"within {100 * MARGIN:g} % of the score counts as none; and gap (held-out loss minus training loss), negative "
    "where it is narrower"
)

# Where, whether the claim holds there (None: undecided), and the numbers: ``report.claims.Point``.
Point = tuple[str, bool | None, str]


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
        return median_interval(self.trials[column].tolist(), positive=False)

    def text(self, column: str) -> str:
        """Return the same as in a table."""
        found = self.interval(column)
        return with_interval(found.median, found.low, found.high, found.n)


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


def table(results: Results) -> pd.DataFrame:
    """Return the effects as a table to read, a row a kind and workload."""
    return pd.DataFrame([_row(effect) for effect in effects(results)])


def _row(effect: Effect) -> dict[str, str]:
    plain = effect.kind == NONE
    return {
        "workload": effect.workload,
        "regularization": effect.kind,
        "final score": effect.text("final_score"),
        "better than none by": "" if plain else effect.text("better"),
        "training loss": effect.text("train_loss"),
        "held-out loss": effect.text("held_out_loss"),
        "gap": effect.text("gap"),
        "gap minus that of none": "" if plain else effect.text("wider"),
        "steps": f"{effect.interval('steps').median:,.0f}",
        "best score along the way": effect.text("best_score"),
    }


def points(results: Results) -> list[Point]:
    """Return, for each regularizer, whether it narrows the gap, and whether it improves the final score."""
    found = effects(results)
    plain = {effect.workload: effect.interval("final_score").median for effect in found if effect.kind == NONE}
    points: list[Point] = []
    for effect in found:
        if effect.kind == NONE:
            continue
        where, gap, score = f"{effect.workload} {effect.kind}", effect.interval("wider"), effect.interval("better")
        narrower = True if gap.high < 0 else False if gap.low > 0 else None
        margin = MARGIN * abs(plain[effect.workload])
        same = -margin <= score.low and score.high <= margin
        improved = True if score.low > 0 else False if score.high < 0 or same else None
        points.append((f"{where} in the gap", narrower, effect.text("wider")))
        points.append((f"{where} in the score", improved, effect.text("better")))
    return points
