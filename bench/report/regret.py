"""What is shown of advisors replayed on the table of grids: how wrong each was, and what it cost."""

import math
from pathlib import Path

import pandas as pd

from paceline.bench.analysis import regret
from paceline.bench.analysis.grid_tables import SEEDS
from paceline.bench.analysis.regret import GOAL, SHARE_OF_COST, SHARE_OF_WORKLOADS, Interval
from paceline.bench.analysis.searches import ADVISOR, VERIFIED
from paceline.bench.report.plots.regret import regret as plot
from paceline.bench.report.wording import MISSING, number, percent, two_digits

__all__ = [
    "NONE",
    "against",
    "by_workload",
    "direct",
    "headline",
    "in_short",
    "plot",
    "published",
    "published_direct",
    "table",
]

# What Paceline comes with: the replay that was last published, on the workloads of ``results/regret``, and how far
# trials are from the product that it rests on.
FILE, DIRECT = (Path(__file__).with_name(name) for name in ("regrets.csv.gz", "regrets_direct.csv.gz"))
NONE = "Not measured: nothing was replayed yet."


def published() -> pd.DataFrame:
    """Return the regrets that Paceline comes with, as of ``analysis.regret.regrets``; none where it has none yet."""
    return pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=regret.COLUMNS)


def published_direct() -> pd.DataFrame:
    """Return the trials that Paceline comes with, as of ``analysis.regret.direct``; none where it has none yet."""
    return pd.read_csv(DIRECT) if DIRECT.exists() else pd.DataFrame(columns=regret.DIRECT_COLUMNS)


def table(found: pd.DataFrame, cost: float = SHARE_OF_COST) -> pd.DataFrame:
    """Return how wrong each search is that may cost so much of the grid, with 95 % intervals over workloads.

    It is that on the workloads held out, once there are any; likewise below.

    Args:
        found: of ``analysis.regret.regrets``.
        cost: a share of what one exhaustive search takes.
    """
    return pd.DataFrame(
        [
            {
                "how it was chosen": row.search,
                f"within {percent(GOAL)} of the best": _shares(row.within),
                "regret, median": _regrets(row.median),
                "90th percentile": _regrets(row.ninetieth),
                "worst": _regret(row.worst),
                "does not know": percent(row.abstains),
                "cost, of the grid's": percent(row.cost, 1),
                "workloads": str(row.workloads),
            }
            for row in regret.summary(regret.judged(found), cost)
        ]
    )


def against(found: pd.DataFrame) -> pd.DataFrame:
    """Return on how many workloads the advisor wins, ties and loses against each other search at equal cost."""
    counted = regret.against(regret.judged(found[found["search"] != VERIFIED]), ADVISOR)
    return counted.rename(columns={"search": f"{ADVISOR} against"}).astype({"wins": str, "ties": str, "losses": str})


def by_workload(found: pd.DataFrame, cost: float = SHARE_OF_COST) -> pd.DataFrame:
    """Return a row a workload: the regret of each of the advisor's searches, and who else was closest at its cost."""
    rows = []
    for workload, of_workload in regret.judged(found).groupby("workload", sort=False):
        ours = regret.at_cost(of_workload[of_workload["search"] == ADVISOR], cost)
        others = regret.at_cost(of_workload[~of_workload["search"].isin([ADVISOR, VERIFIED])], cost)
        means = others.groupby("search", sort=False)["regret"].apply(lambda values: values.fillna(math.inf).mean())
        rows.append(
            {
                "workload": workload,
                f"{ADVISOR}, by its first seed": ", ".join(map(_regret, ours["regret"].fillna(math.inf))),
                "closest of the others": f"{means.idxmin()}, {_regret(means.min())}" if len(means) else MISSING,
                "the best, on other seeds": _regret(float(of_workload["null"].iloc[0])),
            }
        )
    return pd.DataFrame(rows)


