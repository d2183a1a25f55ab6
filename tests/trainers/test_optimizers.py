"""Each optimizer and schedule is held to torch's own, to its update written by hand, and to its closed form."""

import itertools
from dataclasses import fields, replace
from functools import partial

import pytest
import torch
from torch.optim import lr_scheduler

from paceline.trainers import (
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Amp,
    Constant,
    Cosine,
    ExponentialDecay,
    MiniBatch,
    RmsProp,
    Sgd,
    StepDecay,
    TimeDecay,
    Warmup,
)
from tests.problems import task
from tests.trainers.test_trainers import assert_same, weights_after

# Each with every setting off its default, beside torch's own with the same.
OPTIMIZERS = [
    (Sgd(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
     partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    (Adagrad(0.3, eps=1e-6, initial_accumulator=0.2, weight_decay=0.01),
     partial(torch.optim.Adagrad, lr=0.3, eps=1e-6, initial_accumulator_value=0.2, weight_decay=0.01)),
    (Adadelta(0.5, rho=0.8, eps=1e-3, weight_decay=0.01),
     partial(torch.optim.Adadelta, lr=0.5, rho=0.8, eps=1e-3, weight_decay=0.01)),
    (RmsProp(0.01, alpha=0.9, eps=1e-3, momentum=0.5, centered=True, weight_decay=0.01),
     partial(torch.optim.RMSprop, lr=0.01, alpha=0.9, eps=1e-3, momentum=0.5, centered=True, weight_decay=0.01)),
    (Adam(0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.01),
     partial(torch.optim.Adam, lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.01)),
    (AdamW(0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.3),
     partial(torch.optim.AdamW, lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.3)),
]  # fmt: skip
NAMES = [type(ours).__name__ for ours, _ in OPTIMIZERS]

STEPS = 20
W0 = torch.tensor([-1.0, 0.5, 2.0, 1.5], dtype=torch.float64)


def gradient(w, step):
    """Depends on the weights and on the step, and has either sign."""
    return w * torch.arange(1.0, 5.0, dtype=torch.float64) + 2 * torch.sin(torch.arange(4.0) + step).double()


def trained(build, steps=STEPS):
    """Return the weights after ``steps`` of the optimizer that ``build`` makes of them."""
    w = torch.nn.Parameter(W0.clone())
    optimizer = build([w])
    for step in range(steps):
        w.grad = gradient(w.detach(), step)
        optimizer.step()
    return w.detach()


def by_hand(update):
    """Return the weights after STEPS of ``update(w, gradient, step, state)``, which returns the new weights."""
    w, state = W0.clone(), [torch.zeros_like(W0) for _ in range(3)]
    for step in range(STEPS):
        w = update(w, gradient(w, step), step, state)
    return w


def sgd(w, g, step, s):
    g = g + 0.01 * w
    s[0] = 0.9 * s[0] + g
    return w - 0.1 * (g + 0.9 * s[0])


def adagrad(w, g, step, s):
    g = g + 0.01 * w
    s[0] = s[0] + g**2
    return w - 0.3 * g / ((0.2 + s[0]).sqrt() + 1e-6)


def adadelta(w, g, step, s):
    g = g + 0.01 * w
    s[0] = 0.8 * s[0] + 0.2 * g**2
    update = (s[1] + 1e-3).sqrt() / (s[0] + 1e-3).sqrt() * g
    s[1] = 0.8 * s[1] + 0.2 * update**2
    return w - 0.5 * update


def rms_prop(w, g, step, s):
    g = g + 0.01 * w
    s[0] = 0.9 * s[0] + 0.1 * g**2
    s[1] = 0.9 * s[1] + 0.1 * g
    s[2] = 0.5 * s[2] + g / ((s[0] - s[1] ** 2).sqrt() + 1e-3)
    return w - 0.01 * s[2]


def adam(w, g, step, s, decay=0.01):
    g = g + decay * w
    s[0] = 0.8 * s[0] + 0.2 * g
    s[1] = 0.9 * s[1] + 0.1 * g**2
    mean, square = s[0] / (1 - 0.8 ** (step + 1)), s[1] / (1 - 0.9 ** (step + 1))
    return w - 0.01 * mean / (square.sqrt() + 1e-6)


def adam_w(w, g, step, s):
    return adam(w, g, step, s, decay=0) - 0.01 * 0.3 * w


@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS, ids=NAMES)
class TestEveryOptimizer:
    def test_passes_every_setting_on(self, ours, theirs):
        """A fused kernel makes the same steps as torch's plain loop over parameters."""
        settings = [field for field in fields(ours) if field.name not in ("schedule", "l1")]
        defaults = [field.name for field in settings if getattr(ours, field.name) == field.default]
        assert not defaults, "a setting at its default may not have been passed on"
        assert_same(trained(ours), trained(partial(theirs, foreach=False)))

    def test_is_its_update_written_by_hand(self, ours, theirs):
        updates = {
            "Sgd": sgd, "Adagrad": adagrad, "Adadelta": adadelta, "RmsProp": rms_prop, "Adam": adam, "AdamW": adam_w
        }  # fmt: skip
        assert_same(trained(ours), by_hand(updates[type(ours).__name__]), rtol=1e-10)

    def test_is_fused_wherever_torch_has_that(self, ours, theirs):
        try:
            theirs([torch.nn.Parameter(torch.ones(1))], fused=True)
            has_it = True
        except TypeError:
            has_it = False
        built = ours([torch.nn.Parameter(torch.ones(1))])
        assert bool(built.param_groups[0].get("fused")) is has_it

    def test_l1_is_the_gradient_of_the_penalised_loss(self, ours, theirs):
        """Autograd differentiates ``loss + l1 * |w|``; the hook adds the same to the gradient of the loss alone."""
        w = torch.nn.Parameter(W0.clone())
        optimizer = theirs([w])
        for step in range(STEPS):
            optimizer.zero_grad()
            (gradient(w.detach(), step) @ w + 0.3 * w.abs().sum()).backward()
            optimizer.step()
        assert_same(trained(replace(ours, l1=0.3)), w.detach())
        assert (trained(ours) - w.detach()).norm() > 1e-3

    def test_follows_a_schedule_as_it_follows_torchs(self, ours, theirs):
        def scheduled(parameters):
            optimizer = theirs(parameters)
            scheduler = lr_scheduler.ExponentialLR(optimizer, 0.8)
            optimizer.register_step_post_hook(lambda *_: scheduler.step())
            return optimizer

        assert_same(trained(replace(ours, schedule=ExponentialDecay(0.8))), trained(scheduled))
        assert (trained(ours) - trained(scheduled)).norm() > 1e-4

    def test_of_a_constant_rate_without_penalty_has_no_hook(self, ours, theirs):
        optimizer = ours([torch.nn.Parameter(torch.ones(1))])
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks

    def test_refuses_a_negative_penalty(self, ours, theirs):
        with pytest.raises(ValueError, match="l1 must be 0 or more, got -1"):
            replace(ours, l1=-1.0)([torch.nn.Parameter(torch.ones(1))])


def test_adagrads_own_decay_of_the_rate_is_the_schedule():
    theirs = partial(torch.optim.Adagrad, lr=0.3, lr_decay=0.1)
    assert_same(trained(Adagrad(0.3, schedule=TimeDecay(0.1))), trained(theirs))


@pytest.mark.parametrize("optimizer", [Sgd(0.1), Adagrad(0.02), RmsProp(1e-3)], ids=repr)  # fused, fused, and not
def test_a_penalty_is_not_divided_by_the_scale_of_mixed_precision(optimizer):
    """A fused kernel gets gradients 65536 times too large and divides by that: the penalty must be as large."""
    problem = task(dtype=torch.float32)
    optimizer = replace(optimizer, l1=0.05)
    exact = weights_after(MiniBatch(optimizer), 20, problem)
    scaled = weights_after(Amp(optimizer, dtype="float16"), 20, problem)
    without = weights_after(MiniBatch(replace(optimizer, l1=0.0)), 20, problem)
    assert (scaled - exact).norm() < 0.1 * (without - exact).norm()


def test_l1_brings_a_weight_to_zero_that_it_outweighs():
    """Least squares (w - 0.2)^2 / 2 with penalty 0.3 |w| has its optimum at 0, and (w - 1)^2 / 2 at 0.7."""
    w = torch.nn.Parameter(torch.tensor([0.2, 1.0], dtype=torch.float64))
    optimizer = Sgd(0.01, l1=0.3)([w])
    for _ in range(2000):
        w.grad = w.detach() - torch.tensor([0.2, 1.0], dtype=torch.float64)
        optimizer.step()
    assert w[0].abs().item() <= 0.01 * (0.3 + 0.2)  # it swings about 0 by a step
    assert w[1].item() == pytest.approx(0.7, abs=1e-6)


def rates(schedule, steps, lr=0.5):
    """Return the rates at which real steps are made: of plain SGD on a gradient of 1."""
    w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = Sgd(lr, schedule=schedule)([w])
    found = []
    for _ in range(steps):
        before, w.grad = w.item(), torch.ones_like(w)
        optimizer.step()
        found.append(before - w.item())
    return found


def torchs_rates(make, steps, lr=0.5):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def torchs_warmup(then):
    """Return a maker of torch's linear warm-up of 5 steps before what ``then`` makes."""
    return lambda optimizer: lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.LinearLR(optimizer, 1 / 5, total_iters=4), then(optimizer)], milestones=[5]
    )


