"""Wherever samples live, a strategy makes the same steps; and weights are the whole batch's, however it divides."""

import itertools
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from paceline.bench.workloads.mapped_files import as_tensor
from paceline.trainers import (
    Accumulate,
    Compiled,
    Ddp,
    FullBatch,
    GrowingBatch,
    MiniBatch,
    NoiseBatch,
    Online,
    Sgd,
    Task,
    Trainer,
)
from paceline.trainers.samples import FromDataset, InMemory, Source, Stream, at, length, mapped, tensors
from tests.gloo import on_ranks
from tests.problems import GAUSSIANS, gaussians, network, task

CPU = torch.device("cpu")


class Named(nn.Module):
    """The network, on inputs of two parts in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()

    def forward(self, x: Any) -> Tensor:
        inputs = torch.cat([x["left"], x["right"]], dim=1) if isinstance(x, dict) else x
        return self.network(inputs)


def problem(source: Source | None = None) -> Task:
    """Return `gaussians` in float32, its samples from `source`."""
    x, y, *_ = gaussians()

    def model() -> nn.Module:
        torch.manual_seed(5)
        return Named()

    if source is None:
        return Task(model, x, y, GAUSSIANS.loss, 3, CPU)
    return Task(model, None, None, GAUSSIANS.loss, 3, CPU, source=source)


class Rows(Dataset):
    """Samples by number."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]


class Lots(Rows):
    """Samples by lists of numbers, as some libraries give them at once."""

    asked = 0

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        raise AssertionError("one by one, where many could be had at once")

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        Lots.asked += 1
        return [(self.x[i], self.y[i]) for i in indices]


def halves(samples: list[tuple[Tensor, Tensor]]) -> tuple[dict[str, Tensor], Tensor]:
    x, y = (torch.stack(column) for column in zip(*samples, strict=True))
    return {"left": x[:, :7], "right": x[:, 7:]}, y


def by_numpy(folder, x: Tensor) -> Tensor:
    file = np.memmap(folder / "x.npy", x.numpy().dtype, "w+", shape=tuple(x.shape))
    file[:] = x.numpy()
    file.flush()
    return as_tensor(np.memmap(folder / "x.npy", x.numpy().dtype, "r", shape=tuple(x.shape)))


def by_torch(folder, x: Tensor) -> Tensor:
    x.numpy().tofile(folder / "x.bin")
    return torch.from_file(str(folder / "x.bin"), size=x.numel()).view(x.shape)


def sources(folder) -> dict[str, Source]:
    x, y, *_ = gaussians()
    tree = {"left": x[:, :7], "right": x[:, 7:]}
    return {
        "a tree": InMemory(tree, y, CPU),
        "mapped by numpy": InMemory(by_numpy(folder, x), y, CPU),
        "mapped by torch": InMemory(by_torch(folder, x), y, CPU),
        "a dataset": FromDataset(TensorDataset(x, y), CPU),
        "a dataset that gives many": FromDataset(Lots(x, y), CPU),
        "a dataset, put together by a function": FromDataset(Rows(x, y), CPU, collate=halves),
        "a dataset, read by two processes": FromDataset(Rows(x, y), CPU, workers=2),
    }


def weights(trainer: Trainer, problem: Task, steps: int = 7) -> list[Tensor]:
    *_, last = itertools.islice(trainer(problem), steps)
    return [p.detach().clone() for p in last.model.parameters()]


STRATEGIES = {
    "FullBatch": FullBatch(Sgd(0.1)),
    "MiniBatch": MiniBatch(Sgd(0.1), batch_size=60),  # the fifth batch of a pass is a ragged one
    "Online": Online(Sgd(0.01)),
    "Accumulate": Accumulate(Sgd(0.1), batch_size=60, micro_batch_size=16),
    "GrowingBatch": GrowingBatch(Sgd(0.1), batch_size=60, every=1),
    "NoiseBatch": NoiseBatch(Sgd(0.1), batch_size=60, micro_batch_size=16),
    "Compiled": Compiled(Sgd(0.1), batch_size=60, backend="eager"),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_source_gives_every_strategy_the_same_steps_to_the_last_bit(name, tmp_path):
    expected = weights(STRATEGIES[name], problem())
    for kind, source in sources(tmp_path).items():
        found = weights(STRATEGIES[name], problem(source))
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True)), kind


