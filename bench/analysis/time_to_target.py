"""When a target was reached, as far as that is known, how often, and how good the way there was.

A target is crossed somewhere between the last evaluation that missed it and the first that hit it, and a trial that
missed it says only that it would have taken longer. What is computed here respects both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import stats

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.median_crossing import median_crossing
from paceline.bench.analysis.seeds import each_once
from paceline.bench.analysis.statistics import CONFIDENCE, Floats, Interval, median_interval
from paceline.bench.records.record import Record

# A hit is judged by as many evaluations before it, or after it where the curve goes on, and not by fewer than these.
WINDOW = 20

FEWEST = 5


def intervals(records: Iterable[Record], metric: str = "seconds_to_target") -> tuple[Floats, Floats]:
    """Return (low, high] of each trial's crossing; infinite ``high`` where it missed, from what it had spent.

    A trial that diverged would never have got there, however early it was stopped: it counts as missed at the most
    that any trial of the cell spent. One that ended without a result, or was scored at its end only, is left out.

    Args:
        records: the trials of one cell.
        metric: "seconds_to_target", "steps_to_target" or "samples_to_target".
    """
    _, low, high = _crossings_of(records, metric)
    return low, high


def median_of_seeds(records: Iterable[Record], metric: str = "seconds_to_target") -> Interval:
    """Return the median of the crossings of one cell, trials of one seed once: see ``median_crossing``."""
    seeds, low, high = _crossings_of(records, metric)
    return median_crossing(*each_once(seeds, low, high))


def _crossings_of(records: Iterable[Record], metric: str) -> tuple[list[int], Floats, Floats]:
    """Return the seed of each trial with a crossing, and the ends of that: see ``intervals``."""
    column = {"seconds_to_target": "seconds", "steps_to_target": "step", "samples_to_target": "samples"}[metric]
    records = [record for record in records if record.score_along and record.curve["step"]]
    most = max((record.curve[column][-1] for record in records), default=0)
    seeds, low, high = [], [], []
    for record in records:
        places, better = scored(record, column)
        hit = _first(better)
        if hit is not None:
            low.append(places[hit - 1] if hit else 0.0)
            high.append(places[hit])
        elif record.status in ("missed", "diverged", "plateaued"):
            low.append(most if record.status == "diverged" else record.curve[column][-1])
            high.append(np.inf)
        else:
            continue
        seeds.append(record.seed)
    return seeds, np.array(low, float), np.array(high, float)


def scored(record: Record, column: str = "seconds") -> tuple[Floats, Floats]:
    """Return where a trial was scored, in ``column`` of its curve, and by how much its score beat the target."""
    sign = 1 if record.higher_is_better else -1
    points = [
        (place, sign * (score - record.target))
        for place, score in zip(record.curve[column], record.curve["score"], strict=True)
        if score is not None
    ]
    return np.array([place for place, _ in points], float), np.array([better for _, better in points], float)


def first_hit(record: Record) -> int | None:
    """Return which of a trial's scores was the first to reach the target."""
    return _first(scored(record)[1])


def _first(better: Floats) -> int | None:
    hits = np.flatnonzero(better >= 0)
    return int(hits[0]) if len(hits) else None


@dataclass(frozen=True)
class Crossing:
    """When one cell reached its target.

    Attributes:
        records: its trials.
        seconds: the median time, its crossings taken as intervals.
        success: share of seeds that reached the target within the budget in all of their trials, with Clopper-Pearson's
            exact interval.
        budget: the seconds that all cells of the workload were allowed.
        restricted_mean: mean of min(time, budget) in seconds: what a trial took, ended at the budget.
        par2: the same with 2 x budget for a trial that had not reached the target by then, or ended without a result.
        stops: the fixed budgets of its workload in "seconds" and in "samples"; see ``fixed_budget``.
        at_seconds: median validation score just before as many seconds of training.
        at_samples: likewise in samples.
        lucky: number of trials that hit by luck; see ``lucky``.
        level: median score that the trials had come to when they hit; see ``level_at_hit``.
    """

    records: tuple[Record, ...]
    seconds: Interval
    success: Interval
    budget: float
    restricted_mean: float
    par2: float
    stops: dict[str, float]
    at_seconds: Interval
    at_samples: Interval
    lucky: int
    level: Interval


