"""Problems whose every answer is known: the trainers are held to closed forms, not to each other.

Thousands of independent repetitions of a problem are trained at once, as one model: the loss of a sample is the sum
over repetitions, so that the gradient of each is its own, and a trainer makes of each what it would make of it alone.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from scipy.optimize import bisect
from torch import Tensor, nn

from paceline.bench import Trial, run_trial
from paceline.bench.analysis.frames import trials_frame
from paceline.bench.workloads import find_workload
from paceline.bench.workloads.data import Samples
from paceline.bench.workloads.least_squares import LeastSquares
from paceline.bench.workloads.streaming_least_squares import PROBLEM, SHARE, optimum, stream, streaming_least_squares
from paceline.bench.workloads.workload import accuracy, per_sample_cross_entropy
from paceline.trainers import Averaged, FullBatch, MiniBatch, Sgd, Step, Task, Trainer

CPU = torch.device("cpu")


@dataclass
class Drawn:
    """Samples that are drawn when they are asked for, and never twice; an index only counts them."""

    draw: Callable[[int], tuple[Tensor, Tensor]]
    waited: float = 0.0

    def __len__(self) -> int:
        return 100_000

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.draw(len(index))

    def fetch(self, order: Iterable[Tensor], ahead: bool) -> Iterator[tuple[Tensor, Tensor]]:
        return map(self.__getitem__, order)


class Repeated(nn.Module):
    """Linear models side by side: inputs ``[B, R, D]``, outputs ``[B, R]``."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight.clone())

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum(dim=2)


