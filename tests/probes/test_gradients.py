"""Gradients at weights that stand still are what a loop by hand finds."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from paceline.bench.probes import gradients as probing
from paceline.bench.probes.gradients import Frozen, at_batch_sizes, of_samples, square
from tests import problems
from tests.probes.gradients_by_hand import by_hand, flat


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
        monkeypatch.setattr(Frozen, "per_sample", lambda self, i, w: sizes.append(len(i)) or per_sample(self, i, w))
        found = of_samples(Frozen.of(task, model), np.random.default_rng(0), samples=len(task))
        each = torch.stack([by_hand(task, model, torch.tensor([i])) for i in range(len(task))])
        assert found["exact_n"] == found["exact_big_batch"] == len(task)
        assert found["exact_mean_square"] == pytest.approx(each.square().sum(1).mean().item(), rel=1e-12)
        assert found["exact_big_square"] == pytest.approx(each.mean(0).square().sum().item(), rel=1e-12)
        bytes_of_one = each.element_size() * each.shape[1]
        assert max(sizes) <= max(1, chunk_bytes // bytes_of_one)

    def test_frozen_parameters_have_no_part_in_it(self, task):
        model = task.model()
        model[0].requires_grad_(False)
        found = of_samples(Frozen.of(task, model), np.random.default_rng(0), samples=len(task))
        each = torch.stack([by_hand(task, model, torch.tensor([i])) for i in range(len(task))])
        assert found["exact_mean_square"] == pytest.approx(each.square().sum(1).mean().item(), rel=1e-12)


class TestWeighted:
    def test_weights_of_samples_that_agree_are_no_noise(self, task):
        """Each sample's gradient is the whole's, however much it weighs."""
        same = replace(
            task, x=task.x[:1].expand(len(task), -1), y=torch.arange(len(task)) % 5,
            loss=lambda outputs, y: outputs.square().sum(dim=1) * (1 + y), weight=lambda y: (1 + y).double(),
        )  # fmt: skip
        found = of_samples(Frozen.of(same, same.model()), np.random.default_rng(0), samples=len(task))
        assert found["exact_mean_square"] == pytest.approx(found["exact_big_square"], rel=1e-9)

    def test_single_samples_tell_the_noise_of_batches(self, task):
        """tr Σ (1/B - 1/N) is the variance of batches' gradients, each over its own weight."""
        heavy = replace(
            task,
            loss=lambda outputs, y: task.loss(outputs, y) * (1 + 4 * (y == 0)),
            weight=lambda y: 1.0 + 4 * (y == 0),
        )
        frozen, rng, n = Frozen.of(heavy, heavy.model()), np.random.default_rng(0), len(task)
        found = of_samples(frozen, rng, samples=n)
        trace = (found["exact_mean_square"] - found["exact_big_square"]) * n / (n - 1)
        draws = np.mean([at_batch_sizes(frozen, rng)["variances"] for _ in range(60)], axis=0)
        assert draws[1] == pytest.approx(trace * (1 / 128 - 1 / n), rel=0.05)
        assert draws[0] == pytest.approx(trace * (1 / 16 - 1 / n), rel=0.1)  # so few do not all weigh alike


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


def test_squares_keep_their_precision_in_half(task):
    with warnings.catch_warnings(action="error"):
        assert square([torch.full((5000,), 0.01, dtype=torch.bfloat16)]) == pytest.approx(0.5, rel=0.01)
