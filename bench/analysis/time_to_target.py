"""When a target was reached, as far as that is known; how good the way there was; and what a run costs in all.

A target is crossed somewhere between the last evaluation that missed it and the first that hit it, and a trial that
missed it says only that it would have taken longer. What is computed here respects both.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special, stats

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import CONFIDENCE, Floats, Interval, median_interval
from paceline.bench.records.record import Record
from paceline.bench.report.tables import MISSING, Cell, cells_of, in_order, marked, number, number_of, with_interval

# Ended without a result: no word on the strategy's speed, but no success either.
FAILED = ("out_of_memory", "timed_out", "crashed", "failed")

# A hit is judged by as many evaluations before it, or after it where the curve goes on, and not by fewer than these.
WINDOW = 20
FEWEST = 5

TUNING = Path(__file__).parents[1] / "workloads" / "learning_rates.csv"


# The median time to target


def median_crossing(low: Floats, high: Floats) -> Interval:
    """Return the median of crossings that are known as intervals (low, high], with a 95 % interval.

    A log-normal time, fitted by maximum likelihood: a crossing adds the probability of its interval, one that was
    missed (``high`` infinite) that of lying beyond ``low``. The 95 % interval holds the medians whose likelihood,
    maximised over the spread, is not too far below the largest one. How far is taken from Student's t instead of
    from chi-squared, so that it is Student's interval of the logarithms where the crossings are known exactly.
    Played with trials that differ by 20 to 50 %, evaluations 3 to 50 % apart and none or a fifth missed, it
    covers 94 to 97 % with 6 trials and with 10; where evaluations lie further apart than twice what trials differ
    by it covers more (98 %), since it cannot be known how little they differ.

    Where fewer than three reached the target there is no interval. Where fewer than half did the median is
    infinite, as it lies beyond what was observed: its interval says what the model makes of that.

    Args:
        low: at the last evaluation that missed, in any unit; 0 where the first one hit.
        high: at the first that hit.

    Returns:
        The median and its interval in the same unit; NaN throughout without a value.

    Raises:
        ValueError: if a ``high`` is not above its ``low``.

    Source: J. D. Kalbfleisch & R. L. Prentice 2002, The Statistical Analysis of Failure Time Data, chapter 3 (the
    likelihood of censored log-normal times); W. Q. Meeker & L. A. Escobar 1995, The American
    Statistician 49 (intervals from the profile likelihood).
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    if not (high > low).all():
        raise ValueError("every crossing must lie in an interval: high above low")
    n, hits = len(low), int(np.isfinite(high).sum())
    if not n:
        return Interval(np.nan, np.nan, np.nan, 0)
    if hits < 3:
        middle = np.where(np.isfinite(high), (low + high) / 2, np.inf)
        return Interval(float(np.median(middle)), np.nan, np.nan, n)
    with np.errstate(divide="ignore"):
        logs = np.log(low)[np.newaxis], np.log(high)[np.newaxis]
    median, least, most = (math.exp(min(float(end[0]), 700.0)) for end in profile(*logs))
    # A million times all that was observed is as good as nowhere.
    unbounded = most > 1e6 * np.max(np.where(np.isfinite(high), high, low))
    return Interval(median if 2 * hits >= n else np.inf, least, np.inf if unbounded else most, n)


