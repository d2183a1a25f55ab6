"""Tuning: what a score owes to the learning rate, how sure the best rate is, and what finding it cost.

A *search* is a set of trials that differ in learning rate and seed only; ``search`` in the trials is its name. All
searches of a comparison try equally many rates on the same seeds, so that what is said of them here is said at equal
effort. A rate is chosen by samples to target where trials race to it, for that depends on no clock, and by the final
score where all are given the same budget. No rate is valued on the seeds that it was chosen on. What a search is worth
was measured afterwards, at its best rate, on other seeds and in blocks with the best of all others: the cells that bear
the searches' names. What fewer rates would have been worth is told by the search's own trials: each seed is left out in
turn, the rate is chosen on the others, and its trial with that seed counts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import CONFIDENCE, SPENT, Floats, student
from paceline.bench.report.tables import MISSING, Cell, cells_of, listed, median_of, number, number_of

# Numbers of tried rates after which the best search is asked for.
EFFORTS = (3, 5, 9)

# A basin holds the rates that lose no more than this share of the best: of a time to target, of a score.
LOSS_OF_TIME, LOSS_OF_SCORE = 0.20, 0.01

# So many times the best rate's time to target needs no test to be called worse.
FAR = 3.0

SCORE = "final_score"


@dataclass(frozen=True)
class Searched:
    """The trials of one search.

    Attributes:
        comparison, workload, environment, search: which one it is.
        metric: what a rate is worth: "seconds_to_target" and the like, or "final_score".
        higher: whether a higher score is the better one; False where ``metric`` is not the score.
        rates: learning rates, rising, each tried with all ``seeds``.
        seeds: of the trials.
        chosen_by: what rates are ranked by, [rates, seeds]; less is better, so scores are negated.
        cost: what they are worth in ``metric``, [rates, seeds]; less is better, so scores are negated.
        failed: [rates, seeds]: whether the trial missed the target, diverged or ended without a result;
            where ``metric`` is the score, to miss the target is no failure.
        worthless: the ``chosen_by`` of a trial that failed.
        trials: rows of ``Results.trials``, those of rates without all seeds among them.
    """

    comparison: str
    workload: str
    environment: str
    search: str
    metric: str
    higher: bool
    rates: Floats
    seeds: tuple[int, ...]
    chosen_by: Floats
    cost: Floats
    failed: npt.NDArray[np.bool_]
    worthless: float
    trials: pd.DataFrame

    @property
    def name(self) -> str:
        """What the search is called within its workload: "Online", "SgdCosine"."""
        return self.search.removeprefix(f"{self.workload}-")

    @property
    def sign(self) -> float:
        """What turns a cost back into a value of ``metric``."""
        return -1.0 if self.higher else 1.0

    def order(self, seeds: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.intp]:
        """Return the rates' indices, best first: fewest failures, then the least mean of ``chosen_by``.

        Args:
            seeds: [seeds], which of them to judge by; None judges by all.
        """
        used = np.ones(len(self.seeds), bool) if seeds is None else seeds
        means, failures = self.chosen_by[:, used].mean(axis=1), self.failed[:, used].sum(axis=1)
        return np.lexsort((self.rates, means, failures))

    @property
    def best(self) -> int:
        """Index of the best rate, judged by all seeds."""
        return int(self.order()[0])


# From trials to searches


def searches(results: Results, comparison: str, metric: str | None = None) -> list[Searched]:
    """Return the searches of a comparison, by workload and name; none where no rate was tried with all seeds.

    A trial that missed the target, or ended without a result, counts with twice the most that any trial of the
    workload spent (PAR-2), which is no measurement of what it would have taken. Where the score is what counts, one
    that diverged or ended without a result counts as one that learned nothing, and so does a score that is worse:
    with the median of all trials' first scores (with the worst score, where none was scored along the way).

    Args:
        results: of a run.
        comparison: whose searches.
        metric: what the rates are worth; None is "seconds_to_target" where trials race to the target, else
            "final_score".

    Source: for PAR-2 the rules of the SAT competitions; F. Hutter et al. 2009, J. Artif. Intell. Res. 36.
    """
    trials = results.trials
    trials = trials[(trials["comparison"] == comparison) & (trials["search"] != "")]
    trials = trials[~trials["superseded"].astype(bool)]
    if trials.empty:
        return []
    first = next(record for record in results.records if record.comparison == comparison and record.search)
    metric = metric or ("seconds_to_target" if first.stop_at_target else SCORE)
    found = []
    for (workload, environment), of_workload in trials.groupby(["workload", "environment"], sort=False):
        higher = next(record.higher_is_better for record in results.records if record.workload == workload)
        peers = _valued(results, of_workload, metric, higher)
        for name, rows in peers.groupby("search", sort=True):
            one = _searched(rows, (comparison, str(workload), str(environment), str(name)), metric, higher)
            found += [one] if one is not None else []
    return sorted(found, key=lambda one: (one.workload, one.environment, one.name))


def _valued(results: Results, trials: pd.DataFrame, metric: str, higher: bool) -> pd.DataFrame:
    """Return ``trials`` of one workload with ``chosen_by``, ``cost``, ``failed`` and ``worthless``."""
    unusable = ~trials["status"].isin(["reached", "missed", "plateaued"])
    if metric == SCORE:
        sign = -1.0 if higher else 1.0
        cost = (sign * trials[SCORE].astype(float)).mask(unusable)
        nothing = sign * _untrained(results, trials)
        nothing = cost.max() if math.isnan(nothing) else nothing
        cost = cost.fillna(nothing).clip(upper=nothing)
        return trials.assign(chosen_by=cost, cost=cost, failed=unusable, worthless=nothing)
    par2 = {name: 2 * float(trials[SPENT[name]].max()) for name in ("samples_to_target", metric)}
    samples, cost = (trials[name].astype(float).fillna(par2[name]) for name in ("samples_to_target", metric))
    failed, worthless = trials[metric].isna(), par2["samples_to_target"]
    return trials.assign(chosen_by=samples, cost=cost, failed=failed, worthless=worthless)


def _untrained(results: Results, trials: pd.DataFrame) -> float:
    """Return the median of the trials' first scores; where they were scored once only, NaN."""
    scored = results.curves[results.curves["score"].notna() & results.curves["trial"].isin(trials["trial"])]
    by_trial = scored.groupby("trial")["score"]
    return float(by_trial.first()[by_trial.size() > 1].median())


