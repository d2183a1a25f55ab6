"""Lion, Muon and Schedule-Free AdamW are held to references, to updates written by hand, and to what they promise."""

import copy
import itertools
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from paceline.bench import Trial, run_trial
from paceline.bench.workloads.data import Samples
from paceline.trainers import (
    Accumulate,
    AdamW,
    Amp,
    Constant,
    Cosine,
    ExponentialDecay,
    GrowingBatch,
    Lion,
    MiniBatch,
    Muon,
    ScheduleFreeAdamW,
    Step,
    Warmup,
    averaged,
)
from paceline.trainers.newer_optimizers import hidden_matrices
from tests.problems import GAUSSIANS, N, task
from tests.trainers.test_optimizers import STEPS, W0, gradient, trained
from tests.trainers.test_trainers import assert_same, weights_after

LION = Lion(0.01, betas=(0.8, 0.95), weight_decay=0.3)
FREE = ScheduleFreeAdamW(0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
MUON = Muon(
    0.01, momentum=0.9, nesterov=False, orthogonalizing=3, weight_decay=0.2, betas=(0.8, 0.9), eps=1e-6
)  # fmt: skip


def deep():
    """A network with one hidden matrix, of 12 x 16: the first reads the input, the last is the head."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 12), nn.LayerNorm(12), nn.Linear(12, 4)).double()


DEEP = replace(task(), model=deep)


class TestLion:
    def test_is_its_update_written_by_hand(self):
        """Algorithm 2 of the paper."""
        w, m = W0.clone(), torch.zeros_like(W0)
        for step in range(STEPS):
            g = gradient(w, step)
            update = torch.sign(0.8 * m + 0.2 * g)
            m = 0.95 * m + 0.05 * g
            w = w - 0.01 * (update + 0.3 * w)
        assert_same(trained(LION), w)

    def test_every_step_has_the_size_of_the_rate(self):
        w = nn.Parameter(W0.clone())
        optimizer = Lion(0.01)([w])
        for step in range(STEPS):
            before, w.grad = w.detach().clone(), gradient(w.detach(), step)
            optimizer.step()
            assert (w - before).abs().tolist() == pytest.approx([0.01] * 4)


class TestMuon:
    def test_hidden_matrices_are_those_between_the_first_and_the_last(self):
        model = nn.Sequential(
            nn.Embedding(9, 8), nn.Conv1d(3, 3, 2), nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 6), nn.Linear(6, 9)
        )
        assert [id(p) for p in hidden_matrices(model.parameters())] == [id(model[2].weight), id(model[4].weight)]
        optimizer = MUON(model.parameters())
        (by_muon, by_adam_w) = optimizer.param_groups
        assert [id(p) for p in by_muon["params"]] == [id(model[2].weight), id(model[4].weight)]
        assert len(by_muon["params"]) + len(by_adam_w["params"]) == len(list(model.parameters()))

    def test_is_torchs_muon_and_adam_w_side_by_side(self):
        hidden = {"lr": 0.01, "momentum": 0.9, "nesterov": False, "ns_steps": 3, "weight_decay": 0.2}
        others = {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "weight_decay": 0.2}

        class Both:
            def __init__(self, parameters):
                parameters = list(parameters)
                rest = [p for number, p in enumerate(parameters) if number != 2]
                muon = torch.optim.Muon([parameters[2]], **hidden, adjust_lr_fn="match_rms_adamw")
                self.parts = [muon, torch.optim.AdamW(rest, **others, foreach=False)]

            def zero_grad(self):
                for part in self.parts:
                    part.zero_grad()

            def step(self):
                for part in self.parts:
                    part.step()

        assert_same(weights_after(MiniBatch(MUON), 30, DEEP), weights_after(MiniBatch(Both), 30, DEEP))
        assert (weights_after(MiniBatch(MUON), 30, DEEP) - weights_after(MiniBatch(AdamW(0.01)), 30, DEEP)).norm() > 0.1

    def test_the_step_of_a_hidden_matrix_is_near_an_orthogonal_one(self):
        """Of singular values within 0.6 to 1.3, where the gradient's spread tenfold."""
        w = [nn.Parameter(torch.zeros(8, 8)) for _ in range(3)]
        left, _, right = torch.linalg.svd(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))
        for parameter in w:
            parameter.grad = left @ torch.logspace(-1, 0, 8).diag() @ right
        Muon(1.0, weight_decay=0.0)(w).step()
        found = torch.linalg.svdvals(w[1].detach()) / (0.2 * 8**0.5)  # of the size that AdamW's steps have
        assert 0.6 < found.min() < found.max() < 1.3
        assert torch.allclose(w[0].abs(), torch.ones(8, 8), rtol=1e-3)  # AdamW's first: the sign

    def test_a_model_without_hidden_matrices_is_refused(self):
        with pytest.raises(ValueError, match=r"this model has none: take AdamW"):
            MUON(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).parameters())

    def test_hooks_of_all_optimizers_see_one_step(self):
        """The gate, the footprint and the noise probe look at steps by such."""
        seen = []
        hook = register_optimizer_step_pre_hook(lambda *arguments: seen.append(arguments[0]))
        weights_after(MiniBatch(MUON), 3, DEEP)
        hook.remove()
        assert len(seen) == 3

    def test_its_state_is_that_of_both(self):
        model = deep()
        optimizer = MUON(model.parameters())
        model(torch.ones(2, 20).double()).sum().backward()
        optimizer.step()
        assert len(optimizer.state) == len(list(model.parameters()))

    def test_a_rate_that_a_trainer_changes_is_that_of_both(self):
        model = deep()
        before = [p.detach().clone() for p in model.parameters()]
        optimizer = replace(MUON, weight_decay=0.0)(model.parameters())
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        model(torch.ones(2, 20).double()).sum().backward()
        optimizer.step()
        assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))


