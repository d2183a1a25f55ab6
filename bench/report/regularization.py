"""What the report shows of ``bench_regularization.py``: what each regularizer does to the score and to the gap."""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.regularization import NONE, Effect, effects
from paceline.bench.report.judging import SCORE_MARGIN, Judged, Point, over_sweep, scores_better
from paceline.bench.report.plots import regularization as plots
from paceline.bench.report.wording import interval

PLOTS = {"regularization": plots.regularization}


def table(results: Results) -> pd.DataFrame:
    """Return the effects as a table to read, a row a kind and workload."""
    return pd.DataFrame([_row(effect) for effect in effects(results)])


def _row(effect: Effect) -> dict[str, str]:
    plain = effect.kind == NONE
    return {
        "workload": effect.workload,
        "regularization": effect.kind,
        "final score": _text(effect, "final_score"),
        "better than none by": "" if plain else _text(effect, "better"),
        "training loss": _text(effect, "train_loss"),
        "held-out loss": _text(effect, "held_out_loss"),
        "gap": _text(effect, "gap"),
        "gap minus that of none": "" if plain else _text(effect, "wider"),
        "steps": f"{effect.interval('steps').median:,.0f}",
        "best score along the way": _text(effect, "best_score"),
    }


def _text(effect: Effect, column: str) -> str:
    return interval(effect.interval(column))


def points(results: Results) -> list[Point]:
    """Return, for each regularizer, whether it narrows the gap, and whether it improves the final score."""
    found = effects(results)
    plain = {effect.workload: effect.interval("final_score").median for effect in found if effect.kind == NONE}
    said = []
    for effect in (effect for effect in found if effect.kind != NONE):
        place, gap, score = f"{effect.workload} {effect.kind}", effect.interval("wider"), effect.interval("better")
        narrower = True if gap.high < 0 else False if gap.low > 0 else None
        improved = scores_better(score.low, score.high, plain[effect.workload])
        said.append(Point(f"{place} in the gap", narrower, _text(effect, "wider")))
        said.append(Point(f"{place} in the score", improved, _text(effect, "better")))
    return said


def prevents_overfitting(results: Results) -> Judged:
    """Judge the claim twice a regularizer: in the gap between the losses, and in the final score."""
    measure = (
        "Paired differences to training without any: final score, positive where the regularizer is better, where one "
        f"within {100 * SCORE_MARGIN:g} % of the score counts as none; and gap (held-out loss minus training loss), "
        "negative where it is narrower"
    )
    return over_sweep(points(results), "the regularizer and on what is counted", measure, "bench_regularization.py")
