"""Searches for the learning rate: their trials as rates by seeds, and what each is worth.

A *search* is a set of trials that differ in learning rate and seed only; ``search`` in the trials is its name. All
searches of a comparison try equally many rates on the same seeds, so that what is said of them is said at equal effort.
A rate is chosen by samples to target where trials race to it, for that depends on no clock, and by the score on the
validation samples where all are given the same budget; what it is worth is then its score on the test samples. What a
search is worth was measured afterwards, at its best rate, on other seeds and in blocks with the best of all others:
the cells that bear the searches' names.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import SPENT, Floats

SCORE = "final_score"

# How far from a place of the coarse grid, in its steps, a rate may lie and still be of it.
NEAR = 0.1


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

    @property
    def coarse(self) -> npt.NDArray[np.intp]:
        """The indices of the rates of its coarse grid: those that were not placed around the best of others.

        The grid is even on the logarithm, and what was added within it halves its steps. Where the rates lie on no such
        grid, all of them.
        """
        logs = np.log(self.rates)
        if len(logs) < 3:
            return np.arange(len(logs))
        places = (logs - logs[0]) / np.diff(logs).max()
        on_grid = np.flatnonzero(np.abs(places - places.round()) < NEAR)  # rates are rounded to three digits
        return on_grid if 2 * len(on_grid) > len(logs) else np.arange(len(logs))

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
        scores = (sign * trials[["validation_score", SCORE]].astype(float)).mask(unusable)
        nothing = sign * _untrained(results, trials)
        nothing = float(scores.to_numpy().max()) if math.isnan(nothing) else nothing
        scores = scores.fillna(nothing).clip(upper=nothing)
        chosen_by, cost = scores["validation_score"], scores[SCORE]
        return trials.assign(chosen_by=chosen_by, cost=cost, failed=unusable, worthless=nothing)
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
    """Return one search, of the rates that were tried with all seeds; None if there is no such rate.

    A seed that ran twice at a rate counts once, with the median of its trials; it failed if any of them did.
    """
    once = rows.groupby(["lr", "seed"]).agg({"chosen_by": "median", "cost": "median", "failed": "max"})
    tables = {name: once[name].unstack("seed") for name in ("chosen_by", "cost", "failed")}
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