class TestScheduleFree:
    def by_hand(self, rates, share=0.8):
        """Algorithm 1 with all three sequences, each as it is written there; return x."""
        x, z, v, weights, largest = W0.clone(), W0.clone(), torch.zeros_like(W0), 0.0, 0.0
        for step, rate in enumerate(rates):
            y = (1 - share) * z + share * x
            g = gradient(y, step)
            v = 0.95 * v + 0.05 * g**2
            z = z - rate * (g / ((v / (1 - 0.95 ** (step + 1))).sqrt() + 1e-6) + 0.1 * y)
            largest = max(largest, rate)
            weights += largest**2
            x = (1 - largest**2 / weights) * x + largest**2 / weights * z
        return x

    def judged(self, optimizer):
        model = nn.Module()
        model.w = nn.Parameter(W0.clone())
        built = optimizer([model.w])
        for step in range(STEPS):
            model.w.grad = gradient(model.w.detach(), step)
            built.step()
        with averaged(model):
            return model.w.detach().clone()

    def test_is_the_three_sequences_written_by_hand(self):
        assert_same(self.judged(FREE), self.by_hand([0.05] * STEPS), rtol=1e-10)

    def test_its_warm_up_counts_for_as_little_as_its_rates(self):
        rates = [0.05 * min(1.0, (step + 1) / 5) for step in range(STEPS)]
        assert_same(self.judged(replace(FREE, schedule=Warmup(5))), self.by_hand(rates), rtol=1e-10)

    @pytest.mark.parametrize("warmup", [0, 5])
    def test_is_its_authors_own(self, warmup):
        reference = pytest.importorskip("schedulefree", reason="their package, of the extra dev")
        w = nn.Parameter(W0.clone())
        theirs = reference.AdamWScheduleFree(
            [w], lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, warmup_steps=warmup
        )
        theirs.train()
        for step in range(STEPS):
            w.grad = gradient(w.detach(), step)
            theirs.step()
        ours = replace(FREE, schedule=Warmup(warmup) if warmup else Constant())
        assert_same(trained(ours), w.detach(), rtol=1e-10)
        theirs.eval()
        assert_same(self.judged(ours), w.detach(), rtol=1e-10)

    def test_judging_changes_nothing_to_the_last_bit(self):
        def weights(looking):
            *_, last = itertools.islice(looked(MiniBatch(FREE)(task(dtype=torch.float32)), looking), 40)
            return nn.utils.parameters_to_vector(last.model.parameters()).detach()

        def looked(steps, looking):
            for step in steps:
                if looking:
                    with averaged(step.model):
                        pass
                yield step

        assert torch.equal(weights(True), weights(False))

    def test_before_the_first_step_and_of_other_optimizers_nothing_is_averaged(self):
        model = deep()
        before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
        with averaged(model):
            assert torch.equal(nn.utils.parameters_to_vector(model.parameters()), before)
        FREE(model.parameters())
        with averaged(model):
            assert torch.equal(nn.utils.parameters_to_vector(model.parameters()), before)

    def test_what_fails_while_judged_trains_on_from_where_it_was(self):
        *_, step = itertools.islice(MiniBatch(FREE)(task()), 5)
        before = nn.utils.parameters_to_vector(step.model.parameters()).detach().clone()
        with pytest.raises(KeyError), averaged(step.model):
            raise KeyError
        assert torch.equal(nn.utils.parameters_to_vector(step.model.parameters()), before)
        assert not any(hasattr(p, "average") for p in copy.deepcopy(step.model).parameters())

    def test_the_harness_scores_the_average(self):
        """Of the same steps: a trainer that yields a model of averaged weights is scored alike."""

        @dataclass(frozen=True)
        class Unwrapped:
            def __call__(self, task):
                for step in MiniBatch(FREE)(task):
                    with averaged(step.model):
                        model = copy.deepcopy(step.model)
                    yield Step(model, step.loss, step.samples)

        ours, expected = (
            run_trial(Trial(GAUSSIANS, trainer, steps=30, stop_at_target=False))
            for trainer in (MiniBatch(FREE), Unwrapped())
        )
        # Long steps are scored more often, and whose are long is a matter of the machine.
        scores = [dict(zip(r.curve["step"], r.curve["score"], strict=True)) for r in (ours, expected)]
        both = scores[0].keys() & scores[1].keys()
        assert len(both) > 5
        assert {step: scores[0][step] for step in both} == {step: scores[1][step] for step in both}
        assert ours.final_losses == pytest.approx(expected.final_losses, rel=1e-6)
        (plain,) = (step for step in itertools.islice(MiniBatch(FREE)(task(dtype=torch.float32)), 29, 30))
        y = GAUSSIANS.mean_loss(plain.model, Samples(*task(dtype=torch.float32)[torch.arange(N)]))
        assert ours.final_losses["train"] != pytest.approx(y, rel=1e-4)

    @pytest.mark.parametrize("schedule", [Cosine(10), ExponentialDecay(0.9), Warmup(5, Cosine(10))])
    def test_a_rate_that_falls_is_refused(self, schedule):
        with pytest.raises(ValueError, match=r"its rate is constant, after Warmup\(steps\) at most"):
            replace(FREE, schedule=schedule)([nn.Parameter(W0.clone())])


