"""What is observed of gradients is what a loop by hand finds, and the run that is looked at does not notice."""

import copy
import warnings
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from paceline.bench import Trial, run_trial
from paceline.bench.analysis.noise_along_run import series
from paceline.bench.probes import gradients as probing
from paceline.bench.probes.gradients import Frozen, NoiseProbe, Parts, at_batch_sizes, of_samples, square
from paceline.trainers import Accumulate, Ddp, MiniBatch, Sgd, Step
from tests import problems
from tests.gloo import on_ranks
from tests.problems import GAUSSIANS


def flat(gradient):
    return torch.cat([tensor.flatten() for tensor in gradient])


def by_hand(task, model, index):
    """The gradient of the mean loss over some samples, by ``backward`` on a copy."""
    model = copy.deepcopy(model)
    model.zero_grad()
    x, y = task[index]
    task.loss(model(x), y).mean().backward()
    return flat(p.grad for p in model.parameters() if p.requires_grad)


def observe(task, model, **changes):
    probe = NoiseProbe(task, world_size=1, first=True, send=lambda _: None, **changes)
    probe.look(1, 64, model, last=False)
    return probe


@pytest.fixture
def task():
    return problems.task()


class TestExact:
    def test_per_sample_gradients_are_those_of_a_loop(self, task):
        model = task.model()
        found = Frozen.of(task, model).per_sample(torch.arange(9))
        for i in range(9):
            expected = by_hand(task, model, torch.tensor([i]))
            assert flat(each[i] for each in found) == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("chunk_bytes", [1, 50_000, 10**9])
    def test_chunks_bound_memory_and_change_nothing(self, task, monkeypatch, chunk_bytes):
        monkeypatch.setattr(probing, "CHUNK_BYTES", chunk_bytes)
        monkeypatch.setattr(probing, "SAMPLES_AT_ONCE", 100)
        model = task.model()
        sizes = []
        per_sample = Frozen.per_sample
        monkeypatch.setattr(Frozen, "per_sample", lambda self, i: sizes.append(len(i)) or per_sample(self, i))
        found = of_samples(Frozen.of(task, model), np.random.default_rng(0), samples=len(task))
        each = torch.stack([by_hand(task, model, torch.tensor([i])) for i in range(len(task))])
        assert found["exact_n"] == found["exact_big_batch"] == len(task)
        assert found["exact_mean_square"] == pytest.approx(each.square().sum(1).mean().item(), rel=1e-12)
        assert found["exact_big_square"] == pytest.approx(each.mean(0).square().sum().item(), rel=1e-12)
        bytes_of_one = each.element_size() * each.shape[1]
        assert max(sizes) <= max(1, chunk_bytes // bytes_of_one)

    @pytest.mark.parametrize(
        ("layer", "reason"),
        [
            (nn.BatchNorm1d(20), "BatchNorm: a sample has no gradient of its own"),
            (nn.LSTM(20, 20), "torch.func cannot map this model over samples: "),
        ],
        ids=["BatchNorm", "LSTM"],
    )
    def test_a_model_that_cannot_be_mapped_says_why_and_keeps_the_rest(self, task, layer, reason):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.out = layer, nn.Linear(20, 4)

            def forward(self, x):
                hidden = self.layer(x[:, None])[0][:, 0] if isinstance(self.layer, nn.LSTM) else self.layer(x)
                return self.out(hidden)

        probe = observe(task, Net().double())
        assert probe.unmeasured["noise_scale_of_samples"].startswith(reason)
        assert "\n" not in probe.unmeasured["noise_scale_of_samples"]
        assert probe.columns["exact_n"] == [None]
        assert len(probe.columns["big_squares"][0]) == probing.DRAWS

    def test_frozen_parameters_have_no_part_in_it(self, task):
        model = task.model()
        model[0].requires_grad_(False)
        found = of_samples(Frozen.of(task, model), np.random.default_rng(0), samples=len(task))
        each = torch.stack([by_hand(task, model, torch.tensor([i])) for i in range(len(task))])
        assert found["exact_mean_square"] == pytest.approx(each.square().sum(1).mean().item(), rel=1e-12)


class TestBatchSizes:
    def test_squares_and_variances_are_of_gradients_of_random_batches(self, task):
        """Their means over many draws are those of the law of batches without replacement."""
        model, n = task.model(), len(task)
        each = torch.stack([by_hand(task, model, torch.tensor([i])) for i in range(n)])
        trace, mean = each.var(0).sum().item(), each.mean(0).square().sum().item()
        frozen, rng = Frozen.of(task, model), np.random.default_rng(0)
        draws = [at_batch_sizes(frozen, rng) for _ in range(60)]
        assert draws[0]["batch_sizes"] == [16, 128]
        assert (draws[0]["small_batch"], draws[0]["big_batch"]) == (16, 128)
        for size, squares in ((16, "small_squares"), (128, "big_squares")):
            found = np.mean([draw[squares] for draw in draws])
            assert found == pytest.approx(mean + trace * (1 / size - 1 / n), rel=0.05)
        variances = np.mean([draw["variances"] for draw in draws], axis=0)
        assert variances == pytest.approx([trace * (1 / b - 1 / n) for b in (16, 128)], rel=0.05)

    def test_a_batch_is_drawn_without_replacement(self, task, monkeypatch):
        drawn = []
        gradient = Frozen.gradient
        monkeypatch.setattr(Frozen, "gradient", lambda self, i: drawn.append(i) or gradient(self, i))
        at_batch_sizes(Frozen.of(task, task.model()), np.random.default_rng(0))
        assert all(len(set(index.tolist())) == len(index) for index in drawn)
        assert len({tuple(index.tolist()) for index in drawn}) == len(drawn) == 2 * probing.DRAWS

    def test_a_tiny_training_set_has_two_sizes_too(self, task):
        few = replace(task, x=task.x[:6], y=task.y[:6])
        assert at_batch_sizes(Frozen.of(few, few.model()), np.random.default_rng(0))["batch_sizes"] == [1, 6]


class TestParts:
    def looked_at(self, trainer, task, steps):
        """What the hooks saw of a step, its batch by hand, and the weights that it was made at."""
        run = trainer(task)
        model = next(run).model
        for _ in range(steps - 1):
            next(run)
        before, parts = copy.deepcopy(model), Parts(model, steps)
        samples = next(run).samples
        return parts, before, model, samples

    @pytest.mark.parametrize(("batch_size", "micro", "step"), [(64, 16, 1), (24, 10, 1), (100, 30, 2)])
    def test_those_of_accumulation_are_the_micro_batches_gradients(self, task, batch_size, micro, step):
        """Of 24 in parts of 10, 10 and 4 too, and of the ragged last batch of a pass: 56 of 100."""
        from paceline.trainers.task import shuffled

        parts, before, _, samples = self.looked_at(Accumulate(Sgd(lr=0.1), batch_size, micro), task, step)
        batches = shuffled(len(task), batch_size, task.seed, task.device)
        batch = [next(batches) for _ in range(step + 1)][-1]
        assert len(batch) == samples
        each = [(len(m), by_hand(task, before, m).square().sum().item()) for m in batch.split(micro)]
        found = parts.observed(1)
        assert found["parts"] == len(each)
        assert found["parts_batch"] == samples
        assert found["parts_small_square"] == pytest.approx(sum(b * s for b, s in each) / samples, rel=1e-12)
        assert found["parts_big_square"] == pytest.approx(by_hand(task, before, batch).square().sum().item(), rel=1e-12)

    def test_those_of_ddp_are_the_ranks_gradients_before_they_are_averaged(self):
        """25 samples on two ranks: 13 and 12."""

        def rank():
            task = problems.task()
            run = Ddp(Sgd(lr=0.1), batch_size=25)(task)
            model = next(run).model
            before, parts = copy.deepcopy(model), Parts(model, 1)
            next(run)
            return parts.observed(2), {name: p.detach() for name, p in before.state_dict().items()}

        from paceline.trainers.task import shuffled

        (found, weights), (other, _) = on_ranks(rank, 2)
        assert found == other
        task = problems.task()
        model = task.model()
        model.load_state_dict(weights)
        batches = shuffled(len(task), 25, task.seed, task.device)
        _, batch = next(batches), next(batches)
        each = [(len(m), by_hand(task, model, m).square().sum().item()) for m in (batch[0::2], batch[1::2])]
        assert [b for b, _ in each] == [13, 12]
        assert (found["parts"], found["parts_batch"]) == (2, 25)
        assert found["parts_small_square"] == pytest.approx(sum(b * s for b, s in each) / 25, rel=1e-12)
        assert found["parts_big_square"] == pytest.approx(by_hand(task, model, batch).square().sum().item(), rel=1e-12)

    def test_ranks_that_do_not_average_their_gradients_have_no_parts(self):
        @dataclass(frozen=True)
        class Alone(MiniBatch):
            distributed = True

        def rank():
            task = replace(problems.task(), seed=torch.distributed.get_rank())
            run = Alone()(task)
            parts = Parts(next(run).model, 1)
            next(run)
            return parts.observed(2)

        assert on_ranks(rank, 2) == [None, None]

    def test_a_step_of_one_backward_pass_has_no_parts(self, task):
        parts, *_ = self.looked_at(MiniBatch(), task, 1)
        assert parts.observed(1) is None

    def test_a_sum_that_is_not_the_whole_is_no_observation(self, task):
        """A loss scaler multiplies what the hooks see, and divides before the update."""

        @dataclass(frozen=True)
        class Scales(Accumulate):
            def __call__(self, task):
                model = task.model()
                optimizer = self.optimizer(model.parameters())
                while True:
                    optimizer.zero_grad()
                    for index in torch.arange(64).split(16):
                        x, y = task[index]
                        (1024 * task.loss(model(x), y).sum() / 64).backward()
                    for p in model.parameters():
                        p.grad /= 1024
                    optimizer.step()
                    yield Step(model, torch.zeros(()), samples=64)

        parts, *_ = self.looked_at(Scales(), task, 1)
        assert parts.observed(1) is None

    def test_they_look_at_one_step_and_leave_nothing_behind(self, task):
        from torch.optim.optimizer import _global_optimizer_pre_hooks

        parts, _, model, _ = self.looked_at(Accumulate(), task, 1)
        assert not model._forward_pre_hooks
        assert not any(p._backward_hooks for p in model.parameters())
        assert not _global_optimizer_pre_hooks
        assert parts.observed(1)["parts"] == 4

    def test_another_optimizers_step_is_not_theirs(self, task):
        model, other = task.model(), nn.Linear(2, 2)
        parts = Parts(model, 1)
        other(torch.ones(1, 2)).sum().backward()
        torch.optim.SGD(other.parameters(), lr=0.1).step()
        assert parts.observed(1) is None


class TestLeavesTheRunAlone:
    def test_nothing_of_the_model_or_the_random_state_is_touched(self, task):
        """Batch statistics and dropout included, in whatever mode the model is."""
        model = nn.Sequential(nn.Linear(20, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4)).double()
        model[0].weight.grad = torch.ones_like(model[0].weight)
        state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        observe(task, model)
        assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
        assert torch.equal(random, torch.get_rng_state())
        assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
        assert all(p.grad is None for p in list(model.parameters())[1:])
        assert model.training
        assert all(p.requires_grad for p in model.parameters())

    @pytest.mark.parametrize("trainer", [MiniBatch(batch_size=48), Accumulate(batch_size=48), Ddp(batch_size=49)])
    def test_a_run_that_is_looked_at_is_the_same_to_the_last_bit(self, trainer):
        """Its losses, in double precision, tell its weights apart, and dropout draws from the random state."""
        tells = replace(
            GAUSSIANS, model=lambda: nn.Sequential(problems.network(), nn.Dropout(0.3)).double(),
            data=lambda: tuple(t.double() if t.is_floating_point() else t for t in problems.gaussians()),
        )  # fmt: skip
        ranks = 2 if isinstance(trainer, Ddp) else 1
        trial = Trial(tells, trainer, threads=1, steps=60, world_size=ranks, stop_at_target=False)
        plain, looked_at = (run_trial(replace(trial, noise=noise)) for noise in (False, True))
        assert plain.curve["step"][-1] == 60
        assert plain.curve["loss"] == looked_at.curve["loss"]
        assert plain.curve["score"] == looked_at.curve["score"]
        assert not plain.noise
        assert looked_at.noise["step"][0] == 1
        assert looked_at.noise["step"][-1] == 60


class TestInATrial:
    def test_all_methods_agree_on_one_run(self):
        """On 256 samples of an easy problem: the whole set's gradient is exact, the others estimates of the same."""
        trial = Trial(GAUSSIANS, Accumulate(Sgd(lr=0.02)), threads=1, steps=100, stop_at_target=False, noise=True)
        record = run_trial(trial)
        found = series(record)
        assert list(found) == ["samples", "batch sizes", "parts"]
        steps = found["samples"].steps
        assert (steps[0], steps[-1]) == (1, 100)
        assert all(b >= 1.6 * a for a, b in pairwise(steps[:-1]))  # the last is where the run ended
        assert len(steps) == 10
        exact = found["samples"].average()
        assert exact > 0
        assert found["batch sizes"].average() == pytest.approx(exact, rel=0.3)
        assert found["parts"].average() == pytest.approx(exact, rel=0.6)
        assert record.evaluation_seconds > 0
        # The evaluations, each followed by a step that is looked at, which are not many steps in a row.
        assert record.noise["parts_step"] == record.curve["step"][:-1]

    def test_ranks_are_seen_through_the_harness(self):
        record = run_trial(Trial(GAUSSIANS, Ddp(batch_size=31), threads=1, world_size=2, steps=12, noise=True))
        assert set(record.noise["parts"]) == {2}
        assert record.noise["parts_batch"][:5] == [31] * 5
        assert "noise_scale_of_parts" not in record.unmeasured

    def test_a_strategy_without_parts_says_so(self):
        record = run_trial(Trial(GAUSSIANS, MiniBatch(), threads=1, steps=5, noise=True))
        assert record.noise["parts_step"] == []
        assert "several backward passes" in record.unmeasured["noise_scale_of_parts"]


def test_squares_keep_their_precision_in_half(task):
    with warnings.catch_warnings(action="error"):
        assert square([torch.full((5000,), 0.01, dtype=torch.bfloat16)]) == pytest.approx(0.5, rel=0.01)
