"""How wrong an advice is: seconds to target of what was recommended over those of the best that there is, less 1.

Three sets of seeds keep what chooses apart from what judges. The best is found on the first, of every cell there is;
its best five compete once more on the second; and on the third the winner and what was recommended are measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paceline.bench.analysis.grid_tables import AGAIN, JUDGING, SEEDS, Cell, GridTable, steps_of
from paceline.bench.analysis.replay import Search, replayed
from paceline.bench.analysis.searches import SEARCHES, TIMED, timing_seconds
from paceline.bench.analysis.statistics import Floats

FINALISTS = 5
# The goal: regret of at most this, on so many unseen workloads, at no more than this share of what the grid costs.
GOAL, SHARE_OF_WORKLOADS, SHARE_OF_COST = 0.05, 0.90, 0.10
TIE = 0.02  # regrets that differ by less are a tie
RESAMPLED = 2_000

COLUMNS = ["search", "workload", "held_out", "order", "cost", "regret", "null", "spread"]
DIRECT_COLUMNS = ["workload", "dtype", "threads", "seed", "steps", "seconds"]


@dataclass(frozen=True)
class Best:
    """The best cell of a table.

    Attributes:
        cell: batch size and rate.
        seconds: to target, on the seeds that judge.
        null: its own regret: those over what it took on the seeds on which it won, less 1; NaN without fresh seeds.
        spread: by how much its runs on those differ, the standard deviation of ln seconds; likewise.
    """

    cell: Cell
    seconds: float
    null: float
    spread: float


def best_of(table: GridTable) -> Best:
    """Return the best cell of a table. Without fresh seeds it is judged on what chose it, which flatters it."""
    ranked = sorted(table.cells, key=lambda cell: table.seconds(cell, SEEDS))[:FINALISTS]
    again = [cell for cell in ranked if table.has(cell, AGAIN) and table.has(cell, JUDGING)]
    if not again:
        return Best(ranked[0], table.seconds(ranked[0], SEEDS), np.nan, np.nan)
    winner = min(again, key=lambda cell: table.seconds(cell, AGAIN))
    seconds = table.seconds(winner, JUDGING)
    logs = np.log([table.seconds(winner, [seed]) for seed in (*AGAIN, *JUDGING)])
    return Best(winner, seconds, seconds / table.seconds(winner, AGAIN) - 1, float(np.std(logs, ddof=1)))


def regret_of(table: GridTable, cell: Cell, best: Best) -> float:
    """Return the regret of a cell, in the fastest way that a search knows of, on the seeds that judge.

    Of one that was not run on those, it is that on the grid's own.
    """
    steps = table.steps(cell, JUDGING if table.has(cell, JUDGING) else SEEDS)
    return steps * table.timed[cell[0]] / best.seconds - 1


def regrets(tables: Sequence[GridTable], searches: Mapping[str, Search] = SEARCHES) -> pd.DataFrame:
    """Replay every search on every table, once from each of the grid's seeds.

    Returns:
        A row for each state of each replay: ``search``, ``workload``, ``held_out``, ``order`` (which seed came first),
        ``cost`` (seconds spent until then, timings of steps included, over those of the grid on one seed),
        ``regret``, NaN where the search abstains, and of the workload's best itself its regret, ``null``, and by how
        much its runs differ, ``spread``.
    """
    rows = []
    for table in tables:
        best = best_of(table)
        for name, search in searches.items():
            timed = timing_seconds(table) if name in TIMED else 0.0
            for order in range(len(SEEDS)):
                for point in replayed(search, table, order, timed):
                    regret = np.nan if point.choice is None else regret_of(table, point.choice, best)
                    cost = point.spent / table.cost
                    rows.append((name, table.name, table.held_out, order, cost, regret, best.null, best.spread))
    return pd.DataFrame(rows, columns=COLUMNS)


def judged(found: pd.DataFrame) -> pd.DataFrame:
    """Return what an advisor is judged by: the workloads that it was frozen before; all, where there are none yet."""
    return found[found["held_out"]] if found["held_out"].any() else found


def at_cost(found: pd.DataFrame, cost: float) -> pd.DataFrame:
    """Return each replay's last state within ``cost``, a share of the grid's: one row each, NaN where it abstains."""
    keys = ["search", "workload", "held_out", "order"]
    every = found[keys].drop_duplicates()
    # A tolerance: costs are sums of floats.
    within = found[found["cost"] <= cost * (1 + 1e-9)]
    return every.merge(within.groupby(keys, as_index=False).tail(1), on=keys, how="left")


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval, from workloads drawn with replacement."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """How one search's regrets are spread, at one cost.

    Attributes:
        search: which.
        within: the share of replays within ``GOAL``; one that abstains is not.
        median, ninetieth: of regret, its median and 90th percentile; infinite where an abstention is that one.
        worst: the largest, likewise.
        abstains: the share of replays that do.
        cost: the median cost of those states.
        workloads: how many there are.
    """

    search: str
    within: Interval
    median: Interval
    ninetieth: Interval
    worst: float
    abstains: float
    cost: float
    workloads: int


def summary(found: pd.DataFrame, cost: float = SHARE_OF_COST) -> list[Spread]:
    """Return, for each search that may cost so much, how its regrets are spread."""
    spreads = []
    for name, of_search in at_cost(found, cost).groupby("search", sort=False):
        by_workload = [regret.fillna(np.inf).to_numpy() for _, regret in of_search.groupby("workload")["regret"]]
        spreads.append(
            Spread(
                search=str(name),
                within=over_workloads(by_workload, lambda regrets: (regrets <= GOAL).mean(axis=-1)),
                median=over_workloads(by_workload, lambda regrets: quantile(regrets, 0.5)),
                ninetieth=over_workloads(by_workload, lambda regrets: quantile(regrets, 0.9)),
                worst=float(np.concatenate(by_workload).max()),
                abstains=float(of_search["regret"].isna().mean()),
                cost=float(of_search["cost"].median()),
                workloads=len(by_workload),
            )
        )
    return spreads


def quantile(values: Floats, share: float) -> Floats:
    """Return the smallest of ``values [..., N]`` that so many of them do not exceed, ``[...]``; it may be infinite."""
    return np.asarray(np.quantile(values, share, axis=-1, method="inverted_cdf"))


def over_workloads(by_workload: Sequence[Floats], of: Callable[[Floats], Floats]) -> Interval:
    """Return ``of`` all values, and the interval from drawing whole workloads: those are what is independent.

    Args:
        by_workload: those of each, equally many.
        of: of values ``[..., N]`` their statistic ``[...]``.
    """
    values = np.stack(by_workload)
    drawn = values[np.random.default_rng(0).integers(len(values), size=(RESAMPLED, len(values)))]
    statistics = of(drawn.reshape(RESAMPLED, -1))
    low, high = float(quantile(statistics, 0.025)), float(quantile(statistics, 0.975))
    return Interval(float(of(values.ravel())), low, high)


def curve(found: pd.DataFrame, costs: Sequence[float]) -> pd.DataFrame:
    """Return each search's regret against cost: ``search``, ``cost``, ``median``, ``ninetieth``, ``within``."""
    rows = []
    for cost in costs:
        for name, regret in at_cost(found, cost).groupby("search", sort=False)["regret"]:
            values = regret.fillna(np.inf).to_numpy()
            within = float((values <= GOAL).mean())
            rows.append((name, cost, float(quantile(values, 0.5)), float(quantile(values, 0.9)), within))
    return pd.DataFrame(rows, columns=["search", "cost", "median", "ninetieth", "within"])


