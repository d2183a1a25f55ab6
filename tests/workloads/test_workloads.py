"""The built-in workloads hold what they claim, and a bad workload is told what is wrong with it."""

import gzip
import struct
from dataclasses import replace

import pytest
import torch
from torch import nn

from paceline.bench import Trial, Workload, run_trial
from paceline.bench.harness.data_files import DataFiles
from paceline.bench.workloads import BUILT_IN, fashion_mnist, find_workload, linear
from paceline.bench.workloads.data import Samples
from paceline.bench.workloads.fashion_mnist import clothes
from paceline.bench.workloads.mnist5k import digits
from paceline.bench.workloads.workload import (
    mean_squared_error,
    per_sample_cross_entropy,
    per_sample_squared_error,
)
from paceline.trainers import MiniBatch
from tests.paths import ROOT
from tests.problems import GAUSSIANS, POINTS, gaussians


def test_the_digits():
    x, y, *held_out = digits()
    assert x.shape == (4000, 784)
    assert y.bincount().tolist() == [400] * 10
    assert [part.shape for part in held_out[::2]] == [(500, 784)] * 2
    assert [part.bincount().tolist() for part in held_out[1::2]] == [[50] * 10] * 2
    # A pixel of 0 and one of 255, standardized.
    assert x.min().item() == pytest.approx((0 - 0.1307) / 0.3081)
    assert x.max().item() == pytest.approx((1 - 0.1307) / 0.3081)
    # Not sorted by class, as the file is: a batch of the first 100 would otherwise hold one class.
    assert len(set(y[:100].tolist())) == 10
    assert torch.equal(digits()[0], x)


def test_the_linear_problem_has_the_optimum_and_spectrum_it_claims():
    x, y, _, _ = linear.exact_least_squares()
    moment = x.T @ x / len(x)
    torch.testing.assert_close(torch.linalg.eigvalsh(moment), linear.SPECTRUM, rtol=1e-10, atol=1e-12)
    solution = torch.linalg.lstsq(x, y).solution.T
    torch.testing.assert_close(solution, linear.optimum(), rtol=1e-9, atol=1e-9)
    assert mean_squared_error(x @ solution.T, y) == pytest.approx(linear.NOISE**2, rel=1e-10)


def test_fashion_mnist_reads_idx_files(tmp_path, monkeypatch):
    def idx(name: str, array: torch.Tensor) -> None:
        header = b"\0\0\x08" + bytes([array.dim()]) + struct.pack(f">{array.dim()}i", *array.shape)
        (tmp_path / name).write_bytes(gzip.compress(header + bytes(array.flatten().tolist())))

    idx("train-images-idx3-ubyte.gz", torch.arange(2 * 784).reshape(2, 28, 28) % 256)
    idx("train-labels-idx1-ubyte.gz", torch.tensor([3, 9]))
    idx("t10k-images-idx3-ubyte.gz", torch.full((1, 28, 28), 255))
    idx("t10k-labels-idx1-ubyte.gz", torch.tensor([0]))
    monkeypatch.setenv("PACELINE_DATA", str(tmp_path))
    monkeypatch.setattr(fashion_mnist, "VALIDATION", 1)
    x, y, validation_x, validation_y, test_x, test_y = clothes()
    assert (x.shape, y.tolist(), validation_y.tolist(), test_y.tolist()) == ((1, 784), [3], [9], [0])
    assert validation_x[0, 5].item() == pytest.approx(((784 + 5) % 256 / 255 - 0.28604) / 0.35302)
    assert test_x.unique().tolist() == pytest.approx([(1 - 0.28604) / 0.35302])


def test_missing_fashion_mnist_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PACELINE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"apt-get install dataset-fashion-mnist.*PACELINE_DATA$"):
        DataFiles().prepare(find_workload("fashion-mnist"))


def test_every_built_in_workload_is_found_by_its_name():
    assert {name: find_workload(name) for name in BUILT_IN} == BUILT_IN
    with pytest.raises(ValueError, match="unknown workload 'mnist': known are mnist5k, mnist5k-wide, mnist5k-cnn, "):
        find_workload("mnist")


