"""Every trainer is held to another that must make the same steps, or to a closed form."""

import itertools
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch.nn.utils import parameters_to_vector

from paceline import trainers
from paceline.bench.workloads import linear
from paceline.trainers import (
    Accumulate,
    Adam,
    AdaScale,
    Amp,
    Averaged,
    Compiled,
    Ddp,
    FullBatch,
    GrowingBatch,
    MiniBatch,
    NoiseBatch,
    Online,
    ReduceOnPlateau,
    Retrain,
    RmsProp,
    Sgd,
    Task,
    Trainer,
    shuffled,
)
from tests.gloo import on_ranks
from tests.problems import GAUSSIANS, N, task

SINGLE = [
    FullBatch(),
    MiniBatch(),
    Online(Sgd(lr=0.05)),
    Accumulate(),
    Amp(),
    Amp(dtype="float16"),
    GrowingBatch(),
    NoiseBatch(),
    AdaScale(),
    ReduceOnPlateau(),
    Retrain(every=128, passes=40),
    Averaged(Sgd(lr=0.05)),
    Compiled(backend="eager"),
]
OPTIMIZERS = [Sgd(lr=0.05, momentum=0.9), Adam(lr=1e-3)]


def weights_after(trainer: Trainer, steps: int, problem: Task | None = None) -> torch.Tensor:
    """Return all parameters as one vector after ``steps`` steps."""
    *_, last = itertools.islice(trainer(problem or task()), steps)
    return parameters_to_vector(last.model.parameters()).detach()


def assert_same(actual: torch.Tensor, expected: torch.Tensor, rtol: float = 1e-12) -> None:
    """Compare as vectors: the norm of the difference over the norm."""
    assert (actual - expected).norm() / expected.norm() < rtol