def _searched(rows: pd.DataFrame, where: tuple[str, str, str, str], metric: str, higher: bool) -> Searched | None:
    """Return one search, of the rates that were tried with all seeds; None if there is no such rate."""
    tables = {name: rows.pivot_table(name, "lr", "seed", aggfunc="last") for name in ("chosen_by", "cost", "failed")}
    complete = tables["cost"].dropna().index
    if not len(complete):
        return None
    chosen_by, cost, failed = (tables[name].loc[complete].to_numpy() for name in tables)
    return Searched(
        *where,
        metric,
        higher and metric == SCORE,
        complete.to_numpy(float),
        tuple(int(seed) for seed in tables["cost"].columns),
        chosen_by.astype(float),
        cost.astype(float),
        failed.astype(bool),
        float(rows["worthless"].iloc[0]),
        rows,
    )


# What a search says


def unresolved(found: Searched) -> Floats:
    """Return the rates of which none is shown to be worse than the best: the truly best is among them, in 95 %.

    The trials of the rates that never failed are a table of rates by seeds. What is left when the means of its rows
    and columns are taken off is the noise, one standard deviation for all rates (of log samples, or of the score),
    with (rates - 1) x (seeds - 1) degrees of freedom: two seeds will do. A rate is worse where its mean exceeds the
    best one's by more than Student's one-sided bound, at 5 % over the number of rates compared (Bonferroni).

    Three kinds of rates are left out without a test: those that failed more often than the best; those that take three
    times as long; and those whose scores gained less than half of what the best one's did over an untrained model's.
    Their noise is not that of the others: next to divergence it is many times as large. With one seed, or where the
    best rate failed too, nothing is known, and all are returned that failed no more often.

    Played with seven rates of which the best differs from its neighbours by half of what trials differ by, it keeps the
    best in 99 % with two seeds and with three; in 95 % where its trials differ three times as much as the others'.

    Source: J. C. Hsu 1996, Multiple Comparisons, chapter 4 (comparisons with the best).
    """
    failures, best, costs = found.failed.sum(axis=1), found.best, found.chosen_by.mean(axis=1)
    far = (costs[best] + found.worthless) / 2 if found.metric == SCORE else FAR * costs[best]
    equal, seeds = failures == failures[best], len(found.seeds)
    if seeds < 2 or failures[best]:
        return np.asarray(found.rates[equal])
    candidates = np.flatnonzero(equal & ((costs <= far) | (costs == costs[best])))
    if len(candidates) < 2:
        return np.asarray(found.rates[candidates])
    values = found.chosen_by[candidates]
    values = values if found.metric == SCORE else np.log(values)
    means = values.mean(axis=1)
    noise = values - means[:, np.newaxis] - values.mean(axis=0) + values.mean()
    freedom = (len(candidates) - 1) * (seeds - 1)
    spread = math.sqrt(float((noise**2).sum()) / freedom)
    most = stats.t.isf((1 - CONFIDENCE) / (len(candidates) - 1), freedom) * spread * math.sqrt(2 / seeds)
    return np.asarray(found.rates[candidates[means - means[candidates == best] <= most]])


