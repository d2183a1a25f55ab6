"""Regularizers whose effects are planted, and the workloads on which the real ones are measured."""

from dataclasses import replace

import pytest
import torch

from bench import regularization as reg
from bench.claims import judge
from bench.plots import PLOTS
from bench.workloads import few_digits
from bench.workloads.mnist5k import digits
from tests.synthetic import REGULARIZED, regularized, results


def test_the_planted_effects_are_found():
    found = {effect.label: effect for effect in reg.effects(results(regularized()))}
    assert list(found) == list(REGULARIZED)
    assert found["L1"].better.median == pytest.approx(0.03, abs=0.001)
    assert found["L1"].better.low > 0
    assert found["L2"].better.high < 0
    assert found["L1"].gap.median == pytest.approx(0.30, abs=0.001)
    assert found["L1"].narrower.median == pytest.approx(0.30, abs=0.002)
    assert found["none"].better.n == found["none"].narrower.n == 0
    assert [reg.holds(found[label], 0.01) for label in ("L1", "L2", "dropout")] == [True, False, False]


def test_what_noise_hides_is_left_open():
    found = {effect.label: effect for effect in reg.effects(results(regularized(spread=0.2)))}
    assert reg.holds(found["L1"], 0.01) is None


def test_a_stop_in_time_is_told_with_the_best_score_on_the_way():
    stopped = [
        replace(r, status="plateaued", reason="", curve=r.curve | {"score": [0.95, 0.90], "step": [20, 40]})
        for r in regularized({"early-stopping": (0.9, 0.2, 0.4)})
    ]
    row = reg.table(results(regularized(), stopped)).set_index("regularizer").loc["early stopping"]
    assert row["best on the way"].startswith("0.95")
    assert row["final score"].startswith("0.90")
    assert row["steps"].startswith("40.0")


def test_the_claim_depends_on_the_regularizer():
    found = judge(results(regularized()))[16]
    assert found.verdict == "depends"
    assert "It holds at L1" in found.why
    only = judge(results(regularized({label: REGULARIZED[label] for label in ("none", "L1")})))[16]
    assert only.verdict == "holds"
    assert judge(results())[16].verdict == "not measured here"


def test_without_what_it_is_held_against_there_is_no_effect():
    assert reg.effects(results(regularized({"L1": REGULARIZED["L1"]}))) == []
    assert reg.table(results()).empty
    assert PLOTS["regularization"](results()) is None


def test_few_digits_are_fifty_of_each_and_the_held_out_ones_all():
    x, y, held_out_x, _ = few_digits.few_digits()
    assert y.bincount().tolist() == [50] * 10
    assert torch.equal(held_out_x, digits()[2])
    of_the_whole = {image.numpy().tobytes() for image in digits()[0]}
    assert all(image.numpy().tobytes() in of_the_whole for image in x)
    assert len(set(y[:50].tolist())) > 5  # not sorted by class


def test_a_shift_moves_images_by_up_to_so_many_pixels_and_only_while_training():
    shift = few_digits.Shift(2)
    images = torch.full((500, 28, 28), -0.4)
    images[:, 10, 12] = 3.0
    flat = images.flatten(1)
    torch.manual_seed(0)
    moved = shift(flat).view(-1, 28, 28)
    assert moved.shape == images.shape
    assert sorted(set(moved.unique().tolist())) == pytest.approx([-0.4, 3.0])  # what comes in is background
    rows, columns = (moved == 3.0).nonzero()[:, 1:].T
    assert len(rows) == 500
    assert set(rows.tolist()) == {8, 9, 10, 11, 12}
    assert set(columns.tolist()) == {10, 11, 12, 13, 14}
    assert torch.equal(shift.eval()(flat), flat)


def test_dropout_drops_half_of_the_hidden_units_while_training_alone():
    model = few_digits.FEW_DIGITS_DROPOUT.model()
    x = torch.ones(1, 784)
    hidden = model[:2](x)
    dropped = (model[2](hidden) == 0) & (hidden > 0)
    assert 0.3 < dropped.sum().item() / (hidden > 0).sum().item() < 0.7
    model.eval()
    assert torch.equal(model[2](hidden), hidden)
