"""The measuring loop: what is scored, what is warmed up, what ranks have in common and what not."""

import itertools
import random
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from paceline.bench import Trial as AnyTrial
from paceline.bench import Workload, run_trial
from paceline.bench.analysis.frames import trials_frame
from paceline.bench.harness import windows
from paceline.bench.harness.pulse import Pulse
from paceline.bench.records.quantities import seconds_per_step
from paceline.bench.workloads.data import Data, Samples
from paceline.bench.workloads.user_code import WARNINGS
from paceline.bench.workloads.workload import accuracy, mean_over_samples
from paceline.trainers import Accumulate, Ddp, FullBatch, MiniBatch, Online, Sgd, Step, Steps, Task
from tests import problems
from tests.problems import GAUSSIANS, POINTS, Misbehaves, Sleeper

Trial = partial(AnyTrial, threads=1)


@pytest.fixture
def told(monkeypatch):
    """Return the warnings that are shown from now on."""
    lines = []
    monkeypatch.setattr(WARNINGS, "show", lines.append)
    monkeypatch.setattr(WARNINGS, "_shown", set())
    return lines


@dataclass(frozen=True)
class Few:
    """Trains for ``steps`` steps, and ends by itself."""

    steps: int
    lr: float = 0.5

    def __call__(self, task: Task) -> Steps:
        for _, step in zip(range(self.steps), FullBatch(Sgd(lr=self.lr))(task), strict=False):
            yield step


@pytest.mark.parametrize("score_along", [True, False])
def test_a_trainer_that_ends_right_on_an_evaluation_is_scored(score_along):
    """100 is such a step, 101 is not: with 100 nobody had looked where the score is taken at the end only."""
    assert windows.LEAST_APART == 3
    for steps in (100, 101):
        record = run_trial(Trial(GAUSSIANS, Few(steps), score_along=score_along, stop_at_target=False))
        assert (record.status, record.curve["step"][-1]) == ("reached", steps)
        assert record.curve["step"].count(steps) == 1
        assert record.curve["score"][-1] > GAUSSIANS.target
        assert set(record.final_losses) == {"train", "validation", "test"}
        assert trials_frame((record,)).iloc[0].broken_laws == ""


def test_its_divergence_is_not_counted_twice():
    losses = (1.0,) * 31 + (20.5,) * 27  # nine evaluations in a row, and it ends at the ninth

    @dataclass(frozen=True)
    class Ends:
        def __call__(self, task: Task) -> Steps:
            model = task.model()
            model(task.x)
            for loss in losses:
                yield Step(model, torch.tensor(loss), samples=1)

    record = run_trial(Trial(POINTS, Ends()))
    assert (record.status, record.curve["step"][-1]) == ("missed", 58)


@dataclass(frozen=True)
class ColdAfterEvaluations:
    """Takes twice as long for a step that follows an evaluation; tells as its loss the mean seconds of the others."""

    listens: ClassVar[bool] = True
    batch_size: int = 10

    def __call__(self, task: Task) -> Steps:
        model, told, others = task.model(), 0.0, []
        while True:
            began = time.perf_counter()
            model(task.x)
            time.sleep(0.002 if told is None else 0.004)
            mean = torch.tensor(float(np.mean(others)) if others else 0.0, dtype=torch.float64)
            step = Step(model, mean, samples=10)
            if told is None:
                others.append(time.perf_counter() - began)
            told = yield step


class TestWindows:
    @pytest.mark.parametrize(("long", "most_apart"), [(False, 3), (True, 1)])
    def test_long_steps_are_scored_each_and_the_ends_of_short_ones_among_them(self, long, most_apart):
        ends, one = [], windows.Windows()
        while one.end < 34:
            ends.append(one.end)
            one.go_on(one.end, long)
        assert {later - end for end, later in itertools.pairwise(ends)} == {most_apart}
        assert set(range(1, 34, 3)) <= set(ends)

    def test_whatever_was_scored_between_the_ends_of_short_steps_are_kept(self):
        one, steady, ends, planned = windows.Windows(), windows.Windows(), [], []
        while one.end < 500:
            ends.append(one.end)
            one.go_on(one.end, 20 < one.end < 60)
        while steady.end < 500:
            planned.append(steady.end)
            steady.go_on(steady.end, False)
        assert set(planned) < set(ends)

    @pytest.mark.parametrize(("others", "long"), [(0.9, False), (1.1, True)])
    def test_first_steps_make_none_long(self, others, long):
        """On a busy machine they may take ten times as long as the others."""
        one = windows.Windows()
        one.saw_first(1)
        one.first_seconds = 1.0
        assert not one.are_long(1, 1.0)  # of one alone nothing is known
        assert one.are_long(3, 1.0 + 2 * others * windows.LONG_STEP) is long