@dataclass(frozen=True)
class Basin:
    """The rates around the best that lose little; see ``basin``.

    Attributes:
        low, high: its ends.
        open_low, open_high: whether it goes on beyond the lowest, or the highest, rate that was tried.
    """

    low: float
    high: float
    open_low: bool
    open_high: bool

    @property
    def decades(self) -> float:
        """Its width in powers of ten, as far as it was seen."""
        return math.log10(self.high / self.low)

    @property
    def text(self) -> str:
        """The width, as in a table."""
        bound = "at least " if self.open_low or self.open_high else ""
        return f"{bound}{self.decades:.1f} decades"


def basin(found: Searched) -> Basin:
    """Return the rates around the best within 20 % of its time to target, or within 1 % of its score.

    By the means over all seeds, joined by straight lines over the logarithm of the rate. NaN where the best rate
    always failed.
    """
    best, cost = found.best, found.chosen_by.mean(axis=1)
    if found.failed[best].all():
        return Basin(np.nan, np.nan, False, False)
    if found.metric == SCORE:
        most = cost[best] + LOSS_OF_SCORE * abs(cost[best])
    else:
        cost, most = np.log(cost), math.log(cost[best] * (1 + LOSS_OF_TIME))
    logs = np.log10(found.rates)

    def end(step: int) -> tuple[float, bool]:
        here = best
        while 0 <= here + step < len(logs):
            there = here + step
            if cost[there] > most:
                share = (most - cost[here]) / (cost[there] - cost[here])
                return float(10 ** (logs[here] + share * (logs[there] - logs[here]))), False
            here = there
        return float(found.rates[here]), True

    (low, open_low), (high, open_high) = end(-1), end(1)
    return Basin(low, high, open_low, open_high)


def chances(rates: int, k: int) -> Floats:
    """Return the chance [rates] that the i-th best of ``rates`` is the best of ``k`` drawn without replacement.

    All k are among the i-th and those behind it, and one of them is the i-th: C(rates - i, k - 1) / C(rates, k).

    Raises:
        ValueError: if ``k`` is not in 1..rates.
    """
    if not 1 <= k <= rates:
        raise ValueError(f"k must be in 1..{rates}, the number of rates tried; got {k}")
    behind = np.arange(rates - 1, -1, -1)
    return np.asarray(special.comb(behind, k - 1) / special.comb(rates, k))


def best_of(found: Searched, k: int) -> Floats:
    """Return the expected cost [seeds] of the best of ``k`` of the tried rates, drawn at random.

    The expectation is exact, over all sets of ``k`` rates. Each seed's is of rates chosen on the other seeds; with one
    seed there is no other, and the choice is optimistic. Times ``found.sign`` it is in the metric's unit.

    Raises:
        ValueError: see ``chances``.

    Source: J. Dodge et al. 2019, "Show Your Work" (EMNLP), equation 5, there with replacement.
    """
    probabilities = chances(len(found.rates), k)
    return np.array([probabilities @ found.cost[found.order(others), s] for s, others in _left_out(found)])


def _left_out(found: Searched) -> list[tuple[int, npt.NDArray[np.bool_] | None]]:
    """Return each seed's index, and which seeds to choose on when it counts."""
    seeds = np.arange(len(found.seeds))
    return [(int(s), seeds != s if len(seeds) > 1 else None) for s in seeds]


def optimism(found: Searched) -> float:
    """Return how much better the best rate looks on the seeds that chose it than on others; NaN with one seed.

    As a share of what it is worth on the others. Infinite where it failed on all of them.
    """
    if len(found.seeds) < 2:
        return math.nan
    honest = float(best_of(found, len(found.rates)).mean())
    return (honest - float(found.cost[found.best].mean())) / abs(honest) if honest else math.nan


def _by_seed(found: Searched, k: int) -> "pd.Series[float]":
    return pd.Series(best_of(found, k), index=found.seeds)


# What a search costs


@dataclass(frozen=True)
class Cost:
    """What the trials of a search took in all, whichever of them were any use.

    Attributes:
        trials: how many.
        diverged, missed, failed: how many ended so; ``failed`` is without a result.
        train_seconds: seconds of training.
        wall_seconds: of the trials' processes, from start to end; NaN if one did not live to tell.
        samples: samples trained on.
        diverged_share, missed_share: of ``train_seconds``, what trials took that diverged, or missed the target.
    """

    trials: int
    diverged: int
    missed: int
    failed: int
    train_seconds: float
    wall_seconds: float
    samples: float
    diverged_share: float
    missed_share: float


