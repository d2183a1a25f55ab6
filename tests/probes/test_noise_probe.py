"""The run that is looked at does not notice, and what is seen of its gradients agrees in itself."""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from paceline.bench import Trial, run_trial
from paceline.bench.analysis.noise_along_run import series
from paceline.bench.probes import gradients as probing
from paceline.bench.probes.noise_probe import NoiseProbe
from paceline.trainers import Accumulate, Ddp, MiniBatch, Sgd
from tests import problems
from tests.problems import GAUSSIANS


def observe(task, model, **changes):
    probe = NoiseProbe(task, world_size=1, first=True, send=lambda _: None, **changes)
    probe.look(1, 64, model, last=False)
    return probe


@pytest.fixture
def task():
    return problems.task()


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(20), "BatchNorm: a sample has no gradient of its own"),
        (nn.LSTM(20, 20), "torch.func cannot map this model over samples: "),
    ],
    ids=["BatchNorm", "LSTM"],
)
def test_a_model_that_cannot_be_mapped_says_why_and_keeps_the_rest(task, layer, reason):
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


def test_where_samples_weigh_the_parts_of_a_step_do_not_tell(task):
    weighed = replace(task, weight=lambda y: 1.0 + y)
    probe = NoiseProbe(weighed, 1, True, lambda _: None)
    probe.listen(1, weighed.model())
    assert "weigh differently" in probe.unmeasured["noise_scale_of_parts"]
    assert probe._parts is None


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
        assert len(steps) == 8
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
        assert record.noise["parts_batch"] == [31] * 4
        assert "noise_scale_of_parts" not in record.unmeasured

    def test_a_strategy_without_parts_says_so(self):
        record = run_trial(Trial(GAUSSIANS, MiniBatch(), threads=1, steps=5, noise=True))
        assert record.noise["parts_step"] == []
        assert "several backward passes" in record.unmeasured["noise_scale_of_parts"]
