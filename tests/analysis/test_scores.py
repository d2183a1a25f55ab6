"""A difference in score is judged by the error, equivalence first, and never finer than scores are known."""

import pytest

from paceline.bench.analysis.cells import cells_of, find
from paceline.bench.analysis.scores import grain_of, margin_of, score_gap, score_verdict
from tests.synthetic import precisions, results


def test_an_accuracy_and_its_error_have_one_margin() -> None:
    assert margin_of(0.94, higher=True) == pytest.approx(margin_of(0.06, higher=False)) == pytest.approx(0.003)
    assert margin_of(1.85, higher=False) == pytest.approx(0.0925)  # a loss: of itself
    assert margin_of(-2.0, higher=True) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.001, 0.008, "equivalent"), (0.001, 0.02, "better"), (-0.02, -0.001, "worse"), (-0.008, -0.001, "equivalent"),
     (-0.02, 0.02, "undecided")],
)  # fmt: skip
def test_equivalence_is_asked_first(low: float, high: float, verdict: str) -> None:
    """What lies within the margin counts as none, whether or not it excludes 0."""
    assert score_verdict(low, high, 0.009) == verdict


def planted(amp: list[int], full: list[int], target: float = 0.9):
    """Return trials whose final scores are so many thousandths."""
    run = precisions({(64, 32): 1.0}, blocks=len(amp), target=target)
    for record in run:
        record.curve["score"][-1] = (amp if record.trainer == "Amp" else full)[record.block] / 1000
    found = results(run)
    cells = cells_of(found, "precision")
    a = next(cell for cell in cells if cell["trainer"] == "Amp")
    b = next(cell for cell in cells if cell["trainer"] == "MiniBatch")
    return found, a, b


def test_ties_are_known_to_the_grain_only() -> None:
    run, a, b = planted([940, 941, 943], [940, 941, 943])
    assert grain_of(run, "digits-64") == pytest.approx(0.001)
    found = score_gap(run, a, b)
    assert (found.interval.low, found.interval.median, found.interval.high) == pytest.approx((-0.0005, 0.0, 0.0005))
    assert (found.verdict, found.converged, found.steps) == ("equivalent", True, 100)


def test_a_sixth_of_the_errors_is_a_difference() -> None:
    """0.94 against 0.95: within 1.1 % of the score, and a sixth of the errors."""
    run, a, b = planted([950, 951, 949, 950, 952, 950], [940, 941, 939, 940, 941, 941])
    assert score_gap(run, a, b).verdict == "better"


def test_what_was_stopped_short_of_the_target_says_so() -> None:
    run, a, b = planted([580, 590, 600], [580, 590, 600])
    found = score_gap(run, a, b)
    assert (found.converged, found.verdict) == (False, "equivalent")
    assert find(cells_of(run, "precision"), "nobody") is None