def direct(held_to: pd.DataFrame) -> pd.DataFrame:
    """Return, for each way to make a step, how far trials are from steps times seconds per step: ratios.

    Args:
        held_to: of ``analysis.regret.direct``.
    """
    return pd.DataFrame(
        [
            {
                "a step in": f"{dtype} on {threads} thread{'' if threads == 1 else 's'}",
                "steps, over the table's": _quartiles(trials["steps"]),
                "seconds, over the product": _quartiles(trials["seconds"]),
                "trials": str(len(trials)),
                "missed the target": str(int(trials["steps"].isna().sum())),
            }
            for (dtype, threads), trials in held_to.groupby(["dtype", "threads"])
        ]
    )


def headline(found: pd.DataFrame, cost: float = SHARE_OF_COST) -> str:
    """Return how often the advice is within the goal, at which cost, and how often the best itself is."""
    own = found[found["search"] == ADVISOR]
    if own.empty:
        return NONE
    row = regret.summary(regret.judged(own), cost)[0]
    said = (
        f"{_where(own, row.workloads)}, the advice was within {percent(GOAL)} of the best in {_shares(row.within)} of "
        f"all searches, for {percent(row.cost, 1)} of what training every configuration takes; aimed at were "
        f"{percent(SHARE_OF_WORKLOADS)}. In the median its regret was {_regret(row.median.value)}, at worst "
        f"{_regret(row.worst)}."
    )
    developed = own[~own["held_out"]]
    if own["held_out"].any() and len(developed):
        before = regret.summary(developed, cost)[0]
        said += f" On the {before.workloads} that it was developed on it was within in {percent(before.within.value)}."
    nulls = regret.null_regret(regret.judged(own))
    if not len(nulls):
        return f"{said} The best was judged on the seeds that chose it, which flatters it."
    verified = regret.judged(found[found["search"] == VERIFIED])
    if len(verified):
        whole = regret.summary(verified, math.inf)[0]
        said += (
            f" With the best two verified on up to ten other seeds it took {percent(whole.cost, 1)}, and was within in "
            f"{_shares(whole.within)}."
        )
    within, spread = float((abs(nulls) <= GOAL).mean()), regret.spread_by_seed(regret.judged(own))
    return (
        f"{said} What seeds allow: the best itself came within {percent(GOAL)} of itself on other seeds in "
        f"{percent(within)} of the workloads. Its runs differ by {percent(spread)} from seed to seed, in the median "
        f"workload, and of a cell a search has {len(SEEDS)} at most, whose mean is known to "
        f"{percent(spread / math.sqrt(len(SEEDS)))}."
    )


def in_short(found: pd.DataFrame, cost: float = SHARE_OF_COST) -> str:
    """Return in a sentence how far advice is to be trusted, before it is verified; nothing where it is not known."""
    own = found[found["search"] == ADVISOR]
    if own.empty:
        return ""
    row = regret.summary(regret.judged(own), cost)[0]
    return (
        f"How wrong such a search is: {_where(own, row.workloads).lower()} it was within {percent(GOAL)} of the best "
        f"in {_shares(row.within)} of all searches, and at worst {_regret(row.worst)} off."
    )


def _where(own: pd.DataFrame, workloads: int) -> str:
    if own["held_out"].any():
        return f"On {workloads} workloads that it had not seen"
    return f"On the {workloads} workloads that it was developed on"


def _quartiles(ratios: "pd.Series[float]") -> str:
    """Return the median, and between which the middle half lies."""
    low, middle, high = ratios.quantile([0.25, 0.5, 0.75])
    return MISSING if math.isnan(middle) else f"{number(middle)} [{number(low)} to {number(high)}]"


def _shares(found: Interval) -> str:
    return f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"


def _regrets(found: Interval) -> str:
    return f"{_regret(found.value)} [{_regret(found.low)}, {_regret(found.high)}]"


def _regret(value: float) -> str:
    """Return a regret: "3.1 %", of more than ten times the best "12 times", where nothing was chosen a dash."""
    if not math.isfinite(value):
        return MISSING
    return f"{number(1 + value)} times" if value > 10 else two_digits(value) if value > 0 else percent(value, 1)