class TestSchedules:
    @pytest.mark.parametrize(
        ("ours", "theirs", "steps"),
        [
            (Constant(), partial(lr_scheduler.ConstantLR, factor=1.0), 10),
            (StepDecay(3, 0.2), partial(lr_scheduler.StepLR, step_size=3, gamma=0.2), 20),
            (ExponentialDecay(0.9), partial(lr_scheduler.ExponentialLR, gamma=0.9), 30),
            (Cosine(20, floor=0.1), partial(lr_scheduler.CosineAnnealingLR, T_max=20, eta_min=0.05), 21),
            (Warmup(5), torchs_warmup(partial(lr_scheduler.ConstantLR, factor=1.0)), 12),
            (Warmup(5, StepDecay(3)), torchs_warmup(partial(lr_scheduler.StepLR, step_size=3)), 20),
            (Warmup(5, ExponentialDecay(0.9)), torchs_warmup(partial(lr_scheduler.ExponentialLR, gamma=0.9)), 20),
            (Warmup(5, Cosine(10)), torchs_warmup(partial(lr_scheduler.CosineAnnealingLR, T_max=10)), 15),
        ],
        ids=lambda value: repr(value) if hasattr(value, "__dataclass_fields__") else "",
    )
    def test_is_torchs_own_over_real_steps(self, ours, theirs, steps):
        assert rates(ours, steps) == pytest.approx(torchs_rates(theirs, steps), rel=1e-9, abs=1e-12)

    def test_time_decay_is_one_over_the_step(self):
        assert rates(TimeDecay(0.25), 9) == pytest.approx([0.5 / (1 + 0.25 * step) for step in range(9)], rel=1e-9)

    def test_time_decay_of_one_averages_all_gradients(self):
        """With rate 1/(t+1) on (w - x)^2 / 2 the weight is the mean of all x so far, exactly."""
        x = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        w = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
        optimizer = Sgd(1.0, schedule=TimeDecay(1.0))([w])
        for value in x:
            w.grad = w.detach() - value
            optimizer.step()
        assert w.item() == pytest.approx(x.mean().item(), rel=1e-12)

    def test_cosine_stays_at_its_floor(self):
        """torch's own would rise again."""
        assert rates(Cosine(10, floor=0.2), 30)[10:] == pytest.approx([0.1] * 20)

    def test_warm_up_over_no_step_is_what_follows(self):
        assert rates(Warmup(0, TimeDecay(0.5)), 10) == rates(TimeDecay(0.5), 10)

    def test_warm_up_goes_before_a_warm_up_too(self):
        assert rates(Warmup(2, Warmup(2)), 5) == pytest.approx([0.25, 0.5, 0.25, 0.5, 0.5])

    def test_a_rate_that_a_trainer_changes_is_what_the_schedule_multiplies(self):
        w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer = Sgd(1.0, schedule=ExponentialDecay(0.5))([w])
        moved = []
        for _ in range(4):
            before, w.grad = w.item(), torch.ones_like(w)
            optimizer.step()
            moved.append(before - w.item())
            optimizer.param_groups[0]["lr"] *= 10
        assert moved == pytest.approx([1, 10 / 2, 100 / 4, 1000 / 8])

    def test_a_step_may_stand_for_several_of_the_schedules(self):
        w = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer = Sgd(1.0, schedule=ExponentialDecay(0.5))([w])
        optimizer.param_groups[0]["scheduled_steps"] = 1.5
        moved = []
        for _ in range(4):
            before, w.grad = w.item(), torch.ones_like(w)
            optimizer.step()
            moved.append(before - w.item())
        assert moved == pytest.approx([1, 0.5, 0.125, 0.0625])  # at 0, 1.5, 3 and 4.5 of the schedule's steps

    def test_two_runs_do_not_share_their_place_in_the_schedule(self):
        optimizer = Sgd(0.05, schedule=StepDecay(3))
        assert torch.equal(weights_after(MiniBatch(optimizer), 8), weights_after(MiniBatch(optimizer), 8))

    @pytest.mark.parametrize("make", [StepDecay, Cosine])
    def test_a_schedule_of_no_steps_is_refused(self, make):
        with pytest.raises(ValueError, match="must be at least 1, got 0"):
            make(0)


