"""The drifting stream: the same at each start, turned and renamed as it says, and held-out digits of its end."""

from itertools import islice

import pytest
import torch

from paceline.bench import Trial, run_trial
from paceline.bench.workloads import find_workload
from paceline.bench.workloads.digits_stream import (
    BACKGROUND,
    DRIFT_ENDS,
    SWAPPED_EVERY,
    drifting_digits,
    names_at,
    stream_and_held_out,
    turned,
)
from paceline.bench.workloads.mnist5k import digits
from paceline.trainers import MiniBatch, Sgd


def test_it_is_the_same_at_each_start():
    for (x, y), (other_x, other_y) in zip(islice(drifting_digits(), 200), drifting_digits(), strict=False):
        assert (x.shape, y.shape) == ((784,), ())
        assert torch.equal(x, other_x)
        assert y == other_y


def test_a_quarter_turn_is_numpys():
    images = torch.randn(3, 28, 28)
    angles = torch.tensor([0.0, 90.0, -180.0])
    first, second, third = turned(images.flatten(1), angles).view(3, 28, 28)
    torch.testing.assert_close(first, images[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(second, torch.rot90(images[1], 1), rtol=0, atol=1e-4)
    torch.testing.assert_close(third, torch.rot90(images[2], 2), rtol=0, atol=1e-4)


def test_what_comes_in_from_beyond_the_edge_is_background():
    assert turned(torch.full((1, 784), BACKGROUND), torch.tensor([45.0])).unique().tolist() == pytest.approx(
        [BACKGROUND]
    )


def test_two_names_more_are_swapped_at_each_fixed_point():
    assert names_at(SWAPPED_EVERY - 1).tolist() == list(range(10))
    for k in range(1, 8):
        before, after = names_at(k * SWAPPED_EVERY - 1), names_at(k * SWAPPED_EVERY)
        assert (before != after).sum() == 2
        assert sorted(after.tolist()) == list(range(10))


def test_images_and_labels_are_those_of_the_schedule():
    """A sample shortly after the first swap is a training digit, turned by 25 degrees, under its new name."""
    x, y, *_ = digits()
    moment = SWAPPED_EVERY + 3
    sample, label = next(islice(drifting_digits(), moment, None))
    all_turned = turned(x, torch.full((len(x),), moment / 200))
    nearest = (all_turned - sample).abs().sum(dim=1).argmin()
    torch.testing.assert_close(all_turned[nearest], sample)
    assert label == names_at(moment)[y[nearest]]
    before = next(islice(drifting_digits(), moment - 4, None))[1]
    assert before in range(10)


def test_where_the_drift_ends_the_last_concept_stays():
    ends = 100
    endless, resting = drifting_digits(), drifting_digits(ends)
    same = [torch.equal(a, b) for (a, _), (b, _) in islice(zip(endless, resting, strict=False), 400)]
    assert all(same[:ends])
    assert not any(same[ends:])


def test_the_held_out_digits_are_those_of_the_last_concept_and_never_in_the_stream():
    begin, x, y, test_x, test_y = stream_and_held_out()
    _, _, plain_x, plain_y, _, plain_test_y = digits()
    torch.testing.assert_close(x, turned(plain_x, torch.full((500,), (DRIFT_ENDS - 1) / 200)), rtol=0, atol=1e-3)
    assert torch.equal(y, names_at(DRIFT_ENDS - 1)[plain_y])
    assert torch.equal(test_y, names_at(DRIFT_ENDS - 1)[plain_test_y])
    assert not torch.equal(y, plain_y)
    assert len(test_x) == 500
    assert next(iter(begin()))[0].shape == (784,)


def test_the_target_is_for_those_who_followed():
    record = run_trial(Trial(find_workload("digits-stream"), MiniBatch(Sgd(0.3)), seconds=30, threads=1))
    assert record.status == "reached", record.reason
    assert record.curve["samples"][-1] > DRIFT_ENDS