def cost_of(trials: pd.DataFrame) -> Cost:
    """Return what ``trials`` took, all those of a search."""
    seconds, status = trials["train_seconds"].fillna(0.0), trials["status"]
    total = float(seconds.sum())
    diverged, missed = status == "diverged", status.isin(["missed", "plateaued"])
    return Cost(
        len(trials),
        int(diverged.sum()),
        int(missed.sum()),
        int((~(diverged | missed | (status == "reached"))).sum()),
        total,
        float(trials["wall_seconds"].sum(skipna=False)),
        float(trials["samples"].sum()),
        float(seconds[diverged].sum() / total) if total else math.nan,
        float(seconds[missed].sum() / total) if total else math.nan,
    )


# Whether the best search depends on how much was tuned


@dataclass(frozen=True)
class Standing:
    """Which search of a workload is best after how many tried rates.

    Attributes:
        searches: those compared.
        efforts: numbers of tried rates that were asked for.
        best: name of the search with the best expected value, for each effort.
        tied: names of those not resolved from it, for each effort; all others where there are fewer than three seeds.
    """

    searches: tuple[Searched, ...]
    efforts: tuple[int, ...]
    best: tuple[str, ...]
    tied: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        """Return "tuning-dependent" where the best search is not the same for all efforts, else "stable".

        Empty where there are no two searches, or too few rates for two efforts: there is nothing that could change.
        """
        if len(self.searches) < 2 or len(self.efforts) < 2:
            return ""
        return "stable" if len(set(self.best)) == 1 else "tuning-dependent"

    def turns(self, name: str) -> bool:
        """Return whether this search and the one that is best at the largest effort change places below it."""
        return self.label == "tuning-dependent" and name in self.best


def efforts(found: list[Searched]) -> tuple[int, ...]:
    """Return 3, 5 and 9 tried rates, as far as all of ``found`` tried so many, and all that they tried if fewer."""
    most = min(len(one.rates) for one in found)
    return tuple(sorted({k for k in EFFORTS if k <= most} | {min(most, EFFORTS[-1])}))


def standings(results: Results, comparison: str, metric: str | None = None) -> list[Standing]:
    """Return which search is best after how many tried rates, for each workload (and environment).

    A search is *tuning-dependent* if it has the best expected value for one number of tried rates out of 3, 5 and 9,
    and another one has it for another number: what was concluded would turn on how much was tuned.

    Args:
        results: see ``searches``.
        comparison: see ``searches``.
        metric: see ``searches``.
    """
    groups: dict[tuple[str, str], list[Searched]] = {}
    for one in searches(results, comparison, metric):
        groups.setdefault((one.workload, one.environment), []).append(one)
    return [_standing(group) for group in groups.values()]


def _standing(group: list[Searched]) -> Standing:
    ks, best, tied = efforts(group), [], []
    for k in ks:
        by_seed = {one.name: _by_seed(one, k) for one in group}
        first = min(by_seed, key=lambda name: float(by_seed[name].mean()))
        others = [name for name in by_seed if name != first]
        best.append(first)
        tied.append(tuple(name for name in others if not _worse(by_seed[name], by_seed[first], group[0].metric)))
    return Standing(tuple(group), ks, tuple(best), tuple(tied))


def _worse(a: "pd.Series[float]", b: "pd.Series[float]", metric: str) -> bool:
    """Return whether the costs ``a`` are resolved to exceed ``b``, seed by seed (Student's t)."""
    differences = (a - b).dropna() if metric == SCORE else (a / b).dropna().map(math.log)
    return len(differences) >= 3 and bool(student(np.array(differences))[0] > 0)


# To read


def table(results: Results, comparison: str, metric: str | None = None) -> pd.DataFrame:
    """Return the searches of a comparison: the best rate, how sure it is, and what it is worth.

    Scores and ways to the target are those measured at the best rate; all else is told by the search's own trials.

    Args:
        results: see ``searches``.
        comparison: see ``searches``.
        metric: see ``searches``.
    """
    measured = {(cell["cell"], cell["environment"]): cell for cell in cells_of(results, comparison)}
    return pd.DataFrame(
        [
            _row(one, standing, measured.get((one.search, one.environment)))
            for standing in standings(results, comparison, metric)
            for one in standing.searches
        ]
    )


