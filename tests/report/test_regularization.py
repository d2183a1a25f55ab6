"""What helps, what hurts and what does nothing are told apart."""

import pytest

from paceline.bench.report import regularization
from paceline.bench.report.claims import judge
from paceline.bench.report.judging import as_verdict
from tests.synthetic import regularized, regularized_every_way, results


def test_what_helps_what_hurts_and_what_does_nothing_are_told_apart() -> None:
    points = regularization.points(regularized_every_way())
    found = {point.where.removeprefix("few-digits "): as_verdict(point.holds).verdict for point in points}
    assert (found["dropout in the gap"], found["dropout in the score"]) == ("holds", "holds")
    assert (found["L1 in the gap"], found["L1 in the score"]) == ("fails", "fails")
    assert (found["L2 in the gap"], found["L2 in the score"]) == ("equivalent", "equivalent")


def test_early_stopping_tells_its_best_score_beside_its_last() -> None:
    row = regularization.table(regularized_every_way()).set_index("regularization").loc["early-stopping"]
    assert row["best validation score along the way"].startswith("0.89")
    assert row["final score"].startswith("0.86")


@pytest.mark.parametrize(
    ("score", "gap", "verdict"), [(0.92, 0.3, "holds"), (0.80, 0.6, "fails"), (0.80, 0.3, "depends")]
)
def test_the_claim_turns_with_the_planted_numbers(score: float, gap: float, verdict: str) -> None:
    planted = results(regularized("none", 0.87, gap=0.5), regularized("L2", score, gap=gap))
    found = judge(planted)[15]
    assert found.verdict == verdict
    assert "few-digits L2 in the gap" in found.why


def test_a_kind_without_its_base_is_not_judged() -> None:
    alone = results(regularized("L2", 0.9, gap=0.1))
    assert judge(alone)[15].verdict == "not measured"
    assert regularization.table(alone).empty
