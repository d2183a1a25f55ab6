"""What is shown of advisors replayed on the table of grids: how wrong each was, and what it cost."""

import math

import pandas as pd

from paceline.bench.analysis import regret
from paceline.bench.analysis.regret import GOAL, SHARE_OF_COST, Interval
from paceline.bench.analysis.searches import ADVISOR
from paceline.bench.analysis.statistics import Floats
from paceline.bench.report.wording import MISSING, number, percent, two_digits


def table(found: pd.DataFrame, cost: float = SHARE_OF_COST) -> pd.DataFrame:
    """Return how wrong each search is that may cost so much of the grid, with 95 % intervals over workloads.

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
            for row in regret.summary(found, cost)
        ]
    )


def against(found: pd.DataFrame) -> pd.DataFrame:
    """Return on how many workloads the advisor wins, ties and loses against each other search at equal cost."""
    counted = regret.against(found, ADVISOR)
    return counted.rename(columns={"search": f"{ADVISOR} against"}).astype({"wins": str, "ties": str, "losses": str})


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


def headline(found: pd.DataFrame, nulls: Floats, cost: float = SHARE_OF_COST) -> str:
    """Return in two sentences how often the advice is within the goal, and how often the best itself is."""
    row = regret.summary(found[found["search"] == ADVISOR], cost)[0]
    share = _shares(row.within)
    developed = found.loc[~found["held_out"], "workload"].nunique()
    said = (
        f"On {row.workloads} workloads, {developed} of which it was developed on, the advice was within "
        f"{percent(GOAL)} of the best in {share} of all searches, at {percent(row.cost, 1)} of what training every "
        "configuration takes."
    )
    if not len(nulls):
        return f"{said} The best was judged on the seeds that chose it, which flatters it."
    within = float((abs(nulls) <= GOAL).mean())
    return f"{said} The best itself came within {percent(GOAL)} of itself on other seeds in {percent(within)} of them."


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