class TestRates:
    def test_the_slower_first_step_after_an_evaluation_is_in_no_rate(self):
        """One step in three is one, so that all of them together take a third longer."""
        record = run_trial(Trial(POINTS, ColdAfterEvaluations(), steps=101))
        row, true = trials_frame((record,)).iloc[0], record.curve["loss"][-1]
        assert record.curve["seconds"][-1] / 101 > 1.15 * true
        assert row.seconds_per_step == pytest.approx(true, rel=0.05)
        assert row.samples_per_second == pytest.approx(10 / true, rel=0.05)
        assert row.broken_laws == ""

    def test_where_each_step_is_scored_rates_are_of_all(self):
        """What slows a step after an evaluation is lost in one so long, and the crossing is then known to a step."""
        record = run_trial(Trial(POINTS, Sleeper(1.2 * windows.LONG_STEP), steps=8))
        assert record.curve["step"] == [1, 4, 5, 6, 7, 8]
        assert trials_frame((record,)).iloc[0].seconds_per_step == record.curve["seconds"][-1] / 8

    def test_records_that_do_not_tell_first_steps_apart_are_read_as_before(self):
        record = run_trial(Trial(POINTS, Sleeper(0.0), steps=8))
        older = [{name: seen for name, seen in rank.items() if not name.startswith("first_")} for rank in record.ranks]
        assert seconds_per_step(replace(record, ranks=older)) == record.curve["seconds"][-1] / 8


class TestWarmUp:
    @pytest.mark.parametrize(
        ("trainer", "shapes"),
        [
            (MiniBatch(batch_size=60), {60, 256 % 60}),
            (Accumulate(batch_size=60, micro_batch_size=25), {25, 10, 256 % 60}),
            (Ddp(batch_size=60), {60, 256 % 60}),
            (FullBatch(), {256}),
            (Online(), {1}),
            (MiniBatch(batch_size=64), {64}),
        ],
        ids=repr,
    )
    def test_meets_every_shape_of_a_pass(self, trainer, shapes, tmp_path):
        class Notes(nn.Linear):
            def forward(self, x):
                if self.training:
                    with (tmp_path / "seen").open("a") as file:
                        file.write(f"{len(x)} ")
                return super().forward(x)

        workload = replace(GAUSSIANS, model=lambda: Notes(20, 4))

        run_trial(Trial(workload, trainer, steps=None, seconds=1e-9))  # the run ends after its first step
        seen = {int(word) for word in (tmp_path / "seen").read_text().split()}
        assert shapes <= seen <= shapes | {0, 1, 3}  # those of the check

    def test_what_a_run_is_too_short_to_meet_is_not_tried(self):
        """One sample is left over, which batch statistics cannot do with: at step 13, after the end."""
        x, y, held_out_x, held_out_y = problems.gaussians()
        workload = replace(
            GAUSSIANS,
            data=lambda: (x[:253], y[:253], held_out_x, held_out_y),
            model=lambda: nn.Sequential(nn.BatchNorm1d(20), nn.Linear(20, 4)),
        )
        assert run_trial(Trial(workload, MiniBatch(batch_size=21), steps=12)).status in ("missed", "reached")
        assert run_trial(Trial(workload, MiniBatch(batch_size=21), steps=13)).status == "failed"

    def test_compilation_falls_outside_the_clock(self, told):
        """256 = 4 x 60 + 16: at step 5 a compiler meets another shape."""
        compiled = replace(GAUSSIANS, model=lambda: torch.compile(problems.network(), backend="eager"), target=1.0)
        record = run_trial(Trial(compiled, MiniBatch(batch_size=60), steps=20, stop_at_target=False))
        assert record.compile_seconds > 0
        assert record.flops_per_sample == 4 * 20 * 32 + 6 * 32 * 4  # though a compiled layer is not counted
        assert record.ranks[0]["compile_seconds_in_training"] == 0
        assert not told

    @pytest.mark.times
    def test_a_trainer_that_compiles_its_model_is_timed_from_its_first_use(self):
        @dataclass(frozen=True)
        class Compiles:
            def __call__(self, task):
                model = torch.compile(task.model(), backend="eager")
                time.sleep(0.4)
                while True:
                    loss = task.loss(model(task.x), task.y).mean()
                    yield Step(model, loss.detach(), samples=9)

        record = run_trial(Trial(replace(GAUSSIANS, target=1.0), Compiles(), steps=7))
        assert record.setup_seconds >= 0.4
        assert record.curve["seconds"][-1] < 0.4

    def test_compilation_within_the_run_is_told(self, told):
        @dataclass(frozen=True)
        class Widens:
            def __call__(self, task):
                model = task.model()
                for number in itertools.count(1):
                    x = task.x[:9].double() if number == 14 else task.x[:9]
                    loss = task.loss(model.to(x.dtype)(x), task.y[:9]).mean()
                    yield Step(model, loss.detach(), samples=9)

        compiled = replace(GAUSSIANS, model=lambda: torch.compile(problems.network(), backend="eager"), target=1.0)
        record = run_trial(Trial(compiled, Widens(), steps=17))
        assert 0 < record.ranks[0]["compile_seconds_in_training"] < record.curve["seconds"][-1]
        assert any("the model was compiled anew while it trained" in line for line in told)