def repeated(problem: LeastSquares, repetitions: int, start: float = 1.0, seed: int = 0) -> Task:
    """Return ``repetitions`` of ``problem`` with the optimum at zero and ``|e_0|^2 = start``, as a task."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.full((repetitions, problem.features), (start / problem.features) ** 0.5)

    def draw(batch_size: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(batch_size, repetitions, problem.features, generator=generator)
        return x, problem.noise * torch.randn(batch_size, repetitions, generator=generator)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - targets) ** 2 / 2).sum(dim=1)

    return Task(partial(Repeated, weight), None, None, loss, seed, CPU, source=Drawn(draw))


def squared_distances(step: Step) -> Tensor:
    """Return ``|e|^2`` of each repetition, ``[R]``."""
    (weight,) = step.model.parameters()
    return weight.detach().square().sum(dim=1)


def after(steps: int, trainer: Trainer, task: Task) -> float:
    """Return the mean ``|e|^2`` over repetitions after ``steps`` steps."""
    *_, last = itertools.islice(trainer(task), steps)
    return squared_distances(last).mean().item()


class TestStreamingLeastSquares:
    @pytest.mark.parametrize(
        ("features", "noise", "batch_size", "lr"), [(10, 0.5, 8, 0.3), (20, 0.0, 4, 0.1), (5, 1.0, 1, 0.05)]
    )
    def test_the_loss_falls_as_predicted(self, features, noise, batch_size, lr):
        """At every step, within 3 %; the loss that the trainer reports is the one before its update."""
        problem, repetitions = LeastSquares(features, noise), 40_000 // batch_size
        steps = MiniBatch(Sgd(lr), batch_size)(repeated(problem, repetitions))
        for number, step in enumerate(itertools.islice(steps, 30), 1):
            before, now = problem.squared_distance([number - 1, number], lr, batch_size)
            assert squared_distances(step).mean().item() == pytest.approx(now, rel=0.03)
            assert step.loss.item() / repetitions == pytest.approx((before + noise**2) / 2, rel=0.03)

    @pytest.mark.parametrize(
        ("features", "noise", "batch_size", "lr", "expected"),
        [(10, 0.5, 8, 0.3, 0.07281553), (50, 0.5, 16, 0.2, 0.13440860)],
    )
    def test_training_settles_at_the_noise_floor(self, features, noise, batch_size, lr, expected):
        problem = LeastSquares(features, noise)
        assert problem.noise_floor(lr, batch_size) == pytest.approx(expected, rel=1e-7)
        task = repeated(problem, 4000, start=expected)
        assert after(20, MiniBatch(Sgd(lr), batch_size), task) == pytest.approx(expected, rel=0.02)

    @pytest.mark.parametrize(("batch_size", "expected"), [(1, 2 / 17), (4, 0.4), (16, 1.0), (64, 1.6)])
    def test_the_largest_stable_rate(self, batch_size, expected):
        """Where one step neither shrinks nor blows up ``E|e|^2``, found by bisection on the real trainer."""
        problem = LeastSquares(features=15)

        def growth(lr: float) -> float:  # the same samples at every rate
            return after(1, MiniBatch(Sgd(lr), batch_size), repeated(problem, 100_000 // batch_size)) - 1

        assert problem.largest_stable_rate(batch_size) == pytest.approx(expected)
        assert growth(0.9 * expected) < 0 < growth(1.1 * expected)
        assert bisect(growth, 0.5 * expected, 1.5 * expected, rtol=1e-3) == pytest.approx(expected, rel=0.05)

    @pytest.mark.parametrize("batch_size", [1, 8, 64])
    @pytest.mark.parametrize(("noise", "start"), [(0.0, 1.0), (0.5, 1.0), (0.5, 0.1)])
    def test_the_best_rate_removes_as_large_a_share_as_it_is(self, noise, start, batch_size):
        """On the same samples ``|e|^2`` after a step is a parabola in the rate: three rates tell its minimum."""
        problem = LeastSquares(20, noise)
        best = problem.best_rate(batch_size, start)
        rates = [0.5 * best, best, 1.5 * best]
        low, middle, high = (
            after(1, MiniBatch(Sgd(lr), batch_size), repeated(problem, 64_000 // batch_size, start)) / start
            for lr in rates
        )
        vertex = best * (1 + (low - high) / (4 * (low - 2 * middle + high)))
        assert vertex == pytest.approx(best, rel=0.05)
        assert 1 - middle == pytest.approx(best, rel=0.05)

    @pytest.mark.parametrize(
        ("batch_size", "expected"),
        [(1, 445.5), (2, 224.5), (4, 113.9), (8, 58.6), (16, 31.0), (32, 17.0), (64, 10.0), (128, 6.3), (256, 4.3)],
    )
    def test_steps_to_a_thousandth_over_the_batch_size(self, batch_size, expected):
        """Within 5 % or a step; doubling the batch halves them up to the noise scale of 64, and then no more."""
        problem = LeastSquares(features=63)
        lr = problem.best_rate(batch_size)
        assert problem.steps_to(1e-3, lr, batch_size) == pytest.approx(expected, abs=0.06)
        steps = MiniBatch(Sgd(lr), batch_size)(repeated(problem, 256))
        taken = next(number for number, step in enumerate(steps, 1) if squared_distances(step).mean() <= 1e-3)
        assert abs(taken - expected) <= max(1, 0.05 * expected)

    @pytest.mark.parametrize(("lr", "limit"), [(0.02, 5.32), (0.05, 5.91), (0.1, 7.31)])
    def test_averaging_approaches_the_least_error_there_is(self, lr, limit):
        """Whatever the rate, near ``noise^2 features / T``, where the last weights stay at a floor set by the rate."""
        problem, steps = LeastSquares(5, noise=1.0), 4000
        assert problem.averaged_limit(lr, batch_size=1) == pytest.approx(limit, abs=0.005)
        measured = steps * after(steps, Averaged(Sgd(lr)), repeated(problem, 5000, start=0.0))
        assert measured == pytest.approx(limit, rel=0.03)
        assert measured == pytest.approx(
            steps * problem.averaged_squared_distance(steps, lr, batch_size=1, start=0.0), rel=0.03
        )

    def test_averaging_forgets_its_start_as_predicted(self):
        problem = LeastSquares(5, noise=0.5)
        for steps in (1, 10, 100):
            measured = after(steps, Averaged(Sgd(0.1), batch_size=4), repeated(problem, 5000))
            assert measured == pytest.approx(problem.averaged_squared_distance(steps, 0.1, 4), rel=0.03)

    @pytest.mark.parametrize(("noise", "start", "expected"), [(0.0, 1.0, 21), (0.5, 1.0, 26), (0.5, 0.01, 521)])
    def test_the_noise_scale_of_the_gradients_of_single_samples(self, noise, start, expected):
        """``tr(Sigma) / |G|^2`` from the gradients of 400,000 samples at one point of the workload."""
        problem = LeastSquares(20, noise)
        assert problem.noise_scale(start) == pytest.approx(expected)
        workload = streaming_least_squares(problem, share=1e-3)
        x, y, *_ = stream(problem, 400_000)
        model = workload.model()
        weight = optimum(problem) * (1 - start**0.5)  # at a squared distance of `start`

        def loss(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
            outputs = torch.func.functional_call(model, {"weight": weight}, (x[None],))
            return workload.loss(outputs, y[None])[0]

        gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(weight, x, y).flatten(1).double()
        trace = gradients.var(dim=0).sum()
        square = gradients.mean(dim=0).square().sum() - trace / len(x)  # the mean's own noise taken off
        assert (trace / square).item() == pytest.approx(expected, rel=0.05)


def test_a_best_constant_rate_pays_for_its_noise_floor():
    """No rate of a fine grid is better; without noise it is the best rate of every step."""
    problem, batch_size = LeastSquares(63, noise=0.1), 16
    best = problem.best_constant_rate(1e-3, batch_size)
    fewest = problem.steps_to(1e-3, best, batch_size)
    grid = [problem.largest_stable_rate(batch_size) * k / 1000 for k in range(1, 1000)]
    assert fewest <= min(problem.steps_to(1e-3, lr, batch_size) for lr in grid)
    assert problem.squared_distance(fewest, best, batch_size) == pytest.approx(1e-3)
    assert best < 0.5 * problem.best_rate(batch_size)
    quiet = LeastSquares(63)
    assert quiet.best_constant_rate(1e-3, batch_size) == pytest.approx(quiet.best_rate(batch_size), rel=1e-4)
    assert problem.steps_to(1e-3, problem.best_rate(batch_size), batch_size) == math.inf  # its floor is above


def test_the_workload_holds_what_its_problem_says():
    workload = find_workload("streaming-least-squares")
    x, y, _, _, held_out_x, held_out_y = workload.data()
    assert x.nbytes < 50e6
    assert (x.T @ x / len(x) - torch.eye(PROBLEM.features)).abs().max() < 0.03
    assert (y - x @ optimum(PROBLEM).T).std().item() == pytest.approx(PROBLEM.noise, rel=0.01)
    model = workload.model()
    held_out = Samples(held_out_x, held_out_y)
    assert workload.evaluate(model, held_out) == pytest.approx(0.5, rel=1e-6)  # |w*|^2 / 2
    e = torch.randn(1, PROBLEM.features)
    model.weight.data = optimum(PROBLEM) + e
    assert workload.evaluate(model, held_out) == pytest.approx(e.square().sum().item() / 2, rel=1e-5)


@pytest.mark.parametrize("batch_size", [16, 64])
def test_measured_trials_take_the_steps_that_the_formula_says(batch_size):
    """End to end, through processes, evaluations and the crossing that the frame finds: within 10 % or a step.

    The target was met after the last evaluation that missed it, and by the first that met it.
    """
    lr = PROBLEM.best_constant_rate(SHARE, batch_size)
    trial = Trial(find_workload("streaming-least-squares"), MiniBatch(Sgd(lr), batch_size), threads=1)
    records = [run_trial(replace(trial, seed=seed)) for seed in range(3)]
    rows = trials_frame(tuple(records))
    assert rows.status.tolist() == ["reached"] * 3
    expected = PROBLEM.steps_to(SHARE, lr, batch_size)
    last_missed = np.mean([record.curve["step"][-2] for record in records])
    within = max(1, 0.1 * expected)
    assert last_missed - within <= expected <= rows.steps_to_target.mean() + within


def test_additive_noise_settles_at_its_variance():
    """``x' = (1 - lr k) x - lr sigma xi / sqrt(B)``: variance ``lr sigma^2 / (k (2 - lr k) B)``, within 2 %."""
    curvatures, repetitions, sigma, batch_size, lr = torch.tensor([0.5, 1.0, 1.8]), 40_000, 0.7, 4, 0.8
    generator = torch.Generator().manual_seed(0)

    class Points(nn.Module):
        def __init__(self):
            super().__init__()
            self.x = nn.Parameter(torch.zeros(3, repetitions))

        def forward(self, noise: Tensor) -> Tensor:
            return (curvatures[:, None] * self.x**2 / 2 + noise * self.x).sum(dim=(1, 2))

    def draw(batch_size: int) -> tuple[Tensor, Tensor]:
        return sigma * torch.randn(batch_size, 3, repetitions, generator=generator), torch.zeros(batch_size)

    task = Task(Points, None, None, lambda outputs, _: outputs, 0, CPU, source=Drawn(draw))
    *_, last = itertools.islice(MiniBatch(Sgd(lr), batch_size)(task), 30)
    expected = lr * sigma**2 / (curvatures * (2 - lr * curvatures) * batch_size)
    torch.testing.assert_close(last.model.x.detach().var(dim=1), expected, rtol=0.02, atol=0)


