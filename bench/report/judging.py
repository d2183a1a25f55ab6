"""How what was measured becomes the verdict on a claim, over workloads or over a sweep."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.families import stand
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.power import seeds_wanted
from paceline.bench.analysis.scores import ScoreGap
from paceline.bench.analysis.statistics import Comparison
from paceline.bench.report.equivalence import reservations
from paceline.bench.report.wording import listed, more_seeds, number_of

# "Not measured" is said only of what was not measured. What was, and does not decide, is undecided.
Verdict = Literal["holds", "fails", "equivalent", "undecided", "depends", "not measured"]


@dataclass(frozen=True)
class Said:
    """What one comparison says of a claim.

    Attributes:
        verdict: holds, fails, equivalent or undecided.
        more: about how many more seeds would decide it; infinite where none would, NaN where that is not known.
        p: the smallest error rate at which the verdict falls; NaN where it was not asked.
    """

    verdict: Verdict
    more: float = math.nan
    p: float = math.nan


@dataclass(frozen=True)
class Finding:
    """What one workload, or one cell of a sweep, says of a claim; ``verdict`` None is undecided."""

    verdict: Said | Verdict | None
    text: str
    where: str = ""


Judged = tuple[Verdict, str]

Judge = Callable[[Results], Judged]


def over_workloads(findings: list[Finding], needs: str) -> Judged:
    """Return the verdict over all workloads: see ``_verdict``. What is said begins with which one holds where."""
    if not findings:
        return "not measured", f"It needs {needs}."
    said = _family([_as_said(finding.verdict) for finding in findings])
    verdict = _verdict(said)
    places = [finding.where for finding in findings]
    parts = [_scope(said, places) if all(places) else "", _more(said) if verdict == "undecided" else ""]
    text = " ".join(finding.text for finding in findings)
    return verdict, " ".join(filter(None, [*parts, text]))


@dataclass(frozen=True)
class Point:
    """One cell of a sweep: where it is, whether the claim holds there (None: undecided), and the numbers."""

    where: str
    holds: Said | bool | None
    numbers: str


def over_sweep(points: list[Point], factors: str, measure: str, needs: str, beware: str = "") -> Judged:
    """Return the verdict of a claim over a sweep: see ``_verdict``. ``beware`` stands at the end."""
    if not points:
        return "not measured", f"It needs {needs}."
    said = _family([as_verdict(point.holds) for point in points])
    verdict = _verdict(said)
    heads = {
        "holds": "It holds at",
        "fails": "It does not hold at",
        "equivalent": "No difference that counts at",
        "undecided": "Not resolved at",
    }
    groups = {kind: [p for p, one in zip(points, said, strict=True) if one.verdict == kind] for kind in heads}
    text = f"{measure}. " + " ".join(f"{heads[kind]} {_places(group)}." for kind, group in groups.items() if group)
    together = _together(said)
    first = {"depends": f"It turns on {factors}.", "undecided": _more(said)}.get(verdict, "")
    return verdict, " ".join(filter(None, [first, text, together, beware.strip()]))


def _verdict(said: Sequence[Said]) -> Verdict:
    """Return the verdict of many: it depends where they contradict, and is undecided where most are.

    What is undecided is not passed over: where fewer than half are decided, nothing is said of the whole.
    """
    decided = {one.verdict for one in said} - {"undecided"}
    if "depends" in decided or ("holds" in decided and len(decided) > 1):
        return "depends"
    if 2 * sum(one.verdict == "undecided" for one in said) > len(said) or not decided:
        return "undecided"
    return "holds" if "holds" in decided else "fails" if "fails" in decided else "equivalent"


def _family(said: Sequence[Said]) -> list[Said]:
    """Return ``said`` with those undecided whose verdicts do not stand among so many: ``analysis.families``."""
    asked = [i for i, one in enumerate(said) if not math.isnan(one.p)]
    kept = dict(zip(asked, stand([said[i].p for i in asked]), strict=True))
    return [one if kept.get(i, True) else replace(one, verdict="undecided") for i, one in enumerate(said)]


def _together(said: Sequence[Said]) -> str:
    count = sum(not math.isnan(one.p) for one in said)
    return f"The {count} verdicts are corrected together (Holm): at most 5 % of runs err in any." if count > 1 else ""


def _scope(said: Sequence[Said], places: Sequence[str]) -> str:
    """Return "Holds on a; undecided on b."."""
    by_kind: dict[str, list[str]] = {}
    for one, place in zip(said, places, strict=True):
        by_kind.setdefault(one.verdict, []).append(place)
    text = "; ".join(f"{kind} on {listed(own)}" for kind, own in by_kind.items())
    return f"{text[0].upper()}{text[1:]}."


def _more(said: Sequence[Said]) -> str:
    """Return "Undecided: about 9 more seeds would decide it."."""
    wanted = [one.more for one in said if one.verdict == "undecided" and not math.isnan(one.more)]
    return f"Undecided{more_seeds(max(wanted, default=math.nan))}."


def _places(points: Iterable[Point]) -> str:
    return "; ".join(f"{point.where} ({point.numbers})" for point in points)


def takes_less(found: Pair | Comparison) -> Said:
    """Return whether a is less (or faster) than b."""
    return _said(found, {"faster": "holds", "less": "holds", "slower": "fails", "more": "fails"})


def takes_more(found: Pair | Comparison) -> Said:
    """Return whether a is more (or slower) than b."""
    return _said(found, {"faster": "fails", "less": "fails", "slower": "holds", "more": "holds"})


def _said(found: Pair | Comparison, words: dict[str, Verdict]) -> Said:
    comparison = found.comparison if isinstance(found, Pair) else found
    kind = words.get(comparison.verdict, "equivalent" if comparison.verdict == "equivalent" else "undecided")
    floored = isinstance(found, Pair) and found.floored
    return Said(kind, math.inf if floored else seeds_wanted(comparison), comparison.p)


def scores_better(found: ScoreGap) -> Said:
    """Return whether a difference in final score is one for the better.

    That there is none says something of two that had reached their target. Of two that were stopped on the way it
    says nothing yet.
    """
    words: dict[str, Verdict] = {"better": "holds", "worse": "fails", "equivalent": "equivalent"}
    if found.verdict == "equivalent" and not found.converged:
        return Said("undecided", math.nan, 1.0)
    return Said(words.get(found.verdict, "undecided"), math.nan, found.p)


def on_the_way(found: ScoreGap) -> str:
    """Return ", after 23 steps, short of the target" where scores were compared before they had arrived; or ""."""
    return "" if found.converged else f", after {number_of(found.steps)} steps, short of the target"


def as_verdict(holds: Said | bool | None) -> Said:
    """Return whether a claim holds as one of the words for it; None is undecided."""
    if isinstance(holds, Said):
        return holds
    return Said("undecided" if holds is None else "holds" if holds else "fails")


def _as_said(verdict: Said | Verdict | None) -> Said:
    return verdict if isinstance(verdict, Said) else Said(verdict or "undecided")


def where(cell: Cell) -> str:
    """Return the place of a cell in a sweep: its workload and batch size."""
    return f"{cell['workload']} B={number_of(cell['batch_size'])}"


def provisos(results: Results, *cells: Cell) -> str:
    """Return how often the target was reached, where that was not always, and which cells are no equals."""
    missed = [f"{c['trainer']} in {c['n_reached']} of {c['n']} trials" for c in cells if c["n_reached"] < c["n"]]
    reached = f"The target was reached by {listed(missed)}." if missed else ""
    said = f"{reached} {reservations(results, *cells)}".strip()
    return f" {said}" if said else ""