def against(found: pd.DataFrame, ours: str) -> pd.DataFrame:
    """Return on how many workloads ``ours`` wins, ties and loses against each other search, at what it cost itself.

    Returns:
        ``search``, ``wins``, ``ties``, ``losses``. A workload's regret is the mean over replays, that of an abstention
        infinite.
    """
    last = at_cost(found[found["search"] == ours], np.inf)
    counts: dict[str, list[int]] = {}
    for workload, of_workload in found.groupby("workload"):
        own = last[last["workload"] == workload]
        mine = _mean(own["regret"])
        for name, others in of_workload[of_workload["search"] != ours].groupby("search", sort=False):
            theirs = _mean(at_cost(others, float(own["cost"].mean()))["regret"])
            outcome = 1 if mine == theirs or abs(mine - theirs) < TIE else 0 if mine < theirs else 2
            counts.setdefault(str(name), [0, 0, 0])[outcome] += 1
    rows = [(name, *wins_ties_losses) for name, wins_ties_losses in counts.items()]
    return pd.DataFrame(rows, columns=["search", "wins", "ties", "losses"])


def _mean(regret: "pd.Series[float]") -> float:
    return float(regret.fillna(np.inf).mean())


def null_regret(found: pd.DataFrame) -> Floats:
    """Return the best cells' own regrets between two sets of fresh seeds, ``[T]``: below that, regret is not seen."""
    return found.groupby("workload")["null"].first().dropna().to_numpy()


def spread_by_seed(found: pd.DataFrame) -> float:
    """Return by how much runs of the best cell differ, in ln seconds, in the median workload; NaN if not known."""
    return float(found.groupby("workload")["spread"].first().median())


def direct(tables: Sequence[GridTable], folder: Path) -> pd.DataFrame:
    """Return how trials that raced to the target compare with steps times seconds per step.

    Args:
        tables: whose products they are held to.
        folder: in which ``direct.csv`` is, if there is one.

    Returns:
        A row a trial: ``workload``, ``dtype``, ``threads``, ``seed``, and the ratios ``steps`` and ``seconds`` of what
        it took to what the table says; NaN where it missed the target.
    """
    file, rows, by_name = folder / "direct.csv", [], {table.name: table for table in tables}
    if not file.exists():
        return pd.DataFrame(columns=DIRECT_COLUMNS)
    for row in pd.read_csv(file).to_dict("records"):
        table = by_name.get(row["workload"])
        if table is None:
            continue
        predicted = steps_of(table.runs[row["batch_size"], row["lr"], row["seed"]])
        per_step = table.seconds_per_step[row["batch_size"], row["dtype"], row["threads"]]
        reached = row["status"] == "reached"
        ratios = (row["steps"] / predicted, row["seconds"] / (predicted * per_step)) if reached else (np.nan, np.nan)
        rows.append((row["workload"], row["dtype"], row["threads"], row["seed"], *ratios))
    return pd.DataFrame(rows, columns=DIRECT_COLUMNS)