def success(hits: int, n: int) -> Interval:
    """Return the share of ``n`` seeds that reached the target, with its exact 95 % interval.

    Source: C. J. Clopper & E. S. Pearson 1934, Biometrika 26.
    """
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    interval = stats.binomtest(hits, n).proportion_ci(CONFIDENCE)
    return Interval(hits / n, float(interval.low), float(interval.high), n)


def budget_of(records: Iterable[Record]) -> float:
    """Return the seconds that every trial was allowed; without a limit, the most that one of them took.

    Both means are taken at this budget, so it must be one for all cells that are compared.
    """
    records = list(records)
    allowed = [record.seconds_allowed for record in records if record.seconds_allowed is not None]
    spent = [record.curve["seconds"][-1] for record in records if record.curve["step"]]
    return min(allowed) if allowed else max(spent, default=np.nan)


def times_within(records: Iterable[Record], budget: float, penalty: float = 1.0) -> Floats:
    """Return each trial's seconds to target; ``penalty`` x ``budget`` where it was not reached within ``budget``.

    A crossing counts in the middle of its interval.

    Args:
        records: trials that were scored along the way.
        budget: in seconds.
        penalty: 1 for the restricted mean, 2 for PAR-2.

    Source: P. Royston & M. K. B. Parmar 2013, BMC Med. Res. Methodol. 13 (restricted mean); the rules of the SAT
    competitions (PAR-2).
    """
    found = []
    for record in records:
        low, high = intervals([record])
        # A failure has no crossing; it would have to be run again, so it took the budget.
        middle = (low[0] + high[0]) / 2 if len(high) else np.inf
        found.append(middle if middle <= budget else penalty * budget)
    return np.array(found)


def fixed_budget(records: Iterable[Record], column: str = "seconds") -> float:
    """Return when the fastest cell typically reached the target, in the unit of ``column``: the least median of any.

    That is a budget one might give to all. When the very first trial of any got there would be none: the more trials,
    the sooner it would come. Where no cell reached the target in half of its trials, it is the least that one spent.

    Args:
        records: the trials of all cells that are compared.
        column: of their curves.
    """
    spent, reached = [], dict[str, list[float]]()
    for record in records:
        if record.curve["step"]:
            spent.append(float(record.curve[column][-1]))
            reached.setdefault(record.cell, []).append(spent[-1] if record.status == "reached" else np.inf)
    typical = min((float(np.median(own)) for own in reached.values()), default=np.inf)
    return typical if np.isfinite(typical) else min(spent, default=np.nan)


def quality_at(records: Iterable[Record], budget: float, column: str = "seconds") -> Interval:
    """Return the median validation score at a budget, as of the last evaluation *before* it.

    Before it, so that no trial is judged by the very evaluation that ended it, which may have been a lucky one. A trial
    that ended at the target sooner counts with its last score before that hit, at the least: it has no later one. NaN
    if a trial had not been scored by then: the others would be no fair sample.
    """
    seeds, scores = [], []
    for record in records:
        if record.curve["step"]:
            seeds.append(record.seed)
            places, better = scored(record, column)
            if record.status == "reached" and record.stop_at_target:
                places, better = places[:-1], better[:-1]
            earlier = better[places < budget]
            sign = 1 if record.higher_is_better else -1
            scores.append(record.target + sign * earlier[-1] if len(earlier) else np.nan)
    if not scores or np.isnan(scores).any():
        return Interval(np.nan, np.nan, np.nan, 0)
    return median_interval(scores, positive=False, seeds=seeds)