# Logistic regression on 1,797 digits with the penalty PENALTY / 2 |W|^2: convex, so that its optimum is one number.
# The optimum, and the gaps to it below, were computed apart from this code.
PENALTY, OPTIMUM = 0.01, 0.7410569338310


@cache
def digits() -> Task:
    """Return scikit-learn's digits in ``[0, 1]`` with a column of ones, and a linear model that starts at zero."""
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    x = torch.cat([torch.from_numpy(pixels) / 16, torch.ones(len(pixels), 1, dtype=torch.float64)], dim=1)

    def model() -> nn.Module:
        linear = nn.Linear(65, 10, bias=False).double()
        nn.init.zeros_(linear.weight)
        return linear

    return Task(model, x, torch.from_numpy(classes).long(), per_sample_cross_entropy, 0, CPU)


def objective(weight: Tensor) -> float:
    """Return the mean loss on `digits` and the penalty."""
    task = digits()
    return (task.loss(task.x @ weight.T, task.y).mean() + PENALTY / 2 * weight.square().sum()).item()


def largest_curvature() -> float:
    """Return the bound on the second derivatives of the objective; the smallest is the penalty's."""
    x = digits().x
    return torch.linalg.eigvalsh(x.T @ x / len(x))[-1].item() / 2 + PENALTY