def _row(found: Searched, standing: Standing, at_best: Cell | None) -> dict[str, str]:
    show = _formatter(found)
    expected = {
        f"best of {k}": show(float(best_of(found, k).mean())) if k <= len(found.rates) else MISSING for k in EFFORTS
    }
    return {
        "workload": found.workload,
        "search": found.name,
        "rates x seeds": f"{len(found.rates)} x {len(found.seeds)}",
        "best rate [not resolved]": _rate(found),
        "basin": MISSING if math.isnan(basin(found).low) else basin(found).text,
        **({"final score": _measured(at_best, SCORE)} if found.metric == SCORE else {}),
        "seconds to target": _measured(at_best, "seconds_to_target", "s"),
        "samples to target": _measured(at_best, "samples_to_target"),
        **expected,
        "optimism": _share(optimism(found)),
        "label": "tuning-dependent" if standing.turns(found.name) else "",
    }


def costs(results: Results, comparison: str) -> pd.DataFrame:
    """Return what each search of a comparison took, and which share of it led nowhere.

    Args:
        results: see ``searches``.
        comparison: see ``searches``.
    """
    rows = []
    for found in searches(results, comparison):
        spent = cost_of(found.trials)
        rows.append(
            {
                "workload": found.workload,
                "search": found.name,
                "trials": str(spent.trials),
                "diverged": str(spent.diverged),
                "missed": str(spent.missed),
                "failed": str(spent.failed),
                "training": _seconds(spent.train_seconds),
                "of it, diverged": _share(spent.diverged_share),
                "of it, missed": _share(spent.missed_share),
                "processes": _seconds(spent.wall_seconds),
                "samples": number_of(spent.samples),
            }
        )
    return pd.DataFrame(rows)


def _measured(cell: Cell | None, metric: str, unit: str = "") -> str:
    """Return a median; "—" where the run ended before the best rate was measured."""
    return MISSING if cell is None else median_of(cell, metric, unit)


def _rate(found: Searched) -> str:
    """Return "0.1 [0.0316, 0.178]": the best rate and the range of those that are not resolved from it."""
    if found.failed[found.best].all():
        return MISSING
    rates = unresolved(found)
    edge = " (at the edge)" if found.best in (0, len(found.rates) - 1) and len(found.rates) > 1 else ""
    return f"{found.rates[found.best]:g} [{rates.min():g}, {rates.max():g}]{edge}"


def _formatter(found: Searched) -> Callable[[float], str]:
    unit = " s" if found.metric.startswith("seconds") else ""
    return lambda cost: f"{number(found.sign * cost)}{unit}"


def _share(share: float) -> str:
    return MISSING if not math.isfinite(share) else f"{100 * share:.1f} %"


def _seconds(value: float) -> str:
    return MISSING if math.isnan(value) else f"{number(value)} s"


def verdict(results: Results, comparison: str, metric: str | None = None) -> str:
    """Return, in a sentence or two a workload, which search is best and whether that depends on how much was tuned.

    Args:
        results: see ``searches``.
        comparison: see ``searches``.
        metric: see ``searches``.
    """
    return " ".join(_sentence(standing) for standing in standings(results, comparison, metric))


def _sentence(standing: Standing) -> str:
    first = standing.searches[0]
    show, by_name = _formatter(first), {one.name: one for one in standing.searches}
    what = {SCORE: "final score"}.get(first.metric, first.metric.replace("_", " "))
    seeds = min(len(one.seeds) for one in standing.searches)

    def at(k: int, name: str) -> str:
        return f"{name} ({show(float(best_of(by_name[name], k).mean()))})"

    if len(standing.searches) == 1:
        k = standing.efforts[-1]
        return (
            f"On {first.workload} only {first.name} was searched: expected {what} after {k} rates {at(k, first.name)}."
        )
    winners = ", ".join(f"{at(k, best)} after {k}" for k, best in zip(standing.efforts, standing.best, strict=True))
    said = f"On {first.workload} the best expected {what} has {winners} tried rates"
    if standing.label == "stable":
        said += ": the same however much is tuned."
    elif standing.label:
        said += ": which is best is tuning-dependent."
    else:
        said += "; with so few rates nothing is known of how that depends on the effort."
    if seeds < 3:
        return f"{said} No difference is resolved with {seeds} seed{'s' * (seeds != 1)} of the search."
    shown = range(len(standing.efforts)) if standing.label == "tuning-dependent" else [-1]
    return " ".join([said, *(_resolved(standing.efforts[i], standing.tied[i]) for i in shown)])


def _resolved(k: int, tied: tuple[str, ...]) -> str:
    if not tied:
        return f"After {k} all others are resolved to be worse."
    return f"After {k} {listed(tied)} {'are' if len(tied) > 1 else 'is'} not resolved to be worse."
