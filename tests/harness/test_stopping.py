"""What the harness tells a trainer, and when it stops one before the target or the end of the budget."""

import itertools
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from paceline.bench import Trial, run_trial
from paceline.bench.analysis.frames import trials_frame
from paceline.bench.harness.ending import EVALUATIONS
from paceline.bench.harness.windows import LEAST_APART
from paceline.trainers import MiniBatch, Sgd, Step, Steps, Task
from tests.problems import GAUSSIANS, POINTS, Sleeper


@dataclass(frozen=True)
class Listener:
    """Tells as its loss what it was last told as its score; 1e6 where it was told nothing."""

    listens: ClassVar[bool] = True
    distributed: bool = False
    batch_size: int = 4

    def __call__(self, task: Task) -> Steps:
        model, told = task.model(), None
        while True:
            model(task.x)
            with torch.no_grad():
                next(model.parameters()).add_(0.01)  # so that no two scores are the same
            told = yield Step(model, torch.tensor(1e6 if told is None else told, dtype=torch.float64), samples=4)


@dataclass(frozen=True)
class Counter:
    """Makes the slope of a line the number of its step."""

    def __call__(self, task: Task) -> Steps:
        model = task.model()
        for number in itertools.count(1):
            model(task.x)
            with torch.no_grad():
                next(model.parameters()).fill_(number)
            yield Step(model, torch.zeros(()), samples=10)


@dataclass(frozen=True)
class Scripted:
    """Learns nothing, and tells ``first`` as its loss, then ``later`` over and over."""

    first: tuple[float, ...]
    later: tuple[float, ...]

    def __call__(self, task: Task) -> Steps:
        model = task.model()
        model(task.x)
        losses = list(self.first)
        while True:
            losses = losses or list(self.later)
            yield Step(model, torch.tensor(losses.pop(0)), samples=10)


def end_of(trainer, **options):
    return run_trial(Trial(POINTS, trainer, threads=1, **options))


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_trainer_is_told_each_score_once_larger_is_better_on_every_rank(world_size):
    record = end_of(Listener(distributed=world_size > 1), steps=100, world_size=world_size)
    curve = record.curve
    assert set(curve["loss"][:-1]) == {1e6}  # some steps after the last evaluation: it was told before
    # Every step is scored but the last one, whose loss is the score before it, negated: a smaller error is better.
    told = end_of(Listener(distributed=world_size > 1), steps=101, world_size=world_size).curve
    assert (told["step"][-2:], told["loss"][-1]) == ([100, 101], pytest.approx(-told["score"][-2], rel=1e-12))


@pytest.mark.parametrize(("undefined", "status"), [(range(8), "reached"), (range(5, 8), "diverged")])
def test_a_score_may_be_undefined_until_there_is_one_and_not_after(undefined, status):
    """A correlation is, while all predictions are one. Here the slope of the model is the number of its step."""

    def correlation(outputs, _):
        step = round((outputs[1] - outputs[0]).item() * 64)
        return math.nan if step in undefined else step / 10

    counting = replace(POINTS, score=correlation, higher_is_better=True, target=1.0)
    record = run_trial(Trial(counting, Counter(), threads=1, steps=40))
    assert (record.status, record.curve["step"][-1]) == (status, 10 if status == "reached" else 7)
    assert [score is None or math.isnan(score) for score in record.curve["score"][:4]] == [
        step in undefined for step in record.curve["step"][:4]
    ]


def test_a_trainer_that_does_not_listen_is_told_nothing():
    """It may hand its steps on from any iterator, which could not take a score."""

    @dataclass(frozen=True)
    class Deaf:
        def __call__(self, task: Task) -> Steps:
            yield from itertools.islice(Listener()(task), 20)

    record = end_of(Deaf(), steps=15)
    assert (record.status, set(record.curve["loss"])) == ("missed", {1e6})


def test_training_stops_early_when_the_score_improves_no_more():
    record = end_of(Sleeper(0.0), steps=1000, stop_on_plateau=7)
    assert record.status == "plateaued"
    assert record.reason.startswith("102 steps brought no better score than")
    assert record.curve["step"][-1] == 103  # not sooner: a rate may still be warming up
    row = trials_frame((record,)).iloc[0]
    assert row.status == "plateaued"
    assert math.isnan(row.seconds_to_target)
    assert row.broken_laws == ""


