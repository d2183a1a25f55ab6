"""Regularization: planted effects are found, and the workloads regularize where they train and nowhere else."""

from dataclasses import replace

import pytest
import torch

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.regularization import effects, points, table
from paceline.bench.report.claims import judge
from paceline.bench.workloads.few_digits import Shift, few_digits, with_dropout
from tests.synthetic import regularized, results


def run() -> Results:
    """One that helps (its workload is its own), one that hurts, one that changes nothing."""
    return results(
        regularized("none", 0.87, gap=0.5),
        regularized("dropout", 0.92, gap=0.3, workload="few-digits-dropout"),
        regularized("L1", 0.80, gap=0.6),
        regularized("L2", 0.87, gap=0.5),
        regularized("early-stopping", 0.86, gap=0.2, best=0.89, status="plateaued", stop_on_plateau=20),
    )


def test_what_helps_what_hurts_and_what_does_nothing_are_told_apart() -> None:
    found = {where: holds for where, holds, _ in points(run())}
    assert (found["few-digits dropout in the gap"], found["few-digits dropout in the score"]) == (True, True)
    assert (found["few-digits L1 in the gap"], found["few-digits L1 in the score"]) == (False, False)
    assert (found["few-digits L2 in the gap"], found["few-digits L2 in the score"]) == (None, False)


def test_the_gap_and_its_difference_are_those_planted() -> None:
    by_kind = {effect.kind: effect for effect in effects(run())}
    assert by_kind["none"].interval("gap").median == pytest.approx(0.5, abs=0.01)
    assert by_kind["dropout"].interval("wider").median == pytest.approx(-0.2, abs=0.01)
    assert by_kind["dropout"].interval("better").median == pytest.approx(0.05, abs=0.003)


def test_a_lower_score_is_the_better_one_where_the_workload_says_so() -> None:
    turned = results([replace(record, higher_is_better=False) for record in run().records])
    by_kind = {effect.kind: effect for effect in effects(turned)}
    assert by_kind["dropout"].interval("better").median == pytest.approx(-0.05, abs=0.003)
    assert by_kind["early-stopping"].interval("best_score").median == pytest.approx(0.86, abs=0.003)


def test_early_stopping_tells_its_best_score_beside_its_last() -> None:
    row = table(run()).set_index("regularization").loc["early-stopping"]
    assert row["best score along the way"].startswith("0.89")
    assert row["final score"].startswith("0.86")


@pytest.mark.parametrize(
    ("score", "gap", "verdict"), [(0.92, 0.3, "holds"), (0.80, 0.6, "fails"), (0.80, 0.3, "depends")]
)
def test_the_claim_turns_with_the_planted_numbers(score: float, gap: float, verdict: str) -> None:
    planted = results(regularized("none", 0.87, gap=0.5), regularized("L2", score, gap=gap))
    found = judge(planted)[16]
    assert found.verdict == verdict
    assert "few-digits L2 in the gap" in found.why


def test_a_kind_without_its_base_is_not_judged() -> None:
    alone = results(regularized("L2", 0.9, gap=0.1))
    assert judge(alone)[16].verdict == "not measured here"
    assert table(alone).empty


def test_the_training_set_holds_fifty_of_each_digit() -> None:
    x, y, held_out_x, _ = few_digits()
    assert (x.shape, len(held_out_x)) == ((500, 784), 1000)
    assert torch.bincount(y).tolist() == [50] * 10


def test_a_shift_moves_a_pixel_by_up_to_its_size_and_fills_in_background() -> None:
    torch.manual_seed(0)
    images = torch.full((1000, 28, 28), -0.5)
    images[:, 10, 20] = 1.0
    shift, flat = Shift(2), images.flatten(1)
    moved = shift(flat).view(1000, 28, 28)
    _, rows, columns = (moved == 1.0).nonzero().T
    assert len(rows) == 1000  # one bright pixel each
    assert set(zip((rows - 10).tolist(), (columns - 20).tolist(), strict=True)) == {
        (down, right) for down in range(-2, 3) for right in range(-2, 3)
    }
    assert ((moved == 1.0) | (moved == -0.5)).all()
    assert torch.equal(shift.eval()(flat), flat)


def test_dropout_drops_while_training_only() -> None:
    torch.manual_seed(0)
    model, x = with_dropout(0.5), torch.randn(4, 784)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
