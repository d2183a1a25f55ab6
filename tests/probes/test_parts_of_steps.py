"""The parts of a step's gradient are what a loop by hand finds, and make up the whole."""

import copy
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from paceline.bench.probes.parts_of_steps import Parts
from paceline.trainers import Accumulate, Ddp, MiniBatch, Sgd, Step
from tests import problems
from tests.gloo import on_ranks
from tests.probes.gradients_by_hand import by_hand


@pytest.fixture
def task():
    return problems.task()


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

    def test_of_dicts_samples_are_counted_not_their_names(self):
        class Named(torch.nn.Linear):
            def forward(self, x):
                return super().forward(x["a"] + x["b"])

        model = Named(3, 1)
        parts = Parts(model, 1)
        model({"a": torch.ones(5, 3), "b": torch.ones(5, 3)}).sum().backward()
        parts.remove()
        assert parts._sizes == [5]

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