def test_a_dataset_that_gives_many_at_once_is_asked_for_a_batch_at_once(tmp_path):
    before = Lots.asked
    weights(MiniBatch(Sgd(0.1), batch_size=60), problem(FromDataset(Lots(*gaussians()[:2]), CPU)), steps=4)
    assert Lots.asked - before in (4, 5)


def test_more_workers_than_cores_are_no_warning(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    x, y = torch.arange(8.0)[:, None], torch.arange(8)
    source = FromDataset(Rows(x, y), torch.device("cpu"), workers=2)
    with warnings.catch_warnings(action="error"):
        read = [part for _, part in source.fetch([torch.tensor([0, 5]), torch.tensor([7])], ahead=True)]
    assert torch.cat(read).tolist() == [0, 5, 7]


def test_a_batch_whose_size_depends_on_the_step_before_is_not_read_ahead():
    """Else the first of these would have been read at the size of before."""
    sizes, size = [], 8

    def chosen() -> int:
        return size

    source = FromDataset(Rows(*gaussians()[:2]), CPU, workers=2)
    batches = problem(source).batches(chosen)
    for wanted in (8, 16, 32):
        size = wanted
        sizes.append(len(next(batches)))
    assert sizes == [8, 16, 32]


def test_waiting_for_samples_is_counted_where_they_are_read():
    class Slow(Rows):
        def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
            import time

            time.sleep(0.002)
            return super().__getitem__(index)

    source = FromDataset(Slow(*gaussians()[:2]), CPU)
    weights(MiniBatch(Sgd(0.1), batch_size=10), problem(source), steps=5)
    assert 0.1 <= source.waited < 2.0  # five batches of ten samples of two milliseconds


class Arriving:
    """Samples one by one, begun anew each time it is called."""

    def __init__(self, n: int = 256) -> None:
        self.x, self.y, *_ = (part[:n] for part in gaussians())
        self.begun = 0

    def __call__(self):
        self.begun += 1
        return zip(self.x, self.y, strict=True)


class TestStream:
    def test_samples_are_taken_as_they_come_and_none_twice(self):
        arriving = Arriving()
        seen = list(problem(Stream(arriving, CPU)).batches(100))
        assert [len(batch) for batch in seen] == [100, 100, 56]
        assert torch.equal(torch.cat([x for x, _ in seen]), arriving.x)
        assert arriving.begun == 1

    def test_online_and_mini_batch_train_on_it_and_end_with_it(self):
        for trainer, steps in ((Online(Sgd(0.01)), 256), (MiniBatch(Sgd(0.1), batch_size=100), 3)):
            made = list(trainer(problem(Stream(Arriving(), CPU))))
            assert (len(made), sum(step.samples for step in made)) == (steps, 256)

    def test_a_step_on_it_is_that_on_the_same_samples_in_that_order(self):
        x, y, *_ = gaussians()
        model = problem().model()
        loss = GAUSSIANS.loss(model(x[:100]), y[:100]).mean()
        (first,) = itertools.islice(MiniBatch(Sgd(0.1), batch_size=100)(problem(Stream(Arriving(), CPU))), 1)
        assert first.loss.item() == pytest.approx(loss.item(), rel=1e-6)

    def test_full_batch_says_why_it_cannot(self):
        with pytest.raises(ValueError, match="a stream has no whole that a step could take in"):
            next(FullBatch()(problem(Stream(Arriving(), CPU))))

    def test_it_has_no_length(self):
        with pytest.raises(TypeError, match=r"a stream has no length: take its samples as they come, task.batches"):
            len(problem(Stream(Arriving(), CPU)))


# Weights


VOCABULARY, PADDING = 11, 0


def ragged(n: int = 50) -> tuple[Tensor, Tensor]:
    """Return sequences of 1 to 12 tokens, padded, and what follows each token; padding is 0."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 13, (n,), generator=generator)
    tokens = torch.randint(1, VOCABULARY, (n, 13), generator=generator)
    there = torch.arange(12) < lengths[:, None]
    return tokens[:, :-1] * there, tokens[:, 1:] * there


def token_losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return each sequence's sum over its tokens: ``([B, T, C], [B, T]) -> [B]``."""
    losses = nn.functional.cross_entropy(outputs.transpose(1, 2), targets, ignore_index=PADDING, reduction="none")
    return losses.sum(dim=1)


def tokens(targets: Tensor) -> Tensor:
    """Return how many tokens of each sequence are none of the padding, ``[B]``."""
    return (targets != PADDING).sum(dim=1)


class Language(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(VOCABULARY, 8), nn.Linear(8, VOCABULARY)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.embedding(x).tanh())


def language(weight: Callable[[Tensor], Tensor] | None = tokens) -> Task:
    x, y = ragged()

    def model() -> nn.Module:
        torch.manual_seed(2)
        return Language().double()

    return Task(model, x, y, token_losses, 3, CPU, weight)


def close(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-10, atol=1e-13) for a, b in zip(found, expected, strict=True))