def test_every_exported_trainer_is_tested_here():
    values = {
        "task",
        "optimizers",
        "newer_optimizers",
        "schedules",
    }  # modules whose dataclasses are what trainers are given
    strategies = {
        name
        for name in trainers.__all__
        if hasattr(value := getattr(trainers, name), "__dataclass_fields__")
        and value.__module__.removeprefix("paceline.trainers.") not in values
    }
    assert strategies - {"Trainer"} == {type(trainer).__name__ for trainer in SINGLE} | {"Ddp"}


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
class TestEquivalence:
    """In float64, over 100 steps, to 1e-12."""

    def test_full_batch_is_mini_batch_of_the_whole_set(self, optimizer):
        whole = MiniBatch(optimizer, batch_size=N)
        assert_same(weights_after(FullBatch(optimizer), 100), weights_after(whole, 100))

    def test_online_is_mini_batch_of_one(self, optimizer):
        one = MiniBatch(optimizer, batch_size=1)
        assert_same(weights_after(Online(optimizer), 100), weights_after(one, 100))

    def test_averaging_yields_the_mean_of_the_weights_that_mini_batch_passes_through(self, optimizer):
        passed = [
            parameters_to_vector(step.model.parameters()).detach().clone()
            for step in itertools.islice(MiniBatch(optimizer, batch_size=8)(task()), 100)
        ]
        assert_same(weights_after(Averaged(optimizer, batch_size=8), 100), torch.stack(passed).mean(dim=0))

    def test_a_compiled_model_makes_the_steps_of_the_same_as_it_was_written(self, optimizer):
        """Traced at a batch of 60, at any other (16 are left of 256), and run as traced."""
        traced = Compiled(optimizer, batch_size=60, backend="eager")
        assert_same(weights_after(traced, 100), weights_after(MiniBatch(optimizer, batch_size=60), 100))

    @pytest.mark.parametrize("micro_batch_size", [1, 16, 24, 64, 100])  # 24 leaves a ragged 16 of 64
    def test_accumulation_is_mini_batch(self, optimizer, micro_batch_size):
        accumulated = Accumulate(optimizer, batch_size=64, micro_batch_size=micro_batch_size)
        assert_same(weights_after(accumulated, 100), weights_after(MiniBatch(optimizer, batch_size=64), 100))

    def test_a_batch_that_grows_by_nothing_is_mini_batch(self, optimizer):
        growing = GrowingBatch(optimizer, batch_size=60, growth=1.0, every=1)
        assert_same(weights_after(growing, 100), weights_after(MiniBatch(optimizer, batch_size=60), 100))

    def test_a_batch_that_follows_the_noise_and_has_no_room_is_full_batch(self, optimizer):
        cramped = NoiseBatch(optimizer, batch_size=N, micro_batch_size=N // 2)
        assert_same(weights_after(cramped, 100), weights_after(FullBatch(optimizer), 100))

    @pytest.mark.parametrize("batch_size", [64, 100])  # 100: the last batch of an epoch is smaller than the reference
    def test_ada_scale_at_its_reference_batch_is_mini_batch(self, optimizer, batch_size):
        unscaled = AdaScale(optimizer, batch_size=batch_size, micro_batch_size=batch_size)
        assert_same(weights_after(unscaled, 100), weights_after(MiniBatch(optimizer, batch_size=batch_size), 100))

    def test_retraining_is_mini_batch_on_the_window_from_the_same_beginning(self, optimizer):
        """Of 256 samples 100 arrive at a time: the third window is the last 100 and what is left, 56."""
        retrain = Retrain(optimizer, batch_size=32, every=100, keep=2, passes=3)
        windows = [100, 200, 156]
        steps = [3 * -(-samples // 32) for samples in windows]
        problem = task()
        arrived = list(problem.batches(100, epochs=1))
        window = problem.of(arrived[1:])
        assert len(window) == 156
        assert_same(
            weights_after(retrain, sum(steps)), weights_after(MiniBatch(optimizer, batch_size=32), steps[2], window)
        )

    def test_reduce_on_plateau_that_is_sent_nothing_is_mini_batch(self, optimizer):
        assert_same(
            weights_after(ReduceOnPlateau(optimizer, patience=1), 100), weights_after(MiniBatch(optimizer), 100)
        )


def test_averaging_takes_the_statistics_of_batch_norm_from_the_model_that_trains():
    """They start at a mean of 0 and a variance of 1, with which the average would be judged wrongly."""

    def model():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.BatchNorm1d(20), torch.nn.Linear(20, 4)).double()

    problem = replace(task(), model=model)
    averaged, mini = (
        list(itertools.islice(trainer(batch_size=8)(problem), 50))[-1].model
        for trainer in (Averaged, partial(MiniBatch, Sgd(0.01)))
    )
    assert averaged[0].running_var.tolist() == mini[0].running_var.tolist()
    assert averaged[0].num_batches_tracked == 50


@pytest.mark.parametrize("batch_size", [64, 63, 100])  # 63: shares of 32 and 31; 100: the epoch's last batch is 56
def test_ddp_on_two_ranks_is_mini_batch_and_accumulation(batch_size):
    optimizer = Sgd(lr=0.05, momentum=0.9)
    ranks = on_ranks(partial(weights_after, Ddp(optimizer, batch_size=batch_size), 100), 2)
    assert torch.equal(ranks[0], ranks[1])
    assert_same(ranks[0], weights_after(MiniBatch(optimizer, batch_size=batch_size), 100))
    assert_same(
        ranks[0],
        weights_after(Accumulate(optimizer, batch_size=batch_size, micro_batch_size=batch_size // 2), 100),
    )


def test_ddp_reports_the_loss_of_the_whole_batch():
    """The mean over ranks of what each reports is the mean over samples, with uneven shares too."""

    def losses():
        return [step.loss.item() for step in itertools.islice(Ddp(batch_size=63)(task()), 5)]

    ranks = on_ranks(losses, 2)
    expected = [step.loss.item() for step in itertools.islice(MiniBatch(batch_size=63)(task()), 5)]
    assert ranks[0] != ranks[1]
    assert torch.tensor(ranks).mean(dim=0).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_amp_differs_from_float32_and_stays_near_it(dtype):
    problem = task(dtype=torch.float32)
    exact = weights_after(MiniBatch(), 50, problem)
    mixed = weights_after(Amp(dtype=dtype), 50, problem)
    gap = ((mixed - exact).norm() / exact.norm()).item()
    # One rounding is 2^-9 (bfloat16) or 2^-12 (float16) at most; both stay below the first, and above float32's 2^-24.
    assert 1e-6 < gap < 4e-3


def test_amp_in_float16_survives_gradients_that_float16_cannot_hold():
    """At a loss a millionth as large every gradient is below float16's smallest number, unless it is scaled."""
    problem = task(dtype=torch.float32)
    tiny = replace(problem, loss=lambda outputs, targets: 1e-9 * GAUSSIANS.loss(outputs, targets))
    start = parameters_to_vector(problem.model().parameters())
    optimizer = Sgd(lr=1e8)
    exact = weights_after(MiniBatch(optimizer), 20, tiny) - start
    mixed = weights_after(Amp(optimizer, dtype="float16"), 20, tiny) - start
    assert ((mixed - exact).norm() / exact.norm()).item() < 0.05


@pytest.mark.parametrize("optimizer", [Sgd, Adam, RmsProp], ids=lambda kind: kind.__name__)
def test_steps_that_float16_cannot_hold_are_no_updates_and_leave_the_schedule_where_it_is(optimizer):
    """At 65,536 times a loss that is large the first gradients overflow; fused kernels (not RMSprop's) are run then."""
    problem = replace(task(dtype=torch.float32), loss=lambda outputs, targets: 1e3 * GAUSSIANS.loss(outputs, targets))
    asked = []

    @dataclass(frozen=True)
    class Counts:
        def __call__(self, step: int) -> float:
            asked.append(step)
            return 1.0

    trainer = Amp(optimizer(1e-5, schedule=Counts()), dtype="float16")
    before, updates, moved = parameters_to_vector(problem.model().parameters()), [], []
    for step in itertools.islice(trainer(problem), 30):
        now = parameters_to_vector(step.model.parameters()).detach().clone()
        updates.append(step.updates)
        moved.append(int(not torch.equal(now, before)))
        before = now
    assert updates == moved
    assert 0 < sum(updates) < 30
    assert max(asked) == sum(updates) - 1


@pytest.mark.parametrize("lr", [0.1, 0.45, 0.9])
def test_gradient_descent_follows_its_closed_form(lr):
    """e_t = Q (1 - 2 lr spectrum)^t Q^T e_0, to 1e-10 after 200 steps in float64."""
    x, y, _, _ = (part.double() for part in linear.exact_least_squares())

    def model():
        torch.manual_seed(0)
        return torch.nn.Linear(linear.FEATURES, 1, bias=False).double()

    problem = Task(model, x, y, linear.LINEAR.loss, 0, torch.device("cpu"))
    q, start = linear.eigenvectors(), model().weight.detach()
    decay = (1 - 2 * lr * linear.SPECTRUM) ** 200
    expected = (start - linear.optimum()) @ q * decay @ q.T
    error = weights_after(FullBatch(Sgd(lr=lr)), 200, problem) - linear.optimum()
    assert (error - expected).norm() < 1e-10 * (start - linear.optimum()).norm()


def test_gradient_descent_diverges_just_above_its_largest_stable_rate():
    problem = replace(
        task(), x=linear.exact_least_squares()[0], y=linear.exact_least_squares()[1], loss=linear.LINEAR.loss
    )
    problem = replace(problem, model=lambda: torch.nn.Linear(linear.FEATURES, 1, bias=False).double())

    def last_over_first(lr: float) -> float:
        losses = [step.loss.item() for step in itertools.islice(FullBatch(Sgd(lr=lr))(problem), 2000)]
        return losses[-1] / losses[0]

    assert last_over_first(0.99) < 1 < last_over_first(1.01)  # largest eigenvalue 1: stable below 1


def test_online_reports_the_prequential_loss():
    """Predict, then learn: each sample's loss under the weights before its own update, by hand."""
    problem = task()
    model = problem.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    expected = []
    for i in torch.randperm(N, generator=torch.Generator().manual_seed(problem.seed))[:50]:
        loss = problem.loss(model(problem.x[i : i + 1]), problem.y[i : i + 1])[0]
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    losses = [step.loss.item() for step in itertools.islice(Online(Sgd(lr=0.05))(problem), 50)]
    assert losses == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("passes", [1, 3])
def test_online_ends_with_its_stream(passes):
    assert sum(step.samples for step in Online(Sgd(lr=0.001), passes=passes)(task())) == passes * N


@pytest.mark.parametrize("batch_size", [1, 10, 100, N])
def test_an_epoch_visits_every_sample_once_in_a_new_order(batch_size):
    batches = list(shuffled(N, batch_size, 0, torch.device("cpu"), epochs=2))
    first, second = torch.cat(batches)[:N], torch.cat(batches)[N:]
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(N))
    assert first.tolist() != second.tolist()


def test_a_batch_size_that_varies_is_asked_before_each_batch():
    sizes = iter([1, 200, 100, 56, 200, 3, 250])
    batches = list(shuffled(N, lambda: next(sizes), 0, torch.device("cpu"), epochs=2))
    assert [len(batch) for batch in batches] == [1, 200, 55, 56, 200, 3, 250][: len(batches)]
    whole = list(shuffled(N, N, 0, torch.device("cpu"), epochs=2))
    assert torch.cat(batches).tolist() == torch.cat(whole).tolist()


@pytest.mark.parametrize("batch_size", [0, N + 1])
def test_a_batch_size_that_the_data_cannot_fill_is_refused(batch_size):
    with pytest.raises(ValueError, match=rf"batch_size must be in 1\.\.{N}"):
        next(MiniBatch(batch_size=batch_size)(task()))


@pytest.mark.parametrize("trainer", SINGLE, ids=repr)
class TestEveryTrainer:
    def test_same_seed_same_weights(self, trainer):
        problem = task(dtype=torch.float32)
        assert torch.equal(weights_after(trainer, 10, problem), weights_after(trainer, 10, problem))

    def test_another_seed_other_weights(self, trainer):
        problem = replace(task(dtype=torch.float32), seed=4)
        other = weights_after(trainer, 10, problem)
        same_order = isinstance(trainer, FullBatch)  # the order of samples is all that this seed decides
        assert torch.equal(other, weights_after(trainer, 10, task(dtype=torch.float32))) is same_order

    def test_nothing_leaks_across_a_yield(self, trainer):
        """A ``with`` held open across a yield would change the caller's autocast or gradient mode."""
        for step in itertools.islice(trainer(task(dtype=torch.float32)), 3):
            assert not step.loss.requires_grad
            assert step.loss.shape == ()
            assert torch.is_grad_enabled()
            assert not torch.is_autocast_enabled("cpu")

    def test_training_lowers_the_loss(self, trainer):
        steps = 200 if not isinstance(trainer, Online | Averaged) else 600
        losses = [step.loss.item() for step in itertools.islice(trainer(task(dtype=torch.float32)), steps)]
        assert sum(losses[-20:]) < 0.5 * sum(losses[:20])

    def test_samples_are_counted(self, trainer):
        expected = {"FullBatch": N, "Online": 1, "Averaged": 1}.get(type(trainer).__name__, 64)
        assert next(trainer(task(dtype=torch.float32))).samples == expected
