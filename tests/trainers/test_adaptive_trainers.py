"""Trainers that change their batch size or rate along the way, held to formulas and to torch's own."""

import itertools
import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from paceline.trainers import (
    AdaScale,
    Constant,
    GradientNoise,
    GrowingBatch,
    MiniBatch,
    NoiseBatch,
    ReduceOnPlateau,
    Sgd,
    StepDecay,
    Task,
    adascale_gain,
    linear_rule,
    square_root_rule,
)
from tests.problems import N, task
from tests.trainers.test_trainers import assert_same, weights_after

FEATURES = 20


def least_squares(noise: float, start: float = 1.0, samples: int = 60_000) -> Task:
    """Return Gaussian features, targets of ``w = 0`` plus noise, and a model at distance ``start`` from it.

    Of loss r^2 / 2: |G|^2 = start^2 and tr(Sigma) = (d + 1) start^2 + d noise^2. One epoch outlasts every test, so
    that each batch is new.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, FEATURES, generator=generator, dtype=torch.float64)
    y = noise * torch.randn(samples, generator=generator, dtype=torch.float64)

    def model() -> nn.Module:
        built = nn.Linear(FEATURES, 1, bias=False).double()
        with torch.no_grad():
            built.weight.fill_(start / FEATURES**0.5)
        return built

    return Task(model, x, y, lambda outputs, y: (outputs[:, 0] - y) ** 2 / 2, 0, torch.device("cpu"))


@dataclass(frozen=True)
class Watched:
    """Plain SGD that tells the rate of each step, and moves as it is told."""

    lr: float
    schedule: object = Constant()
    moves: bool = True
    rates: list[float] = field(default_factory=list, compare=False)

    def __call__(self, parameters):
        optimizer = Sgd(self.lr, schedule=self.schedule)(parameters)

        def watch(optimizer, *_):
            self.rates.append(optimizer.param_groups[0]["lr"])
            if not self.moves:
                for parameter in optimizer.param_groups[0]["params"]:
                    parameter.grad.zero_()

        optimizer.register_step_pre_hook(watch)  # after the schedule's: sees what it made of the rate
        return optimizer


class TestRateRules:
    def test_linear(self):
        assert linear_rule(0.1, 256, 8192) == pytest.approx(3.2)  # Goyal et al. 2017

    def test_square_root(self):
        assert square_root_rule(0.1, 16, 64) == pytest.approx(0.2)
        assert square_root_rule(0.1, 64, 16) == pytest.approx(0.05)

    def test_the_gain_lies_between_none_and_all(self):
        assert adascale_gain(1.0, 0.0, 8) == pytest.approx(8)
        assert adascale_gain(0.0, 1.0, 8) == 1
        assert adascale_gain(1.0, -0.5, 8) == pytest.approx(8)  # an estimate of a square may be negative
        assert adascale_gain(1.0, 1.0, 8) == pytest.approx(2 / (1 / 8 + 1))

    def test_of_the_reference_batch_the_gain_is_one_even_unmeasured(self):
        assert adascale_gain(math.nan, math.nan, 1) == 1

    @pytest.mark.parametrize("scale", [2, 16, 500])
    def test_the_gain_is_what_the_noise_scale_allows(self, scale):
        """eps(B) = eps_max / (1 + B_simple / B) of McCandlish et al., from B0 to scale * B0."""
        reference, noise_scale = 8, 100.0

        def eps(batch_size):
            return 1 / (1 + noise_scale / batch_size)

        gain = adascale_gain(noise_scale / reference, 1.0, scale)
        assert gain == pytest.approx(eps(scale * reference) / eps(reference))


class TestGradientNoise:
    @pytest.mark.parametrize("sizes", [(8, 8), (4, 4, 4, 4), (6, 6, 3), (7, 1)], ids=str)
    def test_is_unbiased_for_ragged_micro_batches_too(self, sizes):
        """Gradients G + N(0, I) of single samples: tr(Sigma) = d = 10, |G|^2 = 4, to 5 % over 3000 batches."""
        model, expected = nn.Linear(10, 1, bias=False), torch.full((1, 10), (4 / 10) ** 0.5)
        noise = GradientNoise(model, smoothing=0.9999)  # all but a plain mean
        generator = torch.Generator().manual_seed(0)
        for _ in range(3000):
            model.weight.grad = torch.zeros(1, 10)
            for size in sizes:
                mean = expected + torch.randn(1, 10, generator=generator) / size**0.5
                model.weight.grad += mean * size / sum(sizes)
                noise.after_micro_batch(size)
            variance, squared_norm = noise.after_batch(sum(sizes))
        assert variance == pytest.approx(10, rel=0.05)
        assert squared_norm == pytest.approx(4, rel=0.05)

    def test_weights_are_no_noise(self):
        """Samples of one gradient that weigh 1 to 5: tr(Sigma) = 0, |G|^2 = 4, at each batch."""
        model, gradient = nn.Linear(10, 1, bias=False).double(), torch.full((1, 10), 0.4**0.5, dtype=torch.float64)
        noise = GradientNoise(model, smoothing=0.0)
        for weights in ([[1, 5], [2, 2], [4]], [[5, 5], [0, 0], [1, 1]]):  # of the second nothing is learned
            total = sum(map(sum, weights))
            model.weight.grad = torch.zeros(1, 10).double()
            for part in weights:
                model.weight.grad += gradient * sum(part) / total
                noise.after_micro_batch(torch.tensor(sum(part)))
            assert noise.after_batch(sum(map(len, weights))) == pytest.approx((0, 4), abs=1e-12)

    def test_of_tokens_it_is_that_of_a_text(self):
        """Tokens' gradients G + N(0, I), 1 to 5 to a text, 3 in the mean: tr(Sigma) = d / 3, |G|^2 = 4."""
        model, expected = nn.Linear(10, 1, bias=False), torch.full((1, 10), (4 / 10) ** 0.5)
        noise = GradientNoise(model, smoothing=0.9999)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3000):
            parts = torch.randint(1, 6, (3, 4), generator=generator).sum(dim=1)  # tokens of three parts of four texts
            model.weight.grad = torch.zeros(1, 10)
            for tokens in parts:
                mean = expected + torch.randn(1, 10, generator=generator) / tokens**0.5
                model.weight.grad += mean * tokens / parts.sum()
                noise.after_micro_batch(tokens)
            variance, squared_norm = noise.after_batch(12)
        assert variance == pytest.approx(10 / 3, rel=0.05)
        assert squared_norm == pytest.approx(4, rel=0.05)

    def test_is_unknown_until_a_batch_was_split(self):
        model = nn.Linear(10, 1)
        noise = GradientNoise(model, 0.9)
        noise.after_micro_batch(4)  # no gradient yet is one of 0
        assert all(map(math.isnan, noise.after_batch(4)))

    def test_forgets_as_it_is_told_to(self):
        """After a change the old value's weight falls as smoothing^t, from the first step on."""
        model = nn.Linear(1, 1, bias=False)
        noise = GradientNoise(model, 0.5)
        found = []
        for level in (1.0, 3.0, 3.0):
            for part in (1, 2):  # two micro-batches of the same gradient: no variance, |G|^2 = level^2
                model.weight.grad = torch.tensor([[level * part / 2]])
                noise.after_micro_batch(1)
            found.append(noise.after_batch(2))
        assert [squared for _, squared in found] == pytest.approx([1, (0.5 + 9) / 1.5, (0.25 + 4.5 + 9) / 1.75])
        assert [variance for variance, _ in found] == pytest.approx([0, 0, 0], abs=1e-6)


