"""Digits are turned and shifted by what is said, anew each time, and are still digits."""

import time

import pytest
import torch

from paceline.bench import Trial, run_trial
from paceline.bench.workloads.augmented_digits import (
    AUGMENTED_DIGITS,
    BACKGROUND,
    AugmentedDigits,
    augmented_digits,
    turned,
)
from paceline.bench.workloads.mnist5k import digits
from paceline.trainers import MiniBatch, Sgd


def image_with(row: int, column: int) -> torch.Tensor:
    image = torch.full((28, 28), BACKGROUND)
    image[row, column] = 2.0
    return image


def test_a_shift_moves_a_pixel_right_and_down_and_background_comes_in():
    torch.testing.assert_close(turned(image_with(10, 12), 0.0, 0.0, 0.0), image_with(10, 12), atol=1e-4, rtol=0)
    torch.testing.assert_close(turned(image_with(10, 12), 0.0, 2.0, 1.0), image_with(11, 14), atol=1e-4, rtol=0)
    gone = turned(image_with(0, 27), 0.0, 2.0, 0.0)
    torch.testing.assert_close(gone, torch.full((28, 28), BACKGROUND), atol=1e-4, rtol=0)


def test_a_quarter_turn_is_a_quarter_turn():
    """About the middle, between the pixels 13 and 14."""
    shape = torch.full((28, 28), BACKGROUND)
    shape[3:9, 5] = 2.0
    found = turned(shape, 90.0, 0.0, 0.0)
    assert any(torch.allclose(found, shape.rot90(k), atol=1e-3) for k in (1, 3))
    # Turned first and shifted then: the other way round a shift would turn too.
    torch.testing.assert_close(turned(shape, 90.0, 2.0, 0.0), found.roll(2, 1), atol=1e-3, rtol=0)


def test_each_look_is_another_one_of_the_same_digit():
    x, y, *_ = digits()
    train = AugmentedDigits(x, y)
    torch.manual_seed(0)
    (first, label), (second, _) = train[7], train[7]
    assert label == y[7]
    assert first.shape == (784,)
    assert not torch.equal(first, second)
    ink = [float((image - BACKGROUND).sum()) for image in (x[7], first, second)]
    assert ink[1:] == pytest.approx([ink[0]] * 2, rel=0.1)


def test_the_held_out_digits_are_as_they_were_written():
    train, *held_out = augmented_digits()
    assert len(train) == 4000
    assert all(torch.equal(a, b) for a, b in zip(held_out, digits()[2:], strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_trial_reads_by_so_many_processes_whatever_was_prepared_before(workers):
    """The samples' file is prepared once, for a workload with another number of workers."""
    from dataclasses import replace

    trial = Trial(AUGMENTED_DIGITS, MiniBatch(Sgd(lr=0.1), 50), threads=1, steps=8, stop_at_target=False)
    alone = run_trial(trial)
    found = run_trial(replace(trial, workload=replace(AUGMENTED_DIGITS, workers=workers)))
    assert found.status in ("missed", "reached"), found.reason
    more = found.ranks[0]["family_pss_bytes"] - alone.ranks[0]["family_pss_bytes"]
    assert (more > 10e6) is (workers > 0)
    assert 0 < found.ranks[0]["waited_for_samples_seconds"] < found.ranks[0]["train_seconds"]


@pytest.mark.times
def test_reading_one_takes_a_tenth_of_a_millisecond_or_so():
    train, *_ = augmented_digits()
    began = time.perf_counter()
    for i in range(200):
        train[i]
    assert 20e-6 < (time.perf_counter() - began) / 200 < 2e-3
