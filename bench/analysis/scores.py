"""Final scores of two cells: how far apart, to the grain at which scores are known, and whether that counts."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import ERROR, MARGIN, Interval, mean_interval, p_value

ScoreVerdict = Literal["better", "worse", "equivalent", "undecided"]

# How ``margin_of`` is said beside what is judged by it.
MARGIN_IN_WORDS = f"within {100 * MARGIN:g} % of the error (1 - score where more is better) counts as none"


def error_of(score: float, higher: bool) -> float:
    """Return what of a score is error: 1 - score of a share that is better the higher, else its size.

    Shares of it are the same whether an accuracy of 0.94 is reported, or an error of 0.06. A score that is better the
    higher and is no share has no error: it stands for itself.
    """
    return 1 - score if higher and 0 <= score <= 1 else abs(score)


def margin_of(score: float, higher: bool) -> float:
    """Return how far apart two scores may be and still count as equal: a share of the error, not of the score."""
    return MARGIN * error_of(score, higher)


def score_verdict(low: float, high: float, margin: float) -> ScoreVerdict:
    """Return what the interval of a difference in score says, positive being better; equivalence is asked first."""
    if -margin <= low and high <= margin:
        return "equivalent"
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


@dataclass(frozen=True)
class ScoreGap:
    """How much better one cell scored than another, block by block.

    Attributes:
        interval: of the differences, positive where it is for the better; never narrower than the grain of scores.
        verdict: on it.
        converged: whether both had reached the target by their end, in the median: else they were compared on the way.
        steps: after how many they were compared, in the median.
        margin: within which a difference counts as none: see ``margin_of``.
        judged: the verdict at another error rate than 5 %.
    """

    interval: Interval
    verdict: ScoreVerdict
    converged: bool
    steps: float
    margin: float
    judged: Callable[[float], ScoreVerdict] = field(repr=False, compare=False)

    @property
    def p(self) -> float:
        """The smallest error rate at which the verdict falls; 1 if undecided."""
        return p_value(self.judged)


def score_gap(results: Results, a: Cell, b: Cell) -> ScoreGap:
    """Return how much better ``a`` scored at its end than ``b``."""
    record = next(record for record in results.records if record.cell == a["cell"])
    sign = 1 if record.higher_is_better else -1
    trials = results.trials[results.trials["comparison"] == a["comparison"]].set_index(["seed", "block"])
    own = [trials[trials["cell"] == cell["cell"]] for cell in (a, b)]
    scores = [each["final_score"] for each in own]
    differences = (scores[0] - scores[1]).dropna() * sign
    grain = grain_of(results, a["workload"])
    margin = margin_of(float(scores[1].median()), record.higher_is_better)

    def interval(error: float) -> Interval:
        seeds = differences.index.get_level_values("seed").tolist()
        return no_finer(mean_interval(differences.tolist(), seeds, error), grain)

    def judged(error: float) -> ScoreVerdict:
        found = interval(error)
        return score_verdict(found.low, found.high, margin)

    converged = all(sign * (float(each.median()) - record.target) >= 0 for each in scores)
    steps = float(own[0]["steps"].median())
    # Blocks are added by what trials take, not by their scores: looking often does not favour any score.
    return ScoreGap(interval(ERROR), judged(ERROR), converged, steps, margin, judged)


def grain_of(results: Results, workload: str) -> float:
    """Return the smallest step between the scores of a workload that were seen: 0.002, where 500 are scored."""
    trials = results.trials.loc[results.trials["workload"] == workload, "trial"]
    scores = results.curves.loc[results.curves["trial"].isin(trials), "score"].dropna().sort_values()
    steps = scores.diff()
    steps = steps[steps > 1e-7]  # what float32 rounds is no step
    return float(steps.min()) if len(steps) else 0.0


def no_finer(found: Interval, grain: float) -> Interval:
    """Return ``found``, reaching half a grain to either side at least: ties are no certainty."""
    if math.isnan(found.low):
        return found
    low, high = min(found.low, found.median - grain / 2), max(found.high, found.median + grain / 2)
    return Interval(found.median, low, high, found.n)
