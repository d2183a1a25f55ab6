"""What the report shows of any comparison whose learning rates were searched: ``tuning``, ``optimizers``."""

import math
from collections.abc import Callable

import pandas as pd

from paceline.bench.analysis.cells import Cell, cells_of
from paceline.bench.analysis.cotuned import found_along
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.rate_searches import SCORE, Searched, searches
from paceline.bench.analysis.rate_sensitivity import Basin, basin, unresolved
from paceline.bench.analysis.search_cost import cost_of
from paceline.bench.analysis.tuning_effort import EFFORTS, Standing, best_of, optimism, standings
from paceline.bench.report.metrics import columns
from paceline.bench.report.wording import MISSING, in_seconds, listed, number, number_of, percent

ALONG = "found along with it"

# The columns that tell what more or less tuning would do.
OF_EFFORT = (*(f"best of {k}" for k in EFFORTS[1:]), "optimism")


def table(results: Results, comparison: str, metric: str | None = None) -> pd.DataFrame:
    """Return the searches of a comparison: the best rate, how sure it is, and what it is worth.

    Scores and ways to the target are those measured at the best rate; all else is told by the search's own trials. What
    no search can tell has no column.

    Args:
        results: see ``searches``.
        comparison: see ``searches``.
        metric: see ``searches``.
    """
    measured = {(cell["cell"], cell["environment"]): cell for cell in cells_of(results, comparison)}
    rows = [
        _row(one, standing, measured.get((one.search, one.environment)))
        for standing in standings(results, comparison, metric)
        for one in standing.searches
    ]
    # Few rates, or one seed, say nothing of effort; and most searches are for the rate alone.
    untold = [name for name in (ALONG, *OF_EFFORT) if all(row[name] == MISSING for row in rows)]
    return pd.DataFrame(rows).drop(columns=untold, errors="ignore")


def _row(found: Searched, standing: Standing, at_best: Cell | None) -> dict[str, str]:
    show, along = _formatter(found), found_along(found)
    expected = {
        f"best of {k}": show(float(best_of(found, k).mean())) if k <= len(found.coarse) else MISSING for k in EFFORTS
    }
    return {
        "workload": found.workload,
        "search": found.name,
        "rates x seeds": f"{len(found.rates)} x {len(found.seeds)}",
        "best rate [not resolved]": _rate(found),
        ALONG: ", ".join(f"{name} {_setting(value)}" for name, value in along.items()) or MISSING,
        # Along the rates of a search for more than the rate, all else changes too: no basin of rates.
        "basin": MISSING if along or math.isnan(basin(found).low) else width(basin(found)),
        # Nothing there where the run ended before the best rate was measured.
        **columns(at_best, *([SCORE] if found.metric == SCORE else []), "seconds_to_target", "samples_to_target"),
        **expected,
        "optimism": percent(optimism(found), 1),
        "label": "tuning-dependent" if standing.turns(found.name) else "",
    }


def _setting(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def efforts(results: Results, comparison: str) -> str:
    """Return how many trials each search of a comparison made, a sentence a workload."""
    said = []
    for standing in standings(results, comparison):
        counts: dict[int, list[str]] = {}
        for one in standing.searches:
            counts.setdefault(len(one.trials), []).append(one.name)
        where = standing.searches[0].workload
        if len(counts) == 1:
            (trials,) = counts
            said.append(f"Each of the {len(standing.searches)} searches on {where} made {trials} trials.")
        else:
            each = "; ".join(f"{trials} trials: {listed(names)}" for trials, names in sorted(counts.items()))
            said.append(f"On {where} not all searches made equally many trials, and so are not compared alike: {each}.")
    return " ".join(said)


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
                "training": in_seconds(spent.train_seconds),
                "of it, diverged": percent(spent.diverged_share, 1),
                "of it, missed": percent(spent.missed_share, 1),
                "processes": in_seconds(spent.wall_seconds),
                "samples": number_of(spent.samples),
            }
        )
    return pd.DataFrame(rows)


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
    elif standing.label == "tuning-dependent":
        said += ": which is best is tuning-dependent."
    elif standing.label:
        said += "; whether which is best depends on the effort is not resolved."
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


def width(found: Basin) -> str:
    """Return how wide a basin is: "1.2 decades", "at least 0.5 decades" where it was not seen to end."""
    bound = "at least " if found.open_low or found.open_high else ""
    return f"{bound}{found.decades:.1f} decades"
