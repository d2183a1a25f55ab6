"""How what was measured becomes the verdict on a claim, over workloads or over a sweep."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.statistics import Comparison
from paceline.bench.report.equivalence import reservations
from paceline.bench.report.wording import listed, number_of

Verdict = Literal["holds", "fails", "depends", "not measured here"]

# Scores within this share of each other are called equal, if the whole interval is.
SCORE_MARGIN = 0.01


@dataclass(frozen=True)
class Finding:
    """What one workload, or one cell of a sweep, says of a claim; ``verdict`` None is undecided."""

    verdict: Verdict | None
    text: str


Judged = tuple[Verdict, str]

Judge = Callable[[Results], Judged]


def over_workloads(findings: list[Finding], needs: str) -> Judged:
    """Return the verdict of all workloads that are decided; it depends where they contradict each other."""
    text = " ".join(finding.text for finding in findings)
    decided = [finding.verdict for finding in findings if finding.verdict is not None]
    if not findings:
        return "not measured here", f"It needs {needs}."
    if not decided:
        return "not measured here", f"Undecided. {text}"
    verdicts = set(decided)
    return (decided[0] if len(verdicts) == 1 else "depends"), text


@dataclass(frozen=True)
class Point:
    """One cell of a sweep: where it is, whether the claim holds there (None: undecided), and the numbers."""

    where: str
    holds: bool | None
    numbers: str


def over_sweep(points: list[Point], factors: str, measure: str, needs: str, beware: str = "") -> Judged:
    """Return the verdict of a claim over a sweep: it depends where resolved points contradict each other.

    Where fewer than half of the points are resolved, nothing is said of the whole. ``beware`` stands at the end.
    """
    if not points:
        return "not measured here", f"It needs {needs}."
    yes = [point for point in points if point.holds is True]
    no = [point for point in points if point.holds is False]
    open_ = [point for point in points if point.holds is None]
    groups = (("It holds at", yes), ("It does not hold at", no), ("Not resolved at", open_))
    text = f"{measure}. " + " ".join(f"{head} {_places(group)}." for head, group in groups if group)
    text = f"{text} {beware}".strip()
    if yes and no:
        return "depends", f"It turns on {factors}. {text}"
    if 2 * len(open_) > len(points) or len(open_) == len(points):
        return "not measured here", f"Undecided. {text}"
    return ("holds" if yes else "fails"), text


def _places(points: Iterable[Point]) -> str:
    return "; ".join(f"{point.where} ({point.numbers})" for point in points)


def takes_less(comparison: Pair | Comparison) -> bool | None:
    """Return whether a is less (or faster) than b; None if that is undecided. Equivalent is not less."""
    verdicts = {"faster": True, "less": True, "slower": False, "more": False, "equivalent": False}
    return verdicts.get(comparison.verdict)


def takes_more(comparison: Pair | Comparison) -> bool | None:
    """Return whether a is more (or slower) than b; None if that is undecided. Equivalent is not more."""
    verdicts = {"faster": False, "less": False, "slower": True, "more": True, "equivalent": False}
    return verdicts.get(comparison.verdict)


def scores_better(low: float, high: float, score: float) -> bool | None:
    """Return whether a difference in score is one for the better; None if that is undecided.

    Args:
        low: lower end of the difference's interval, positive where it is for the better.
        high: upper end.
        score: what the margin is a share of: a difference that lies within it counts as none.
    """
    margin = SCORE_MARGIN * abs(score)
    return True if low > 0 else False if high < 0 or (-margin <= low and high <= margin) else None


def as_verdict(holds: bool | None) -> Verdict | None:
    """Return whether a claim holds as one of the words for it; None if that is undecided."""
    return None if holds is None else ("holds" if holds else "fails")


def where(cell: Cell) -> str:
    """Return the place of a cell in a sweep: its workload and batch size."""
    return f"{cell['workload']} B={number_of(cell['batch_size'])}"


def provisos(results: Results, *cells: Cell) -> str:
    """Return how often the target was reached, where that was not always, and which cells are no equals."""
    missed = [f"{c['trainer']} in {c['n_reached']} of {c['n']} trials" for c in cells if c["n_reached"] < c["n"]]
    reached = f"The target was reached by {listed(missed)}." if missed else ""
    said = f"{reached} {reservations(results, *cells)}".strip()
    return f" {said}" if said else ""