class TestRanks:
    def test_flops_of_uneven_shares_are_those_of_all(self):
        """Rank 0 has two of three samples: 2 x 2 / 3 would be a third too many."""
        even, uneven = (
            run_trial(Trial(GAUSSIANS, Ddp(batch_size=size), world_size=2, steps=1)).flops_per_sample for size in (4, 3)
        )
        assert uneven == even == 4 * 20 * 32 + 6 * 32 * 4

    def test_ranks_draw_different_masks_and_a_rank_the_same_in_each_run(self, tmp_path):
        folder = tmp_path

        @dataclass(frozen=True)
        class Draws:
            distributed = True
            batch_size: int = 4

            def __call__(self, task):
                model, rank = task.model(), torch.distributed.get_rank()
                model(task.x)
                drawn = [torch.rand(()).item(), random.random(), float(np.random.rand())]
                with (folder / f"rank{rank}").open("a") as file:
                    file.write(f"{drawn}\n")
                while True:
                    yield Step(model, torch.zeros(()), samples=4)

        for _ in range(2):
            run_trial(Trial(POINTS, Draws(), world_size=2, steps=1))
        lines = [(folder / f"rank{rank}").read_text().splitlines() for rank in (0, 1)]
        assert len(lines[0]) == len(lines[1]) == 4  # warm-up and run, twice
        assert len(set(lines[0])) == len(set(lines[1])) == 1
        first, second = (eval(line[0]) for line in lines)
        assert all(a != b for a, b in zip(first, second, strict=True))

    @pytest.mark.times
    def test_ranks_begin_each_window_together(self):
        """Rank 1 is held up before the end of each pause: its clock and that of rank 0 begin after that."""

        @dataclass(frozen=True)
        class Meets:
            distributed = True
            batch_size: int = 4

            def __call__(self, task):
                model = task.model()
                model(task.x)
                while True:
                    torch.distributed.barrier()
                    yield Step(model, torch.zeros(()), samples=4)

        def late(self, *arguments):
            if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 1:
                time.sleep(0.02)
            return keep(*arguments)

        from paceline.bench.probes import procfs

        keep = procfs.keep_freed_memory

        class Slow(nn.Linear):
            def __init__(self, *sizes):
                super().__init__(*sizes)
                from paceline.bench.probes import procfs

                procfs.keep_freed_memory = lambda *arguments: late(None, *arguments)

        record = run_trial(Trial(replace(POINTS, model=lambda: Slow(1, 1)), Meets(), world_size=2, steps=31))
        # Eleven windows: 0.02 s late each, if it were counted.
        assert record.curve["seconds"][-1] < 0.1


class TestModels:
    @pytest.mark.parametrize("trainer", [MiniBatch(), Ddp()], ids=repr)
    def test_lazy_layers_train_and_their_weights_follow_the_seed(self, trainer):
        lazy = replace(GAUSSIANS, model=lambda: nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.LazyLinear(4)))
        record = run_trial(Trial(lazy, trainer, steps=3))
        assert record.status in ("missed", "reached")
        assert record.parameters == 20 * 32 + 32 + 32 * 4 + 4
        task = lazy.task(Data.of(problems.gaussians()).train, 5, torch.device("cpu"))
        before = torch.get_rng_state()
        first, second = task.model(), task.model()
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
        assert first.training

    def test_weights_drawn_by_numpy_and_python_follow_the_seed(self):
        def model():
            layer = nn.Linear(20, 4)
            with torch.no_grad():
                layer.weight += torch.as_tensor(np.random.randn(4, 20)) + random.random()
            return layer

        task = replace(GAUSSIANS, model=model).task(Data.of(problems.gaussians()).train, 5, torch.device("cpu"))
        assert torch.equal(task.model().weight, task.model().weight)