def test_training_that_improves_is_not_stopped():
    trial = Trial(GAUSSIANS, MiniBatch(Sgd(lr=0.02)), threads=1, steps=300, stop_on_plateau=60)
    assert run_trial(trial).status == "reached"


def test_a_plateau_is_so_many_times_the_steps_of_the_best_score():
    """Its score gets better until step 400, and then no more: 1.03^20 = 1.81 times as many steps are 722."""

    @dataclass(frozen=True)
    class Stalls:
        def __call__(self, task: Task) -> Steps:
            model = task.model()
            for number in itertools.count(1):
                model(task.x)
                with torch.no_grad():
                    model.bias.fill_(min(number, 400) / 1000)
                    model.weight.fill_(2.0)
                yield Step(model, torch.zeros(()), samples=4)

    record = end_of(Stalls(), steps=2000, stop_on_plateau=20)
    best = next(s for s in record.curve["step"] if s >= 400)
    assert record.status == "plateaued"
    assert record.curve["step"][-2] < 1.03**20 * best <= record.curve["step"][-1]


def test_a_loss_that_has_risen_tenfold_for_ten_evaluations_is_given_up():
    record = end_of(Scripted(first=(1.0, 1.0, 1.0, 2.0) + (1.0,) * 27, later=(20.5,)), steps=1000)
    assert record.status == "diverged"
    assert record.curve["step"][-1] == 31 + LEAST_APART * EVALUATIONS
    assert "10.2 times that of the first steps" in record.reason


def test_a_negative_loss_that_rises_by_as_much_is_given_up_too():
    record = end_of(Scripted(first=(-2.0,) * 31, later=(20.5,)), steps=1000)
    assert (record.status, record.curve["step"][-1]) == ("diverged", 31 + LEAST_APART * EVALUATIONS)


@pytest.mark.parametrize(
    "losses",
    [
        # At every tenth evaluation the loss is smaller.
        Scripted(first=(1.0, 1.0, 1.0, 2.0) + (1.0,) * 27, later=((20.5,) * 3) * 9 + (19.5,) * 3),
        Scripted(first=(30.0,), later=(250.0,)),  # large from the beginning: a scale, not a rise
        Scripted(first=(-0.1,) * 31, later=(-0.9,)),  # below zero: less is better there as well
        Scripted(first=(-0.9,) * 31, later=(-0.1,)),
        Scripted(first=(0.0,) * 31, later=(1.0,)),  # of nothing there is no tenfold
    ],
)
def test_losses_that_spike_or_were_always_large_are_not_given_up(losses):
    assert end_of(losses, steps=100).status == "missed"  # up to there evaluations are three steps apart


def test_the_losses_at_the_end_are_means_over_each_part():
    record = end_of(Sleeper(0.0), steps=3)
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    x, y, _, _ = POINTS.data()
    expected = (model(x) - y).square().mean().item()
    assert record.final_losses["train"] == pytest.approx(expected, rel=1e-6)
    shifted = replace(POINTS, data=lambda: (x, y, x, y, x, y + 100))
    record = run_trial(Trial(shifted, Sleeper(0.0), threads=1, steps=3))
    assert record.final_losses["train"] == pytest.approx(expected, rel=1e-6)
    assert record.final_losses["validation"] == pytest.approx(expected, rel=1e-6)
    assert record.final_losses["test"] == pytest.approx((model(x) - y - 100).square().mean().item(), rel=1e-6)
    assert record.test_score == pytest.approx(record.final_losses["test"], rel=1e-6)
    row = trials_frame((record,)).iloc[0]
    assert (row.train_loss, row.held_out_loss) == (record.final_losses["train"], record.final_losses["test"])


@pytest.mark.parametrize(("options"), [{"stop_on_plateau": 0}, {"stop_on_plateau": 3, "score_along": False}])
def test_a_plateau_needs_evaluations(options):
    with pytest.raises(ValueError, match="stop_on_plateau must be at least 1, and needs score_along"):
        end_of(Sleeper(0.0), **options)