def test_the_curvature_of_the_digits():
    assert largest_curvature() == pytest.approx(5.73176, abs=1e-5)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (lambda low, high: 1 / high, {10: 1.25122, 100: 0.224117, 500: 3.9308e-3, 1000: 2.0988e-4}),
        (lambda low, high: 2 / (low + high), {10: 1.00272, 100: 0.0582922, 500: 2.10455e-4, 1000: 2.385e-6}),
    ],
    ids=["1/L", "2/(mu+L)"],
)
def test_gradient_descent_on_the_digits_closes_the_gap_as_it_should(rate, expected):
    """Within 0.1 %, without ever rising, and below the bound for this curvature."""
    optimizer = Sgd(rate(PENALTY, largest_curvature()), weight_decay=PENALTY)
    gap = [math.log(10) - OPTIMUM]  # at zero weights all ten classes are equally likely
    for step in itertools.islice(FullBatch(optimizer)(digits()), 1000):
        gap.append(objective(step.model.weight.detach()) - OPTIMUM)
    assert {t: gap[t] for t in expected} == pytest.approx(expected, rel=1e-3)
    assert all(later < earlier for earlier, later in itertools.pairwise(gap))
    assert all(g <= (1 - PENALTY / largest_curvature()) ** t * gap[0] for t, g in enumerate(gap))


def test_full_batch_finds_the_optimum_of_the_digits_that_scikit_learn_finds():
    from sklearn.linear_model import LogisticRegression

    task = digits()
    root = (largest_curvature() / PENALTY) ** 0.5
    momentum = (root - 1) / (root + 1)  # Nesterov's, for a problem of this condition
    optimizer = Sgd(1 / largest_curvature(), momentum=momentum, nesterov=True, weight_decay=PENALTY)
    *_, last = itertools.islice(FullBatch(optimizer)(task), 600)
    weight = last.model.weight.detach()
    assert objective(weight) == pytest.approx(OPTIMUM, abs=1e-9)
    assert accuracy(task.x @ weight.T, task.y) == pytest.approx(0.95270, abs=1e-5)
    theirs = LogisticRegression(C=1 / (PENALTY * len(task)), fit_intercept=False, max_iter=1000, tol=1e-6)
    theirs.fit(task.x.numpy(), task.y.numpy())
    assert objective(torch.from_numpy(theirs.coef_)) == pytest.approx(OPTIMUM, abs=3.5e-7)
