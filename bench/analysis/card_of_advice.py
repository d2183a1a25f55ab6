"""The card of an advised run: what was advised, and what ran beside it on the same seeds."""

import math
from pathlib import Path

from paceline.bench.analysis.advice import Advice, Configuration, Quantity, Rival
from paceline.bench.analysis.card import NOT_MEASURED, Alternative, Card, Pays, Row, Use, pays
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.statistics import Comparison, Interval, Verdict

VERIFIED = "advise-verify"

# What the advised configuration is called beside those that it was compared with.
CHOSEN = "the one above"


def advice_in(folder: Path) -> Advice | None:
    """Return the advice that a run's folder holds; None where it is of another kind."""
    file = folder / "advice.json"
    return Advice.of_json(file.read_text(encoding="utf-8")) if file.exists() else None


def card_of(advice: Advice) -> Card:
    """Return ``advice`` as a card."""
    sure = f"{advice.standing}: {advice.reason}"
    if advice.configuration is None or advice.prediction is None:
        return Card(advice.workload, advice.target, None, (), advice.reason, sure, advice.resume)
    found = advice.prediction
    n = found.steps.n or max((rival.ratio.n for rival in advice.rivals), default=0)
    use = Use(
        advice.python,
        _where(advice.configuration),
        _interval(found.seconds),
        _interval(found.memory_bytes),
        (round(found.reached * n), n),
        cell=advice.cell,
    )
    rivals = tuple(map(_alternative, advice.rivals))
    rows = (Row("configuration", CHOSEN, "seconds_to_target", rivals, VERIFIED),) if rivals else ()
    return Card(advice.workload, advice.target, use, rows, "", sure, advice.resume)


def _where(configuration: Configuration) -> str:
    ranks, threads = configuration.ranks, configuration.threads
    if configuration.device == "cuda":
        return "1 process on a GPU" if ranks == 1 else f"{ranks} ranks on a GPU each"
    each = f"{threads} thread{'s' * (threads > 1)}"
    return f"1 process on {each}" if ranks == 1 else f"{ranks} ranks on {each} each"


def _interval(found: Quantity) -> Interval:
    if found.value is None:
        return NOT_MEASURED
    if found.low is None or found.high is None:
        return Interval(found.value, math.nan, math.nan, found.n)
    return Interval(found.value, found.low, found.high, found.n)


def _alternative(rival: Rival) -> Alternative:
    found = _interval(rival.ratio)
    low, high = rival.ratio.low or found.low, rival.ratio.high or found.high
    verdict: Verdict = "undecided"
    if rival.verdict in ("slower", "equivalent"):
        verdict = "slower" if rival.verdict == "slower" else "equivalent"
    takes = Pair(Comparison(found.median, low, high, verdict, found.n))
    take: Pays = pays(verdict) if rival.fits else "no"
    note = "" if rival.fits else "breaks a limit"
    return Alternative(f"{rival.name} {rival.python}", takes, take, note=note, cell=rival.cell)