def profile(low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the maximum-likelihood mean of normal values known as intervals, and the ends of its 95 % interval.

    Of many sets of trials at once, each with a finite end among its ``high``: the simulations need thousands.
    The likelihood has one peak in the spread and one in the mean (J. Burridge 1981, J. R. Statist. Soc. B 43), so
    that both are found by narrowing a bracket.

    Args:
        low: logarithms [sets, trials]; -infinity where nothing bounds the value from below.
        high: logarithms; +infinity where nothing bounds it from above.
    """
    n = low.shape[1]
    known = np.isfinite(low) & np.isfinite(high)
    least = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, np.inf)).min(axis=1)
    most = np.where(np.isfinite(high), high, np.where(np.isfinite(low), low, -np.inf)).max(axis=1)
    # Where no value has two ends, the unit of the logarithm has to do for a width.
    widest = np.where(known, high - low, -np.inf).max(axis=1, where=known, initial=-np.inf)
    widest = np.where(np.isfinite(widest), widest, 1.0)
    room = np.maximum(most - least, widest)
    # A spread of less than an eighth of an interval is as good as none, and no spread would leave no peak.
    narrow, wide = np.log(widest / 8), np.log(8 * room)

    def height(mean: Floats) -> Floats:
        spread = _peak(lambda spread: _likelihood(low, high, mean, np.exp(spread)), narrow, wide, 12)
        return _likelihood(low, high, mean, np.exp(spread))

    mean = _peak(height, least - room, most + 2 * room, 26)
    # Of values that are known, log(1 + t^2 / (n - 1)) n is exactly twice the logarithm of the ratio of likelihoods.
    depth = n * np.log1p(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) ** 2 / (n - 1))
    floor = height(mean) - depth / 2
    return mean, _edge(height, floor, mean, least - 20 * room), _edge(height, floor, mean, most + 40 * room)


def _likelihood(low: Floats, high: Floats, mean: Floats, spread: Floats) -> Floats:
    """Return the log likelihood [sets] of values within (low, high] [sets, trials]."""
    a, b = ((end - mean[:, np.newaxis]) / spread[:, np.newaxis] for end in (low, high))
    # Far above the mean both probabilities are 1, and their difference is lost: look from the other side.
    a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
    return np.asarray(np.log(np.maximum(special.ndtr(b) - special.ndtr(a), 1e-300)).sum(axis=1))


def _peak(function: Callable[[Floats], Floats], low: Floats, high: Floats, rounds: int) -> Floats:
    """Return where ``function`` is largest between ``low`` and ``high``: the golden section, of many at once."""
    golden = (math.sqrt(5) - 1) / 2
    for _ in range(rounds):
        left, right = high - golden * (high - low), low + golden * (high - low)
        in_left = function(left) > function(right)
        low, high = np.where(in_left, low, left), np.where(in_left, right, high)
    return (low + high) / 2


def _edge(function: Callable[[Floats], Floats], floor: Floats, inside: Floats, outside: Floats) -> Floats:
    """Return where ``function`` falls to ``floor`` on the way from ``inside`` to ``outside``: bisection."""
    for _ in range(20):
        middle = (inside + outside) / 2
        above = function(middle) >= floor
        inside, outside = np.where(above, middle, inside), np.where(above, outside, middle)
    return (inside + outside) / 2


def intervals(records: Iterable[Record], metric: str = "seconds_to_target") -> tuple[Floats, Floats]:
    """Return (low, high] of each trial's crossing; infinite ``high`` where it missed, from what it had spent.

    A trial that diverged would never have got there, however early it was stopped: it counts as missed at the most
    that any trial of the cell spent. One that ended without a result, or was scored at its end only, is left out.

    Args:
        records: the trials of one cell.
        metric: "seconds_to_target", "steps_to_target" or "samples_to_target".
    """
    column = {"seconds_to_target": "seconds", "steps_to_target": "step", "samples_to_target": "samples"}[metric]
    records = [record for record in records if record.score_along and record.curve["step"]]
    most = max((record.curve[column][-1] for record in records), default=0)
    low, high = [], []
    for record in records:
        places, better = scored(record, column)
        hit = _first_hit(better)
        if hit is not None:
            low.append(places[hit - 1] if hit else 0.0)
            high.append(places[hit])
        elif record.status in ("missed", "diverged", "plateaued"):
            low.append(most if record.status == "diverged" else record.curve[column][-1])
            high.append(np.inf)
    return np.array(low, float), np.array(high, float)


def scored(record: Record, column: str = "seconds") -> tuple[Floats, Floats]:
    """Return where a trial was scored, in ``column`` of its curve, and by how much its score beat the target."""
    sign = 1 if record.higher_is_better else -1
    points = [
        (place, sign * (score - record.target))
        for place, score in zip(record.curve[column], record.curve["score"], strict=True)
        if score is not None
    ]
    return np.array([place for place, _ in points], float), np.array([better for _, better in points], float)


def _first_hit(better: Floats) -> int | None:
    hits = np.flatnonzero(better >= 0)
    return int(hits[0]) if len(hits) else None


# How often, and how long with those that missed


@dataclass(frozen=True)
class Crossing:
    """When one cell reached its target.

    Attributes:
        records: its trials.
        seconds: the median time, its crossings taken as intervals.
        success: share of all trials that reached the target within the budget, with Clopper-Pearson's exact interval.
        budget: the seconds that all cells of the workload were allowed.
        restricted_mean: mean of min(time, budget) in seconds: what a trial took, ended at the budget.
        par2: the same with 2 x budget for a trial that had not reached the target by then, or ended without a result.
        stops: the fixed budgets of its workload in "seconds" and in "samples"; see ``fixed_budget``.
        at_seconds: median held-out score just before as many seconds of training.
        at_samples: likewise in samples.
        lucky: number of trials that hit by luck; see ``lucky``.
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


def success(hits: int, n: int) -> Interval:
    """Return the share of ``n`` that reached the target, with its exact 95 % interval.

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


# Quality at a fixed budget


def fixed_budget(records: Iterable[Record], column: str = "seconds") -> float:
    """Return the largest budget at which every trial that trained was still training, in the unit of ``column``.

    Trials stop at the target, so there is no later score of the first to get there: the budget ends with it.
    """
    ends = [record.curve[column][-1] for record in records if record.curve["step"]]
    return float(min(ends, default=np.nan))


def quality_at(records: Iterable[Record], budget: float, column: str = "seconds") -> Interval:
    """Return the median held-out score at a budget, as of the last evaluation *before* it.

    Before it, so that no trial is judged by the very evaluation that ended it, which may have been a lucky one. NaN
    if a trial had not been scored by then: the others would be no fair sample.
    """
    scores = []
    for record in records:
        if record.curve["step"]:
            places, better = scored(record, column)
            earlier = better[places < budget]
            sign = 1 if record.higher_is_better else -1
            scores.append(record.target + sign * earlier[-1] if len(earlier) else np.nan)
    if not scores or np.isnan(scores).any():
        return Interval(np.nan, np.nan, np.nan, 0)
    return median_interval(scores, positive=False)


def lucky(record: Record) -> bool:
    """Return whether a trial hit the target by luck: it was not there yet, or did not stay.

    Not there yet: over the last twenty evaluations before the hit the score did not rise (the slope is not above 0 at
    5 %), and their mean lies below the target by more than their standard deviation. Did not stay: where the curve
    goes on, the mean of the next twenty is below the target. Neither is known with fewer than five.
    """
    _, better = scored(record)
    hit = _first_hit(better)
    if hit is None or not record.score_along:
        return False
    before, after = better[max(0, hit - WINDOW) : hit], better[hit + 1 : hit + 1 + WINDOW]
    if len(after) >= FEWEST and after.mean() < 0:
        return True
    if len(before) < FEWEST:
        return False
    rises = np.ptp(before) > 0 and stats.linregress(np.arange(len(before)), before, alternative="greater").pvalue < 0.05
    return bool(not rises and before.mean() < -before.std(ddof=1))


def crossings(results: Results, comparison: str = "strategies") -> dict[tuple[str, str], Crossing]:
    """Return when each cell of a comparison reached its target, by (cell, environment)."""
    records = [r for r in results.records if r.comparison == comparison and r.score_along]
    found = {}
    for key in dict.fromkeys((record.cell, record.environment) for record in records):
        own = tuple(record for record in records if (record.cell, record.environment) == key)
        peers = [r for r in records if (r.workload, r.environment) == (own[0].workload, own[0].environment)]
        budget, at = budget_of(peers), {column: fixed_budget(peers, column) for column in ("seconds", "samples")}
        reached = int(np.isfinite(times_within(own, budget, np.inf)).sum()) if budget > 0 else 0
        found[key] = Crossing(
            own,
            median_crossing(*intervals(own)),
            success(reached, len(own)),
            budget,
            float(times_within(own, budget).mean()),
            float(times_within(own, budget, 2.0).mean()),
            at,
            quality_at(own, at["seconds"]),
            quality_at(own, at["samples"], "samples"),
            sum(lucky(record) for record in own),
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


def table(results: Results) -> pd.DataFrame:
    """Return each strategy's time to target with its chance of success, both means, and quality at a fixed budget."""
    found = crossings(results)
    apart, rows = disagreements(found), []
    for cell in in_order(cells_of(results, "strategies"), "workload", "cell"):
        key = cell["cell"], cell["environment"]
        if key not in found:
            continue
        own = found[key]
        rows.append(
            {
                "workload": cell["workload"],
                "strategy": marked(results, cell),
                "median seconds to target": _time(own.seconds),
                "success": with_interval(*_of(own.success), unit="%", scale=100),
                "budget": f"{number(own.budget)} s" if own.budget > 0 else MISSING,
                "restricted mean": f"{number(own.restricted_mean)} s" if own.budget > 0 else MISSING,
                "PAR-2": f"{number(own.par2)} s" if own.budget > 0 else MISSING,
                "score at equal seconds": _score(own.at_seconds, f"{number(own.stops['seconds'])} s"),
                "score at equal samples": _score(own.at_samples, number_of(own.stops["samples"])),
                "flag": _flag(own, apart[key]),
            }
        )
    return pd.DataFrame(rows)


def _of(interval: Interval) -> tuple[float, float, float, int]:
    return interval.median, interval.low, interval.high, interval.n


def _time(seconds: Interval) -> str:
    return "not reached in half of the trials" if math.isinf(seconds.median) else with_interval(*_of(seconds), unit="s")


def _score(score: Interval, at: str) -> str:
    return MISSING if math.isnan(score.median) else f"{with_interval(*_of(score))} at {at}"


def _flag(own: Crossing, before: list[str]) -> str:
    """Return what makes a reader doubt the first crossing; empty where nothing does."""
    flags = []
    hits = sum(_first_hit(scored(record)[1]) is not None for record in own.records)
    if hits and 2 * own.lucky >= hits:
        flags.append(f"lucky crossing? {own.lucky} of {hits} hits stand out of a level below the target")
    if before:
        flags.append(f"reaches the target before {', '.join(before)}, but scores less at equal seconds")
    return "; ".join(flags)


# What a run costs

PHASES = ("setup_seconds", "warmup_seconds", "compile_seconds", "training_seconds", "evaluation_seconds")


def costs(record: Record) -> dict[str, float]:
    """Return where a trial's wall time went, in seconds; NaN throughout where it did not measure itself to its end.

    All of rank 0, whose clock the wall time is. What a strategy compiles it compiles in the warm-up, of which
    ``compile_seconds`` is that part and ``warmup_seconds`` the rest; records made before it was known tell them
    not apart, and all counts as warm-up.
    ``unaccounted_seconds`` is the rest of the wall time: what the harness does between the phases.
    ``launch_seconds`` is what the process that asked waited beyond it: starting processes, importing torch.
    """
    own = record.ranks[0].get("train_seconds") if record.ranks else None
    training = own if own is not None else (record.curve["seconds"] or [None])[-1]
    compiled = record.compile_seconds or 0.0
    warmup = None if record.warmup_seconds is None else record.warmup_seconds - compiled
    values = (record.setup_seconds, warmup, compiled, training, record.evaluation_seconds)
    found = {name: np.nan if value is None else float(value) for name, value in zip(PHASES, values, strict=True)}
    wall = np.nan if record.wall_seconds is None else record.wall_seconds
    waited = np.nan if record.elapsed_seconds is None else record.elapsed_seconds
    return found | {
        "unaccounted_seconds": wall - sum(found.values()),
        "wall_seconds": wall,
        "launch_seconds": waited - wall,
    }


def ledger(results: Results, comparison: str = "strategies", tuning: Path = TUNING) -> pd.DataFrame:
    """Return what each cell cost: one row a cell, each kind of cost its own column.

    The phases are means over the trials that ended with a result, for means add up where medians do not: from
    ``setup_seconds`` to ``unaccounted_seconds`` they sum to ``wall_seconds``. Beside them ``n`` trials, ``failed``
    ones and the ``failed_seconds`` that those took in all, as seen by the process that waited for them.

    Of a search for the learning rate there are ``tuning_trials``, and the ``tuning_seconds`` that all of them trained
    for, NaN where that was not recorded. ``tuning_seconds_at_least`` is the same where it was; else what its trials
    that reached the target must have trained for at this run's throughput: those that missed it are not in there.
    Where the run itself searched the strategy's rate (comparison "tuning"), it is that search which counts.

    Args:
        results: of a run.
        comparison: whose cells.
        tuning: the trials of the search; see ``harness.learning_rates``.
    """
    earlier, rows = pd.read_csv(tuning, comment="#"), []
    for cell in cells_of(results, comparison):
        place = cell["cell"], cell["environment"]
        records = [r for r in results.records if r.comparison == comparison and (r.cell, r.environment) == place]
        finished = pd.DataFrame([costs(r) for r in records if r.status not in FAILED], columns=list(costs(records[0])))
        lost = [r.elapsed_seconds or r.wall_seconds or np.nan for r in records if r.status in FAILED]
        searched = _search(results, cell, earlier)
        rows.append(
            {"comparison": comparison, "cell": cell["cell"], "environment": cell["environment"]}
            | {"workload": cell["workload"], "trainer": cell["trainer"], "n": len(records)}
            # Whole trials only: a mean over other trials in each column would not add up.
            | finished.dropna(subset=["unaccounted_seconds"]).mean().to_dict()
            | {"failed": len(lost), "failed_seconds": float(sum(lost)), **_tuned(searched, cell)}
            | {"all_reached": bool(cell["n_reached"] == cell["n"])}
        )
    return pd.DataFrame(rows)


def _search(results: Results, cell: Cell, earlier: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that a cell's rate was searched with: this run's own, else those of ``earlier`` searches."""
    place = ["workload", "trainer", "environment"]
    trials = results.trials[(results.trials["comparison"] == "tuning") & (results.trials["search"] != "")]
    own = trials[(trials[place] == [cell[name] for name in place]).all(axis=1)]
    # An earlier search knows of no environments.
    workload = cell["workload"].removesuffix(f"@{cell['environment']}")
    return own if len(own) else earlier[(earlier["workload"] == workload) & (earlier["trainer"] == cell["trainer"])]


def _tuned(searched: pd.DataFrame, cell: Cell) -> dict[str, float]:
    """Return how many trials a search took, and how long, as far as that is known; NaN without a search."""
    reached = searched.loc[searched["status"] == "reached", "samples_to_target"]
    at_least = float(reached.sum() / cell["samples_per_second"]) if len(searched) else np.nan
    recorded = searched["train_seconds"] if "train_seconds" in searched else pd.Series([np.nan])
    seconds = float(recorded.sum(skipna=False)) if len(searched) else np.nan
    return {
        "tuning_trials": len(searched),
        "tuning_seconds": seconds,
        "tuning_seconds_at_least": at_least if math.isnan(seconds) else seconds,
    }


def pays_off(once_a: float, each_a: float, once_b: float, each_b: float) -> float:
    """Return the number of runs after which A has cost no more than B; infinite if it never does.

    Args:
        once_a: what A costs once, in any unit.
        each_a: what a run of A costs.
        once_b: what B costs once.
        each_b: what a run of B costs.

    Raises:
        ValueError: if a cost is not known.
    """
    if np.isnan([once_a, each_a, once_b, each_b]).any():
        raise ValueError("whether it pays off is not known without all four costs")
    if once_a <= once_b:
        return 0.0 if each_a <= each_b else math.inf
    if each_a >= each_b:
        return math.inf
    return float(math.ceil((once_a - once_b) / (each_b - each_a)))


def once(row: Cell) -> float:
    """Return what a strategy costs before its first run trains, in seconds; NaN where that is not known.

    Set-up, warm-up, compilation and tuning: a process that trains again and again pays for them once.
    """
    return float(row["setup_seconds"] + row["warmup_seconds"] + row["compile_seconds"] + row["tuning_seconds_at_least"])


def break_even(a: Cell, b: Cell) -> str:
    """Return after how many runs to the target strategy ``a`` has cost less than ``b``: "3 runs", "never".

    Args:
        a: a row of ``ledger``.
        b: another one of its workload.
    """
    costs_of = once(a), a["training_seconds"], once(b), b["training_seconds"]
    if np.isnan(costs_of).any() or not (a["all_reached"] and b["all_reached"]):
        return MISSING  # the mean over those that reached the target would not be a run's cost
    runs = pays_off(*costs_of)
    if math.isinf(runs):
        return "never" if once(a) >= once(b) else "cheaper at first only"
    return "at once" if runs == 0 else f"{runs:,.0f} runs"


def costs_table(results: Results, base: str = "MiniBatch") -> pd.DataFrame:
    """Return the ledger to read, in seconds a trial, and after how many runs a strategy pays off against ``base``."""
    entries = ledger(results)
    rows = []
    for entry in in_order(_rows(entries), "workload", "cell"):
        same = [row for row in _rows(entries) if (row["workload"], row["environment"]) == _place(entry)]
        against = next((row for row in same if row["trainer"] == base), None)
        columns = {
            "set-up": "setup_seconds",
            "warm-up": "warmup_seconds",
            "compile": "compile_seconds",
            "training": "training_seconds",
            "evaluation": "evaluation_seconds",
            "unaccounted": "unaccounted_seconds",
            "wall": "wall_seconds",
            "launch": "launch_seconds",
        }
        rows.append(
            {"workload": entry["workload"], "strategy": str(entry["cell"]).removeprefix(f"{entry['workload']}-")}
            | {name: _seconds(entry[column]) for name, column in columns.items()}
            | {
                "failed trials": _failed(entry),
                "tuning": _tuning(entry),
                f"cheaper than {base} after": "" if entry["trainer"] == base or against is None
                else break_even(entry, against),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _rows(table: pd.DataFrame) -> list[Cell]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _place(row: Cell) -> tuple[str, str]:
    return row["workload"], row["environment"]


def _seconds(value: float) -> str:
    return MISSING if math.isnan(value) else f"{number(value)} s"


def _failed(entry: Cell) -> str:
    if not entry["failed"]:
        return "none"
    return f"{entry['failed']} of {entry['n']}, in all {_seconds(entry['failed_seconds'])}"


def _tuning(entry: Cell) -> str:
    if not entry["tuning_trials"]:
        return "none recorded"
    trials = f"{number_of(entry['tuning_trials'])} trials"
    if not math.isnan(entry["tuning_seconds"]):
        return f"{trials}, {_seconds(entry['tuning_seconds'])}"
    return f"{trials}, seconds not recorded (at least {_seconds(entry['tuning_seconds_at_least'])})"