class TestScore:
    def outputs(self):
        generator = torch.Generator().manual_seed(0)
        return torch.randn(1000, 10, generator=generator), torch.randint(10, (1000,), generator=generator)

    def test_a_mean_over_samples_is_taken_part_by_part_and_is_the_same(self):
        x, y = self.outputs()
        whole = GAUSSIANS.evaluate(nn.Identity(), Samples(x, y))
        for at_once in (1, 7, 64, 999, 1000):
            assert GAUSSIANS.evaluate(nn.Identity(), Samples(x, y), at_once=at_once) == whole == accuracy(x, y)

    def test_the_outputs_of_a_part_are_all_that_is_kept(self):
        seen = []

        @mean_over_samples
        def score(outputs, targets):
            seen.append(len(outputs))
            return outputs.mean().item()

        x, y = self.outputs()
        replace(GAUSSIANS, score=score).evaluate(nn.Identity(), Samples(x, y), at_once=300)
        assert seen == [300, 300, 300, 100]

    def test_another_score_sees_all_outputs_at_once(self):
        x, y = self.outputs()
        spread = replace(GAUSSIANS, score=lambda outputs, targets: outputs.std().item())
        assert spread.evaluate(nn.Identity(), Samples(x, y), at_once=64) == pytest.approx(x.std().item())

    @pytest.mark.parametrize(
        ("trainer", "width", "most"),
        [(MiniBatch(batch_size=8), 100_000, 8), (Online(), 100_000, 2), (MiniBatch(batch_size=8), 4, 2048)],
        ids=["as a batch", "one at a time", "small samples"],
    )
    def test_as_many_at_once_as_training_has_room_for(self, trainer, width, most, tmp_path):
        class Notes(nn.Linear):
            def forward(self, x):
                if not self.training:
                    with (tmp_path / "seen").open("a") as file:
                        file.write(f"{len(x)} ")
                return super().forward(x)

        workload = replace(GAUSSIANS, model=lambda: Notes(20, width), target=1.0)
        run_trial(Trial(workload, trainer, steps=1))
        sizes = [int(word) for word in (tmp_path / "seen").read_text().split()]
        assert max(sizes[2:]) == min(most, problems.N)  # the first two are those of the check


def test_the_training_loss_at_the_end_is_of_samples_from_all_over():
    """Sorted data: the first 10,000 have a loss of 0, the other 10,000 one of 1."""
    x = torch.zeros(20_000, 1)
    y = (torch.arange(20_000) >= 10_000).float()[:, None]
    workload = Workload(
        name="sorted", model=lambda: nn.Linear(1, 1, bias=False), data=lambda: (x, y, x[:9], y[-9:]), target=-1.0,
        loss=POINTS.loss, score=POINTS.score, higher_is_better=False,
    )  # fmt: skip
    record = run_trial(Trial(workload, MiniBatch(), steps=1))
    assert record.final_losses["train"] == pytest.approx(0.5, abs=0.03)


class TestPulse:
    @pytest.mark.times
    def test_a_slow_warm_up_is_no_hang(self):
        """Two steps of 1.2 s and an evaluation: more in all than patience, and none of them by itself."""

        class Slow(nn.Linear):
            def forward(self, x):
                if self.training:
                    time.sleep(1.2)
                return super().forward(x)

        record = run_trial(Trial(replace(POINTS, model=lambda: Slow(1, 1)), FullBatch(), seconds=0.1, patience=2.5))
        assert record.status == "missed", record.reason

    @pytest.mark.times
    @pytest.mark.parametrize(
        ("good_steps", "during"), [(0, "its start|warm-up"), (1, "warm-up"), (10, "training")], ids=str
    )
    def test_a_hang_tells_during_what(self, good_steps, during):
        trainer = Misbehaves(problems.loop_forever, good_steps=good_steps)
        record = run_trial(Trial(POINTS, trainer, patience=2))
        assert record.status == "timed_out"
        assert any(f"nothing was finished within 2 s during {word}" in record.reason for word in during.split("|"))

    def test_it_is_silent_while_nothing_is_done(self):
        said = []
        with Pulse(said.append, every=0.01) as pulse:
            pulse.get_on("warm-up")
            time.sleep(0.2)
            once = len(said)
            pulse.done += 1
            time.sleep(0.2)
        assert said == [{"doing": "warm-up"}] * 2
        assert once == 1
        pulse.get_on("training")
        time.sleep(0.05)
        assert len(said) == 2


def test_sparse_and_complex_parameters_go_through_a_whole_trial():
    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(20, 4, dtype=torch.cfloat))

        def forward(self, x):
            return (x.to(torch.cfloat) @ self.w).abs()

    x = torch.randint(500, (300, 8), generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 250).long()
    sparse = Workload(
        name="sparse",
        model=lambda: nn.Sequential(nn.EmbeddingBag(500, 16, sparse=True), nn.Linear(16, 2)),
        data=lambda: (x[:200], y[:200], x[200:], y[200:]),
        target=1.0,
    )
    for workload in (sparse, replace(GAUSSIANS, name="complex", model=Complex, target=1.0)):
        record = run_trial(Trial(workload, MiniBatch(), steps=8))
        assert record.status == "missed", record.reason