class TestGrowingBatch:
    def test_every_epoch_visits_all_samples_in_batches_that_grow(self):
        steps = GrowingBatch(Sgd(lr=0.01), batch_size=32, growth=2, every=2)(task())
        sizes = [step.samples for step in itertools.islice(steps, 16 + 8 + 4 + 5)]
        assert sizes == [32] * 16 + [64] * 8 + [128] * 4 + [256] * 5

    def test_ragged_epochs_end_before_the_batch_grows(self):
        steps = GrowingBatch(Sgd(lr=0.01), batch_size=100, growth=1.5, every=1)(task())
        assert [step.samples for step in itertools.islice(steps, 7)] == [100, 100, 56, 150, 106, 225, 31]

    def test_the_noise_of_an_update_falls_by_the_growth_each_time(self):
        """Rate over batch size: by the batch while it can grow by whole samples, by the rate where it cannot."""
        optimizer = Watched(lr=0.01)
        steps = GrowingBatch(optimizer, batch_size=100, growth=1.5, every=1)(task())
        sizes = [step.samples for step in itertools.islice(steps, 11)]
        first_of_epoch = [0, 3, 5, 7, 8, 9, 10]
        assert [sizes[i] for i in first_of_epoch] == [100, 150, 225, 256, 256, 256, 256]
        quiet = [optimizer.rates[i] / sizes[i] for i in first_of_epoch]
        assert quiet == pytest.approx([0.01 / 100 / 1.5**k for k in range(7)], rel=1e-12)
        assert optimizer.rates[0] == optimizer.rates[3] == optimizer.rates[5]

    def test_before_the_batch_grows_it_is_mini_batch(self):
        growing = GrowingBatch(Sgd(lr=0.05), batch_size=64, every=2)
        mini = MiniBatch(Sgd(lr=0.05), batch_size=64)
        assert_same(weights_after(growing, 8), weights_after(mini, 8))
        assert (weights_after(growing, 9) - weights_after(mini, 9)).norm() > 1e-4