SGD = Sgd(0.5)


def test_the_mean_is_over_tokens():
    x, y = ragged()
    (step,) = itertools.islice(FullBatch(SGD)(language()), 1)
    logits = language().model()(x)
    expected = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=PADDING)
    assert step.loss.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("micro", [1, 4, 7])
def test_accumulation_over_ragged_texts_is_the_step_of_the_whole_batch(micro):
    expected = weights(MiniBatch(SGD, batch_size=20), language())
    assert close(weights(Accumulate(SGD, batch_size=20, micro_batch_size=micro), language()), expected)


def test_a_mean_of_means_is_another_step():
    """What libraries did for years: each micro-batch divided by its own tokens."""
    expected = weights(MiniBatch(SGD, batch_size=20), language(), steps=1)
    problem = language()
    model = problem.model()
    optimizer = SGD(model.parameters())
    batch = next(problem.batches(20))
    parts = list(batch.split(4))
    for x, y in parts:
        (token_losses(model(x), y).sum() / tokens(y).sum() / len(parts)).backward()
    optimizer.step()
    assert not close([p.detach() for p in model.parameters()], expected)
    # Nor is it the mean over sequences.
    assert not close(weights(MiniBatch(SGD, batch_size=20), language(weight=None), steps=1), expected)


def _on_a_rank() -> list[Tensor]:
    return weights(Ddp(SGD, batch_size=20), language())


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_with_ragged_shares_make_the_step_of_the_whole_batch(world_size):
    expected = weights(MiniBatch(SGD, batch_size=20), language())
    for found in on_ranks(_on_a_rank, world_size):
        assert close(found, expected)


def test_a_rank_without_a_sample_of_the_last_batch_has_an_empty_one():
    x, y, *_ = gaussians()
    for source in (InMemory(x[:7], y[:7], CPU), FromDataset(Rows(x[:7], y[:7]), CPU)):
        shares = [list(problem(source).batches(3, epochs=1, rank=rank, world_size=2)) for rank in (0, 1)]
        assert [[len(batch) for batch in share] for share in shares] == [[3, 3, 1]] * 2
        assert [[length(y) for _, y in share] for share in shares] == [[2, 2, 1], [1, 1, 0]]
        both = torch.cat([x for share in shares for x, _ in share])
        assert sorted(both.tolist()) == sorted(x[:7].tolist())


# Trees


def test_trees_are_gone_through_in_order_and_keep_their_form():
    tree = {"a": torch.arange(3), "b": [torch.ones(3, 2), (torch.zeros(3),)]}
    assert [tuple(tensor.shape) for tensor in tensors(tree)] == [(3,), (3, 2), (3,)]
    assert length(tree) == 3
    few = at(tree, torch.tensor([2, 0]))
    assert few["a"].tolist() == [2, 0]
    assert isinstance(few["b"], list)
    assert isinstance(few["b"][1], tuple)
    assert mapped(lambda tensor: tensor.sum().item(), tree) == {"a": 3, "b": [6.0, (0.0,)]}


def test_the_first_samples_of_a_task_are_a_task():
    for whole in (problem(), problem(FromDataset(Rows(*gaussians()[:2]), CPU))):
        few = whole.first(9)
        assert len(few) == 9
        assert torch.equal(few.x, gaussians()[0][:9])


def test_losses_that_know_their_own_mean_say_the_same():
    plain = replace(task(), loss=partial(GAUSSIANS.loss))  # a partial has no attributes of what it calls
    for trainer in (MiniBatch(SGD, batch_size=60), Accumulate(SGD, batch_size=60, micro_batch_size=16)):
        assert close(weights(trainer, task()), weights(trainer, plain))