def test_the_hyperparameters_tell_the_schedule():
    from paceline.bench.harness.trial import hyperparameters

    told = hyperparameters(MiniBatch(Sgd(0.1, schedule=Warmup(5, Cosine(100)))))["optimizer"]
    assert told["schedule"] == {
        "name": "Warmup", "steps": 5, "then": {"name": "Cosine", "steps": 100, "floor": 0.0}
    }  # fmt: skip


def test_a_rate_is_replaced_and_all_else_kept():
    from paceline.bench.harness.rate_search import with_rate

    for ours, _ in OPTIMIZERS:
        scheduled = replace(ours, schedule=TimeDecay(0.1), l1=0.1)
        assert with_rate(MiniBatch(scheduled), 7.0).optimizer == replace(scheduled, lr=7.0)


def test_every_optimizer_trains():
    problem = task(dtype=torch.float32)
    for optimizer in (Sgd(0.1), Adagrad(0.05), Adadelta(), RmsProp(1e-3), Adam(3e-3), AdamW(3e-3)):
        losses = [step.loss.item() for step in itertools.islice(MiniBatch(optimizer)(problem), 200)]
        assert sum(losses[-20:]) < 0.5 * sum(losses[:20]), optimizer


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("build", [Sgd(0.1, momentum=0.9), Adagrad(0.1)], ids=["Sgd", "Adagrad"])
def test_sparse_gradients_are_stepped_as_torch_steps_them(build):
    """Fused kernels refuse them; plain torch does not."""
    theirs = {
        Sgd: partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        Adagrad: partial(torch.optim.Adagrad, lr=0.1),
    }[type(build)]

    def weights(optimizer_of):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.EmbeddingBag(50, 8, sparse=True), torch.nn.Linear(8, 3))
        optimizer = optimizer_of(model.parameters())
        for step in range(5):
            optimizer.zero_grad()
            model((torch.arange(12).reshape(4, 3) + step) % 50).square().sum().backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.allclose(weights(build), weights(theirs), rtol=1e-6)


@pytest.mark.parametrize("build", [Sgd(0.1), Adagrad(0.1), Adam(0.1), AdamW(0.1)], ids=lambda one: type(one).__name__)
def test_complex_parameters_are_trained(build):
    w = torch.nn.Parameter(torch.tensor([1.0 + 1.0j, -2.0j]))
    optimizer = build(iter([w]))
    start = w.abs().square().sum().item()
    for _ in range(5):
        optimizer.zero_grad()
        w.abs().square().sum().backward()
        optimizer.step()
    assert w.abs().square().sum().item() < start


def test_what_a_fused_kernel_takes_it_is_given():
    optimizer = Adam(0.1)(iter([torch.nn.Parameter(torch.ones(3))]))
    assert optimizer.param_groups[0]["fused"] is True
