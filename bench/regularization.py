"""What each regularizer does: to the final score, and to the gap between held-out and training loss."""

from dataclasses import dataclass

import pandas as pd

from bench.frames import Results
from bench.pairs import Cell, cells_of, score_difference
from bench.statistics import Interval, median_interval
from bench.words import MISSING, with_interval

COMPARISON = "regularization"

# The ends of the cells' names, in the order of tables and plots; the first is what the others are held against.
LABELS = {
    "none": "none",
    "L1": "L1",
    "L2": "L2 (weight decay)",
    "dropout": "dropout",
    "shifts": "random shifts (augmentation)",
    "early-stopping": "early stopping",
}


@dataclass(frozen=True)
class Effect:
    """What one regularizer did; intervals are over seeds, differences paired by seed.

    Attributes:
        problem: what was trained on, the regularizer apart.
        label: a key of ``LABELS``.
        cell: the measured cell.
        better: by how much the final score is better than without; NaN for "none".
        gap: held-out less training loss of the last model.
        narrower: by how much that gap is smaller than without.
        losses: training and held-out loss.
        best: the best score along the way.
        steps: how many were made.
    """

    problem: str
    label: str
    cell: Cell
    better: Interval
    gap: Interval
    narrower: Interval
    losses: tuple[Interval, Interval]
    best: Interval
    steps: Interval


def effects(results: Results) -> list[Effect]:
    """Return the effect of every regularizer, by problem; none where what it is held against did not run."""
    cells = {(cell["cell"].removesuffix(f"-{label}"), label): cell for cell in cells_of(results, COMPARISON)
             for label in LABELS if cell["cell"].endswith(f"-{label}")}  # fmt: skip
    found = []
    for problem in dict.fromkeys(problem for problem, _ in cells):
        none = cells.get((problem, "none"))
        if none is not None:
            found += [
                _effect(results, problem, label, cells[problem, label], none)
                for label in LABELS
                if (problem, label) in cells
            ]
    return found


def _effect(results: Results, problem: str, label: str, cell: Cell, none: Cell) -> Effect:
    trials, plain = _trials(results, cell), _trials(results, none)
    gap = trials["held_out_loss"] - trials["train_loss"]
    narrower = (plain["held_out_loss"] - plain["train_loss"] - gap).dropna()
    nothing = median_interval([])
    return Effect(
        problem,
        label,
        cell,
        nothing if label == "none" else Interval(*score_difference(results, cell, none)),
        _over_seeds(gap),
        nothing if label == "none" else _over_seeds(narrower),
        (_over_seeds(trials["train_loss"]), _over_seeds(trials["held_out_loss"])),
        _over_seeds(_best_scores(results, cell)),
        _over_seeds(trials["steps"]),
    )


def _trials(results: Results, cell: Cell) -> pd.DataFrame:
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    return trials[trials["cell"] == cell["cell"]].set_index(["seed", "block"])


def _best_scores(results: Results, cell: Cell) -> "pd.Series[float]":
    records = [r for r in results.records if r.comparison == COMPARISON and r.cell == cell["cell"]]
    best = []
    for record in records:
        scores = [score for score in record.curve["score"] if score is not None]
        best += [max(scores) if record.higher_is_better else min(scores)] if scores else []
    return pd.Series(best, dtype=float)


def _over_seeds(values: "pd.Series[float]") -> Interval:
    return median_interval(values.dropna().astype(float).tolist(), positive=False)


def table(results: Results) -> pd.DataFrame:
    """Return what each regularizer did, a row each."""
    return pd.DataFrame(
        [
            {
                "workload": found.problem,
                "regularizer": LABELS[found.label],
                "final score": _words(_final(found.cell)),
                "better than none by": _words(found.better),
                "best on the way": _words(found.best),
                "steps": _words(found.steps),
                "training loss": _words(found.losses[0]),
                "held-out loss": _words(found.losses[1]),
                "gap": _words(found.gap),
                "gap narrower by": _words(found.narrower),
            }
            for found in effects(results)
        ]
    )


def _final(cell: Cell) -> Interval:
    median, low, high = (float(cell[f"final_score{end}"]) for end in ("", "_low", "_high"))
    return Interval(median, low, high, int(cell["final_score_n"]))


def _words(found: Interval) -> str:
    return with_interval(found.median, found.low, found.high, found.n) if found.n else MISSING


def holds(found: Effect, margin: float) -> bool | None:
    """Return whether a regularizer prevents overfitting: it narrows the gap, and the score is better for it.

    Not if the gap is wider, the score worse, or the score resolved to be better by less than ``margin`` of itself; None
    where the intervals leave it open.
    """
    if found.narrower.high < 0 or found.better.high < margin * abs(float(found.cell["final_score"])):
        return False
    return True if found.narrower.low > 0 and found.better.low > 0 else None