def changed(**changes):
    return replace(GAUSSIANS, **changes)


def with_nan():
    x, *rest = gaussians()
    return x.index_fill(0, torch.tensor([7]), float("nan")), *rest


BAD = {
    "x holds NaN": changed(data=with_nan),
    "y is empty|x is empty": changed(data=lambda: tuple(t[:0] for t in gaussians())),
    "held-out x is empty": changed(data=lambda: (*gaussians()[:2], *(t[:0] for t in gaussians()[2:]))),
    "x has 255 samples and y has 256": changed(data=lambda: (gaussians()[0][1:], *gaussians()[1:])),
    "held-out x has 127 samples": changed(data=lambda: (*gaussians()[:2], gaussians()[2][1:], gaussians()[3])),
    "must return x, y, held-out x, held-out y": changed(data=lambda: gaussians()[:2]),
    "test x has 127 samples and test y has 128": changed(
        data=lambda: (*gaussians(), gaussians()[2][1:], gaussians()[3])
    ),
    "one held-out sample cannot be halved": changed(data=lambda: (*gaussians()[:2], *(t[:1] for t in gaussians()[2:]))),
    "it returned a list of 1, ": changed(data=lambda: ([1], *gaussians()[1:])),
    "KeyError: 'planted'": changed(data=lambda: {}["planted"]),
    "already reaches the target 0.01": changed(target=0.01),
    "higher_is_better": changed(higher_is_better=False),
    "accuracy, in 0..1": changed(target=1.5),
    "target must be a finite number": changed(target=float("nan")),
    "one number per sample": changed(loss=nn.functional.cross_entropy),
}


@pytest.mark.parametrize("message", BAD)
def test_a_bad_workload_is_told_in_one_line(message):
    with pytest.raises(ValueError, match=message) as error:
        run_trial(Trial(BAD[message], MiniBatch()))
    assert "\n" not in str(error.value)
    assert "workload 'gaussians'" in str(error.value)


def test_losses_are_per_sample():
    logits, classes = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    expected = -logits.log_softmax(dim=1)[torch.arange(5), classes]
    torch.testing.assert_close(per_sample_cross_entropy(logits, classes), expected)
    outputs, targets = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    torch.testing.assert_close(per_sample_squared_error(outputs, targets), ((outputs - targets) ** 2).mean(dim=(1, 2)))


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_mode_as_found_and_drops_nothing(training):
    """5,000 samples are scored in parts; the score is that of the whole, with dropout off."""
    model = nn.Sequential(nn.Linear(20, 4), nn.Dropout(0.9)).train(training)
    x, y = torch.randn(5000, 20), torch.randint(4, (5000,))
    expected = (model[0](x).argmax(dim=1) == y).double().mean().item()
    assert GAUSSIANS.evaluate(model, Samples(x, y)) == expected
    assert model.training is training


def test_a_target_is_reached_from_its_own_side():
    assert GAUSSIANS.reached(0.9)
    assert not GAUSSIANS.reached(0.89)
    assert POINTS.reached(1e-10)
    assert not POINTS.reached(1.0)
    assert not GAUSSIANS.reached(float("nan"))
    assert not POINTS.reached(float("nan"))


def test_the_readme_workload_trains(tmp_path):
    """What the README tells people to write, written by them, in a file of theirs."""
    from tests.test_readme import code_blocks

    (block,) = [block for block in code_blocks(ROOT / "README.md", "python") if "Workload(" in block]
    file = tmp_path / "my_file.py"
    file.write_text(block)
    record = run_trial(Trial(find_workload(f"{file}:SCANS"), MiniBatch(), seconds=20, threads=1))
    assert record.status == "reached", record.reason


def test_data_need_not_be_float32(tmp_path):
    workload = Workload(
        name="double",
        model=lambda: nn.Linear(20, 4).double(),
        data=lambda: tuple(t.double() if t.is_floating_point() else t for t in gaussians()),
        target=0.9,
    )
    assert run_trial(Trial(workload, MiniBatch(), steps=2, threads=1)).dtype == "float64"
    assert (DataFiles().prepare(workload)[1]) == 256