def lucky(record: Record) -> bool:
    """Return whether a trial hit the target by luck: it was not there yet, or did not stay.

    Not there yet: over the last twenty evaluations before the hit the score did not rise (the slope is not above 0 at
    5 %), and their mean lies below the target by more than their standard deviation. Did not stay: where the curve
    goes on, the mean of the next twenty is below the target. Neither is known with fewer than five.
    """
    _, better = scored(record)
    hit = _first(better)
    if hit is None or not record.score_along:
        return False
    before, after = better[max(0, hit - WINDOW) : hit], better[hit + 1 : hit + 1 + WINDOW]
    if len(after) >= FEWEST and after.mean() < 0:
        return True
    if len(before) < FEWEST:
        return False
    rises = np.ptp(before) > 0 and stats.linregress(np.arange(len(before)), before, alternative="greater").pvalue < 0.05
    return bool(not rises and before.mean() < -before.std(ddof=1))


def level_at_hit(record: Record) -> float:
    """Return what score a trial had come to when it first hit the target: the trend of what lay before, drawn on to it.

    The first of many noisy evaluations to hit is a lucky one: played with noise of 0.2 to 1 points of accuracy and
    curves that rise by 2 or 7 points a decade of steps, it comes 2 to 85 % early, and the level is then 0.3 to 1.7
    standard deviations of that noise below the target; on a curve that ends below the target it comes all the same. To
    count the mean of the last five instead would come 7 % late to 38 % early, and take training past the first hit, at
    which trials end. So the first hit stays what is counted, and the level is shown beside it. That is known to 0.2 of
    those standard deviations, give or take 0.45.

    Returns:
        The score, by a line through the last twenty evaluations before the hit; NaN with fewer than five.
    """
    _, better = scored(record)
    hit = _first(better)
    before = better[max(0, hit - WINDOW) : hit] if hit is not None else better[:0]
    if len(before) < FEWEST or not record.score_along:
        return np.nan
    _, level = np.polyfit(np.arange(len(before)) - len(before), before, 1)
    return float(record.target + (level if record.higher_is_better else -level))


def _levels(records: Iterable[Record]) -> Interval:
    records = list(records)
    found = [level_at_hit(record) for record in records]
    return median_interval(found, positive=False, seeds=[record.seed for record in records])


def crossings(results: Results, comparison: str = "strategies") -> dict[tuple[str, str], Crossing]:
    """Return when each cell of a comparison reached its target, by (cell, environment)."""
    records = [r for r in results.records if r.comparison == comparison and r.score_along]
    found = {}
    for key in dict.fromkeys((record.cell, record.environment) for record in records):
        own = tuple(record for record in records if (record.cell, record.environment) == key)
        peers = [r for r in records if (r.workload, r.environment) == (own[0].workload, own[0].environment)]
        budget, at = budget_of(peers), {column: fixed_budget(peers, column) for column in ("seconds", "samples")}
        times = times_within(own, budget, np.inf) if budget > 0 else np.full(len(own), np.inf)
        late = {record.seed for record, time in zip(own, times, strict=True) if not np.isfinite(time)}
        seeds = {record.seed for record in own}
        found[key] = Crossing(
            own,
            median_of_seeds(own),
            success(len(seeds - late), len(seeds)),
            budget,
            float(times_within(own, budget).mean()),
            float(times_within(own, budget, 2.0).mean()),
            at,
            quality_at(own, at["seconds"]),
            quality_at(own, at["samples"], "samples"),
            sum(lucky(record) for record in own),
            _levels(own),
        )
    return found


def disagreements(found: dict[tuple[str, str], Crossing]) -> dict[tuple[str, str], list[str]]:
    """Return, for each cell, those that it clearly reaches the target before, yet clearly scores worse than.

    Clearly: the 95 % intervals of both do not overlap. The scores are those at the same seconds of training. A
    lucky crossing is one reason, curves that cross are another.
    """
    result: dict[tuple[str, str], list[str]] = {key: [] for key in found}
    for (key, first), (_, other) in permutations(found.items(), 2):
        a, b = first.records[0], other.records[0]
        if (a.workload, a.environment) != (b.workload, b.environment):
            continue
        worse = (first.at_seconds.high < other.at_seconds.low, first.at_seconds.low > other.at_seconds.high)
        if first.seconds.high < other.seconds.low and worse[0 if a.higher_is_better else 1]:
            result[key].append(b.cell.removeprefix(f"{b.workload}-"))
    return result
