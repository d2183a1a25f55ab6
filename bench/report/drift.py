"""What the report says of drift: what the anchors took, where blocks differ, and what that makes of other numbers."""

import math

import pandas as pd

from paceline.bench.analysis.anchor import anchors
from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.drift import ERRORS, Drift, drifts, varies_by
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.one_configuration import Measured, several_times
from paceline.bench.records.metrics import SHOWN
from paceline.bench.records.record import WITH_RESULT
from paceline.bench.report.plots import drift as plots
from paceline.bench.report.wording import (
    MISSING,
    in_words,
    interval,
    listed,
    number,
    number_of,
    percent,
    ratio,
    two_digits,
)

PLOTS = {"drift": plots.drift}

NONE = (
    "No anchor was run: how fast the machine was in each comparison is not known, and numbers that stand in different "
    "comparisons are not to be compared."
)


def headline(results: Results) -> str:
    """Return in a few sentences how steady the machine was, and what it means for numbers of different comparisons."""
    lines = [_of_environment(results, str(name)) for name in dict.fromkeys(anchors(results)["environment"])] or [NONE]
    failed = [record for record in results.anchors if record.status not in WITH_RESULT]
    if failed:
        lines.append(f"{len(failed)} of {len(results.anchors)} anchors ended without a result: {failed[0].reason}.")
    found = drifts(results)
    for kind, says in (
        ("trend", "the machine grew slower, or faster, from block to block"),
        ("uneven", "some blocks ran on a slower machine than others, which cancels where cells are compared"),
        ("apart", "cells changed differently from block to block: their ratios are those of the hour"),
    ):
        names = dict.fromkeys(_name(drift) for drift in found if getattr(drift, kind) < ERRORS)
        if names:
            lines.append(f"In {listed(names)} {says}.")
    return " ".join(lines)


def _of_environment(results: Results, environment: str) -> str:
    own = anchors(results)
    took = 1e3 * own.loc[own["environment"] == environment, "seconds"]
    varies = varies_by(results, environment)
    where = f" in environment {environment}" if environment else ""
    text = (
        f"One and the same cell, the anchor, took {number(took.min())} to {number(took.max())} ms a step over the "
        f"run{where}."
    )
    parts = [
        f"{_share(share)} {between}"
        for share, between in (
            (varies.within, "from trial to trial of a block"),
            (varies.blocks, "from block to block"),
            (varies.comparisons, "from comparison to comparison"),
        )
        if not math.isnan(share)
    ]
    if parts:
        text += f" It varied by {listed(parts)} (standard deviations)."
    if varies.comparisons > 0:
        text += (
            f" Numbers of two comparisons differ by {_share(2**0.5 * varies.comparisons)} for no reason of theirs: "
            "they are to be compared in units of the anchor only."
        )
    return text


def _share(log: float) -> str:
    return two_digits(math.expm1(log))


def _name(drift: Drift) -> str:
    at = f"@{drift.environment}" if drift.environment else ""
    return f"{in_words(drift.comparison)}{at}"


def table(results: Results) -> pd.DataFrame:
    """Return one row a comparison: what its anchors took, against the whole run, and what its blocks tell."""
    found = anchors(results)
    rows = []
    for drift in drifts(results):
        own = found[(found["comparison"] == drift.comparison) & (found["environment"] == drift.environment)]
        own = own[~own["search"].astype(bool)]
        run = found[found["environment"] == drift.environment]
        slower = math.exp(own["log"].mean() - run["log"].mean()) if len(own) else math.nan
        rows.append(
            {
                "comparison": _name(drift),
                "workloads": drift.workloads,
                "blocks": str(drift.blocks),
                "anchor, ms per step": f"{number(1e3 * own['seconds'].min())} to {number(1e3 * own['seconds'].max())}"
                if len(own)
                else MISSING,
                "of the run's mean": number(slower),
                "blocks differ by": _share(drift.spread),
                "from first to last": percent(math.expm1(drift.change), sign=True),
                "what its blocks tell": _told(drift),
            }
        )
    return pd.DataFrame(rows)


def _told(drift: Drift) -> str:
    """Return in words what is called of a comparison, at one false call a run and kind in twenty."""
    grew = "slower" if drift.change > 0 else "faster"
    words = {"uneven": "blocks differ", "trend": f"grew {grew}", "apart": "cells drift apart"}
    called = [text for kind, text in words.items() if getattr(drift, kind) < ERRORS]
    if called:
        return ", ".join(called)
    known = [kind for kind in words if not math.isnan(getattr(drift, kind))]
    return "nothing beyond noise" if "trend" in known else "nothing (a trend takes five blocks)" if known else MISSING


def one_configuration(results: Results) -> pd.DataFrame:
    """Return one row for each comparison that measured a configuration which others measured too."""
    rows = []
    for found in several_times(results):
        shown = SHOWN[found.metric]
        one = interval(found.reconciled, shown.unit, shown.scale)
        first = found.cells[0]
        for cell, median, against in zip(found.cells, found.medians, found.ratios, strict=True):
            over = MISSING if math.isnan(found.reconciled.median) else "1" if cell is first else ratio(against)
            rows.append(
                {
                    "configuration": _configuration(cell),
                    "metric": shown.heading,
                    "comparison": in_words(str(cell["comparison"])),
                    "there": interval(median, shown.unit, shown.scale),
                    "over the first, in anchors": over,
                    "one number": one,
                    "verdict": _verdict(found),
                }
            )
    return pd.DataFrame(rows)


def _configuration(cell: Cell) -> str:
    rate = "" if math.isnan(cell["lr"]) else f", rate {number(cell['lr'])}"
    ranks = f", {cell['world_size']} ranks" if cell["world_size"] > 1 else ""
    return f"{cell['trainer']}, B={number_of(cell['batch_size'])}{rate}{ranks} on {cell['workload']}"


def _verdict(found: Measured) -> str:
    if found.chance < ERRORS:
        return "apart in anchors too: not one number"
    if math.isnan(found.reconciled.median):
        return "apart: the machine's doing or not, no anchor tells" if found.apart else "not apart"
    if math.isnan(found.chance):
        return "fewer than three seeds in common: whether it is one number is not known"
    return "apart by the machine alone" if found.apart else "one number"


def reconciliation(results: Results) -> str:
    """Return a sentence on configurations that several comparisons measured."""
    if not several_times(results):
        return "No configuration was measured in two comparisons."
    return warning(results) or "Whatever was measured in several comparisons came out the same, to its intervals."


def warning(results: Results) -> str:
    """Return a sentence that warns of configurations that have two numbers in this report; "" if there are none."""
    apart = [each for each in several_times(results) if each.apart]
    if not apart:
        return ""
    names = listed(dict.fromkeys(_configuration(each.cells[0]) for each in apart))
    how = (
        "beside each stands the one number, in units of anchors at the machine's mean speed."
        if results.anchors
        else "without anchors there is no one number to give: use none of them against a number of another comparison."
    )
    return f"Of one configuration this report holds numbers that are apart ({names}): {how}"
