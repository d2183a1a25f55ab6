"""What the report shows of ``bench_regularization.py``: what each regularizer does to the score and to the gap."""

from collections.abc import Callable

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.regularization import NONE, Effect, effects
from paceline.bench.analysis.scores import MARGIN_IN_WORDS, ScoreVerdict
from paceline.bench.analysis.statistics import ERROR, p_value
from paceline.bench.report.judging import Judged, Point, Said, Verdict, over_sweep
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
        "test loss": _text(effect, "held_out_loss"),
        "gap": _text(effect, "gap"),
        "gap minus that of none": "" if plain else _text(effect, "wider"),
        "steps": f"{effect.interval('steps').median:,.0f}",
        "best validation score along the way": _text(effect, "best_score"),
    }


def _text(effect: Effect, column: str) -> str:
    return interval(effect.interval(column))


def points(results: Results) -> list[Point]:
    """Return, for each regularizer, whether it narrows the gap, and whether it improves the final score."""
    found = effects(results)
    said = []
    for effect in (effect for effect in found if effect.kind != NONE):
        place = f"{effect.workload} {effect.kind}"
        said.append(Point(f"{place} in the gap", _said(effect.narrower), _text(effect, "wider")))
        said.append(Point(f"{place} in the score", _said(effect.improved), _text(effect, "better")))
    return said


def _said(judged: Callable[[float], ScoreVerdict]) -> Said:
    words: dict[str, Verdict] = {"better": "holds", "worse": "fails", "equivalent": "equivalent"}
    return Said(words.get(judged(ERROR), "undecided"), p=p_value(judged))


def prevents_overfitting(results: Results) -> Judged:
    """Judge the claim twice a regularizer: in the gap between the losses, and in the final score."""
    measure = (
        "Paired differences to training without any: final score, positive where the regularizer is better, where one "
        f"{MARGIN_IN_WORDS}; and gap (test loss minus training loss), "
        "negative where it is narrower"
    )
    return over_sweep(points(results), "the regularizer and on what is counted", measure, "bench_regularization.py")
