"""Samples that arrive by the clock: when, what is predicted of them, how long they take, and who falls behind."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from paceline.bench.harness.arrivals import Arrivals, Arriving
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import STREAM, to_line
from paceline.bench.records.streams import most_behind
from paceline.bench.workloads.workload import Workload, per_sample_cross_entropy
from paceline.trainers import MiniBatch, Online, Retrain, Sgd, Step, Steps, Task
from paceline.trainers.samples import Stream
from tests.problems import GAUSSIANS

CPU = torch.device("cpu")


def alternating() -> Iterator[tuple[Tensor, Tensor]]:
    """Two classes in turn, told by the sign of the one feature; after 400 samples they swap names."""
    for number in itertools.count():
        kind = number % 2
        yield torch.tensor([2.0 * kind - 1]), torch.tensor(kind if number < 400 else 1 - kind)


def _line() -> nn.Module:
    model = nn.Linear(1, 2)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def _data() -> tuple[object, ...]:
    x = torch.tensor([[-1.0], [1.0]] * 8)
    y = torch.tensor([1, 0] * 8)
    return alternating, x, y, x, y


SWAPPED = Workload(name="swapped", model=_line, data=_data, target=0.9)


@dataclass
class Clock:
    """A clock that each look moves on by a microsecond."""

    now: float = 100.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def arriving(monkeypatch, samples: int, per_second: float | None, **settings) -> tuple[Arriving, Clock]:
    clock = Clock()
    monkeypatch.setattr(time, "sleep", clock.sleep)
    stream = Stream(alternating, CPU)
    arrivals = Arrivals(samples, per_second)
    return Arriving(stream, arrivals, per_sample_cross_entropy, _line(), CPU, clock=clock, **settings), clock


def one_by_one() -> Iterator[slice]:
    return (slice(number, number + 1) for number in itertools.count())


def test_a_trainer_that_is_fast_enough_learns_each_sample_as_it_comes(monkeypatch):
    source, clock = arriving(monkeypatch, 50, 100.0)
    for _ in source.fetch(one_by_one(), ahead=True):
        clock.sleep(0.004)
    found = source.observed()
    assert found["latency_seconds"][0] is None  # the clock had just started
    assert found["latency_seconds"][1:] == pytest.approx([0.004] * 49, abs=1e-4)
    assert source.waited == pytest.approx(49 * 0.006, rel=0.02)
    assert clock.now - 100 == pytest.approx(49 * 0.01 + 0.004, abs=1e-3)


def test_who_takes_twice_the_time_between_samples_falls_behind_by_half_of_them(monkeypatch):
    """After i steps of 20 ms, 2 i have arrived at one in 10 ms: i wait; at the end all have, and none is lost."""
    source, clock = arriving(monkeypatch, 60, 100.0)
    for _ in source.fetch(one_by_one(), ahead=True):
        clock.sleep(0.020)
    seconds = source.observed()["latency_seconds"]
    assert len(seconds) == 60
    assert seconds[-1] == pytest.approx(60 * 0.020 - 0.59, abs=1e-3)
    assert source.waited == pytest.approx(0, abs=1e-3)


def test_a_batch_waits_for_its_last_sample_and_its_first_sample_with_it(monkeypatch):
    source, clock = arriving(monkeypatch, 30, 1000.0)
    for _ in source.fetch((slice(k, k + 10) for k in itertools.count(0, 10)), ahead=True):
        clock.sleep(0.002)
    found = source.observed()["latency_seconds"][10:20]
    assert found == pytest.approx([0.002 + 0.001 * (9 - k) for k in range(10)], abs=1e-4)


def test_while_it_is_held_nothing_arrives(monkeypatch):
    source, clock = arriving(monkeypatch, 20, 100.0)
    for number, _ in enumerate(source.fetch(one_by_one(), ahead=True)):
        clock.sleep(0.004)
        if number == 10:
            source.hold()
            clock.sleep(5.0)
            source.go_on()
    found = source.observed()["latency_seconds"]
    assert [number for number, latency in enumerate(found) if latency is None] == [0, 10]
    assert [latency for latency in found if latency] == pytest.approx([0.004] * 18, abs=1e-4)


def test_what_held_it_is_lost_in_many_steps(monkeypatch):
    """Retraining is looked at in between each time: its latency is known all the same."""
    source, clock = arriving(monkeypatch, 20, 100.0)
    for _ in source.fetch(one_by_one(), ahead=True):
        for _ in range(20):
            clock.sleep(0.0002)
            source.follow(source.model)
        source.hold()
        source.go_on()
    assert source.observed()["latency_seconds"] == pytest.approx([0.004] * 20, abs=1e-4)


def test_it_ends_by_its_own_clock_and_learns_no_more_than_was_taken(monkeypatch):
    source, clock = arriving(monkeypatch, 1000, 100.0, seconds=0.5)
    taken = 0
    for _ in source.fetch(one_by_one(), ahead=True):
        clock.sleep(0.020)
        taken += 1
    assert taken == 25
    assert {len(column) for column in source.observed().values()} == {25}


def test_a_model_that_knows_nothing_predicts_one_class_and_is_left_as_it_was(monkeypatch):
    source, _ = arriving(monkeypatch, 10, None)
    source.model.train()
    for _ in source.fetch(one_by_one(), ahead=True):
        pass
    found = source.observed()
    assert found["label"] == [0, 1] * 5
    assert found["predicted"] == [0] * 10
    assert found["loss"] == [0.693] * 10
    assert found["latency_seconds"] == [None] * 10
    assert source.model.training


def trial(trainer, **changes) -> Trial:
    settings = {"threads": 1, "seconds": 20.0, "stop_at_target": False, "score_along": False}
    return Trial(SWAPPED, trainer, **settings | {"arrivals": Arrivals(600)} | changes)


class TestTrials:
    """In processes of their own."""

    @pytest.mark.parametrize(
        "trainer", [Online(Sgd(lr=0.5)), MiniBatch(Sgd(lr=0.5), 20), Retrain(Sgd(0.5), 20, 100, keep=1)]
    )
    def test_each_sample_is_predicted_before_it_is_learned_from(self, trainer):
        """Right until names are swapped, and wrong at the first samples after, whatever has been learned by then."""
        record = run_trial(trial(trainer))
        assert (record.status, record.reason) == ("reached", "")
        assert set(record.stream) == set(STREAM)
        assert {len(column) for column in record.stream.values()} == {600}
        assert record.arrivals == {"samples": 600, "per_second": None}
        right = [a == b for a, b in zip(record.stream["label"], record.stream["predicted"], strict=True)]
        assert all(right[100:400])
        late = {Online: 1, MiniBatch: 20, Retrain: 100}[type(trainer)]
        assert not any(right[400 : 400 + late])
        assert all(right[-20:])
        to_line(record)

    def test_a_trial_whose_time_is_up_makes_a_step_and_says_that_it_was_cut_short(self):
        record = run_trial(trial(Online(Sgd(lr=0.5)), wall_seconds=1e-3))
        assert record.curve["step"] == [1]
        assert record.cut_short
        assert not run_trial(trial(Online(Sgd(lr=0.5)), arrivals=Arrivals(50))).cut_short

    @pytest.mark.times
    def test_a_trainer_that_sleeps_falls_behind_a_stream_that_does_not(self):
        """A step of 4 ms or more, 1,000 samples/s: when the last of 200 arrives, three quarters of them wait."""
        slow = run_trial(trial(Dozes(0.004), arrivals=Arrivals(200, 1000.0)))
        assert 130 <= most_behind(slow) <= 165
        calm = run_trial(trial(Dozes(0.004), arrivals=Arrivals(100, 50.0)))
        assert most_behind(calm) <= 1

    def test_what_is_no_stream_has_no_arrivals(self):
        with pytest.raises(ValueError, match="arrivals are those of a stream"):
            run_trial(replace(trial(Online()), workload=GAUSSIANS))


@dataclass(frozen=True)
class Dozes:
    """Online training that sleeps before each step."""

    seconds: float

    def __call__(self, task: Task) -> Steps:
        """Train as long as there are samples."""
        model = task.model()
        for batch in task.batches(1):
            x, y = batch
            loss = task.mean_loss(model(x), y)
            time.sleep(self.seconds)
            yield Step(model, loss.detach(), samples=len(batch))