@pytest.mark.parametrize("optimizer", [LION, MUON, FREE], ids=lambda one: type(one).__name__)
class TestEach:
    def test_trains(self, optimizer):
        problem = replace(DEEP, model=lambda: deep().float(), x=DEEP.x.float())
        losses = [step.loss.item() for step in itertools.islice(MiniBatch(replace(optimizer, lr=3e-3))(problem), 300)]
        assert sum(losses[-20:]) < 0.5 * sum(losses[:20])

    def test_l1_is_the_gradient_of_the_penalised_loss(self, optimizer):
        def penalised(outputs, targets):
            return DEEP.loss(outputs, targets) + 0.01 * sum(p.abs().sum() for p in built[-1].parameters())

        built = []
        problem = replace(DEEP, model=lambda: built.append(deep()) or built[-1], loss=penalised)
        expected = weights_after(MiniBatch(optimizer), 20, problem)
        assert_same(weights_after(MiniBatch(replace(optimizer, l1=0.01)), 20, DEEP), expected, rtol=1e-6)

    def test_follows_a_warm_up(self, optimizer):
        """At a rate of zero nothing moves: the first step of a warm-up over 1e9 steps moves by that share."""
        start = nn.utils.parameters_to_vector(deep().parameters()).detach()
        moved = weights_after(MiniBatch(replace(optimizer, schedule=Warmup(10**9))), 1, DEEP) - start
        whole = weights_after(MiniBatch(optimizer), 1, DEEP) - start
        assert_same(moved, whole / 1e9, rtol=1e-5)

    def test_accumulation_is_mini_batch(self, optimizer):
        """Lion's signs turn over at the rounding of a gradient near zero: Adam's kin divide by its size."""
        problem = DEEP
        accumulated = weights_after(Accumulate(optimizer, batch_size=64, micro_batch_size=16), 5, problem)
        assert_same(accumulated, weights_after(MiniBatch(optimizer, batch_size=64), 5, problem), rtol=1e-2)

    @pytest.mark.parametrize("trainer", [Amp(dtype="float16"), GrowingBatch(every=1)], ids=repr)
    def test_goes_with_trainers_that_touch_the_optimizer(self, optimizer, trainer):
        problem = replace(DEEP, model=lambda: deep().float(), x=DEEP.x.float())
        steps = list(itertools.islice(replace(trainer, optimizer=replace(optimizer, lr=1e-3))(problem), 20))
        assert steps[-1].loss.isfinite()

    def test_settings_out_of_range_are_refused_in_one_line(self, optimizer):
        for wrong in ({"lr": -1.0}, {"betas": (0.9, 1.0)}, {"weight_decay": -1.0}, {"l1": -1.0}):
            with pytest.raises(ValueError, match=r"^[^\n]+$"):
                replace(optimizer, **wrong)(deep().parameters())


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("optimizer", [LION, FREE], ids=lambda one: type(one).__name__)
def test_sparse_gradients_are_refused_in_one_line(optimizer):
    model = nn.EmbeddingBag(5, 3, sparse=True)
    built = optimizer(model.parameters())
    model(torch.tensor([[1, 2]])).sum().backward()
    with pytest.raises(ValueError, match="takes neither sparse gradients nor complex parameters"):
        built.step()