class TestAdaScale:
    @pytest.mark.parametrize(("noise", "parts"), [(0.0, 4), (1.0, 4), (3.0, 16)])
    def test_measures_the_gain_of_least_squares(self, noise, parts):
        """(v + g) / (v / S + g) with v = ((d + 1) e^2 + d noise^2) / b and g = e^2, the weights held at e = 1."""
        optimizer = Watched(lr=0.1, moves=False)
        trainer = AdaScale(optimizer, batch_size=8 * parts, micro_batch_size=8, smoothing=0.995)
        for _ in itertools.islice(trainer(least_squares(noise)), 400):
            pass
        variance = (FEATURES + 1 + FEATURES * noise**2) / 8
        expected = (variance + 1) / (variance / parts + 1)
        gains = torch.tensor(optimizer.rates[200:]) / 0.1
        assert gains.mean().item() == pytest.approx(expected, rel=0.05)

    def test_of_samples_that_agree_gains_nothing(self):
        same = replace(task(), x=task().x[:1].expand(N, -1), y=task().y[:1].expand(N))
        optimizer = Sgd(lr=0.05, momentum=0.9)
        trainer = AdaScale(optimizer, batch_size=60, micro_batch_size=15)
        assert_same(weights_after(trainer, 50, same), weights_after(MiniBatch(optimizer, 60), 50, same), rtol=1e-8)

    def test_ragged_batches_are_scaled_by_the_samples_they_have(self):
        """Of pure noise the gain is the scale: 56 samples are 3.5 times 16, and 8 no less than one."""
        pure = least_squares(noise=1.0, start=0.0, samples=328)  # 5 batches of 64 and one of 8
        optimizer = Watched(lr=1.0, moves=False)
        for _ in itertools.islice(AdaScale(optimizer, batch_size=64, smoothing=0.0)(pure), 6):
            pass
        assert all(1 < rate <= 4 for rate in optimizer.rates[:5])
        assert optimizer.rates[5] == 1

        optimizer = Watched(lr=1.0, moves=False)
        pure = replace(pure, x=pure.x[:120], y=pure.y[:120])
        (_, ragged) = itertools.islice(AdaScale(optimizer, batch_size=64)(pure), 2)
        assert ragged.samples == 56
        assert optimizer.rates[1] <= 3.5

    def test_a_schedule_moves_on_by_the_gain(self):
        """It ends after as many scale-invariant steps as it would have steps at the small batch."""
        problem = least_squares(noise=1.0)
        plain = Watched(lr=0.1, moves=False)
        scheduled = Watched(lr=0.1, schedule=StepDecay(every=20, factor=0.5), moves=False)
        for optimizer in (plain, scheduled):
            for _ in itertools.islice(AdaScale(optimizer)(problem), 100):
                pass
        gains = [rate / 0.1 for rate in plain.rates]
        assert 1.5 < sum(gains) / 100 < 4
        done = itertools.accumulate([0, *gains[:-1]])
        expected = [0.1 * gain * 0.5 ** (int(at) // 20) for gain, at in zip(gains, done, strict=True)]
        assert scheduled.rates == pytest.approx(expected, rel=1e-9)

    def test_goes_where_the_small_batch_goes_in_fewer_steps(self):
        """Least squares without noise: after 30 steps of gain r each it is as far as 30 r small steps are."""
        problem, small = least_squares(noise=0.0), Sgd(lr=0.02)
        optimizer = Watched(lr=0.02)
        *_, last = itertools.islice(AdaScale(optimizer, batch_size=32, micro_batch_size=8)(problem), 30)
        equal = round(sum(optimizer.rates) / 0.02)
        assert equal > 60
        left = weights_after(MiniBatch(small, batch_size=8), equal, problem).norm().item()
        assert last.model.weight.norm().item() == pytest.approx(left, rel=0.15)


class TestNoiseBatch:
    @pytest.mark.parametrize(
        ("noise", "start", "batch_size"),
        [(0.0, 1.0, 8), (0.0, 1.0, 200), (1.0, 1.0, 8), (1.0, 0.5, 200)],
    )
    def test_finds_the_noise_scale_of_least_squares(self, noise, start, batch_size):
        """tr(Sigma) / |G|^2 = d + 1 + d noise^2 / e^2: 21, 21, 41 and 101, from below and from above."""
        optimizer = Watched(lr=0.1, moves=False)
        trainer = NoiseBatch(optimizer, batch_size=batch_size, micro_batch_size=4, smoothing=0.99)
        sizes = [step.samples for step in itertools.islice(trainer(least_squares(noise, start)), 500)]
        expected = FEATURES + 1 + FEATURES * noise**2 / start**2
        assert sizes[0] == batch_size
        assert sum(sizes[200:]) / 300 == pytest.approx(expected, rel=0.15)

    def test_grows_as_training_nears_what_noise_allows(self):
        trainer = NoiseBatch(Sgd(lr=0.1), batch_size=16, micro_batch_size=4)
        sizes = [step.samples for step in itertools.islice(trainer(least_squares(noise=1.0, start=5.0)), 100)]
        assert sum(sizes[:20]) / 20 < 40 < 100 < sum(sizes[-20:]) / 20

    def test_a_gradient_lost_in_noise_doubles_the_batch_up_to_the_whole_set(self):
        """With targets that cancel, the gradient of the whole set is 0, and of parts of it is not."""
        x = torch.ones(64, 1, dtype=torch.float64)
        y = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(32)

        def model() -> nn.Module:
            built = nn.Linear(1, 1, bias=False).double()
            nn.init.zeros_(built.weight)
            return built

        hopeless = Task(model, x, y, lambda outputs, y: (outputs[:, 0] - y) ** 2 / 2, 3, torch.device("cpu"))
        trainer = NoiseBatch(Watched(lr=0.1, moves=False), batch_size=4, micro_batch_size=2, smoothing=0.0)
        sizes = [step.samples for step in itertools.islice(trainer(hopeless), 40)]
        assert all(after <= 2 * before for before, after in itertools.pairwise(sizes) if after < 64)
        assert sizes[-5:] == [64] * 5

    def test_keeps_two_micro_batches_to_measure_by(self):
        """Samples that agree have no noise: the batch is then as small as may be."""
        same = replace(task(), x=task().x[:1].expand(N, -1), y=task().y[:1].expand(N))
        sizes = [step.samples for step in itertools.islice(NoiseBatch(micro_batch_size=16)(same), 8 + 4)]
        assert sizes[:3] == [64, 32, 32]

    def test_every_epoch_visits_all_samples(self):
        seen = list(itertools.accumulate(step.samples for step in itertools.islice(NoiseBatch()(task()), 100)))
        epochs = seen[-1] // N
        assert epochs > 3
        assert {N * epoch for epoch in range(1, epochs + 1)} <= set(seen)


def cut_rates(trainer, optimizer, scores):
    """Return the rate of the step after each score is sent."""
    steps = trainer(task())
    next(steps)
    for score in scores:
        steps.send(score)
    return optimizer.rates[1:]


class TestReduceOnPlateau:
    @pytest.mark.parametrize("patience", [1, 3, 5])
    def test_cuts_where_torchs_own_does(self, patience):
        generator = torch.Generator().manual_seed(0)
        noise = 0.1 * torch.rand(200, generator=generator)
        scores = (noise + 1 - torch.exp(-torch.arange(200) / 10)).tolist()  # rises, then stays but for noise
        optimizer = Watched(lr=0.05)
        ours = cut_rates(ReduceOnPlateau(optimizer, factor=0.5, patience=patience), optimizer, scores)

        reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.05)
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            reference, mode="max", factor=0.5, patience=patience - 1, threshold=0.0, eps=0.0
        )
        expected = []
        for score in scores:
            theirs.step(score)
            expected.append(reference.param_groups[0]["lr"])
        assert ours == pytest.approx(expected, rel=1e-12)
        assert ours[-1] < 0.05 / 4

    def test_steps_without_an_evaluation_do_not_count(self):
        optimizer = Watched(lr=0.05)
        scores = [0.5, None, None, None, 0.4, None, None, 0.5, None]
        rates = cut_rates(ReduceOnPlateau(optimizer, patience=2), optimizer, scores)
        assert rates == pytest.approx([0.05] * 7 + [0.005] * 2)

    def test_an_equal_score_is_no_improvement(self):
        optimizer = Watched(lr=0.05)
        rates = cut_rates(ReduceOnPlateau(optimizer, patience=2), optimizer, [0.5, 0.5, 0.5, 0.5, 0.5])
        assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005])

    def test_a_schedule_goes_on_beside_it(self):
        optimizer = Watched(lr=0.08, schedule=StepDecay(every=2, factor=0.5))
        rates = cut_rates(ReduceOnPlateau(optimizer, patience=1), optimizer, [0.5, 0.4, 0.6, 0.7])
        assert rates == pytest.approx([0.08, 0.004, 0.004, 0.002])

    def test_says_that_it_listens(self):
        assert ReduceOnPlateau.listens
        assert not hasattr(MiniBatch, "listens")


def test_tensors_of_the_problem_are_as_said():
    """The oracle of this file: |G|^2 and tr(Sigma) of all samples, exactly."""
    problem = least_squares(noise=1.0)
    w = problem.model().weight.detach()[0]
    gradients: Tensor = problem.x * (problem.x @ w - problem.y)[:, None]
    assert gradients.mean(dim=0).norm().item() ** 2 == pytest.approx(1, rel=0.05)
    assert gradients.var(dim=0).sum().item() == pytest.approx(FEATURES + 1 + FEATURES, rel=0.02)
