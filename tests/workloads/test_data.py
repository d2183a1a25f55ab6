"""A workload's samples come in three parts that share none, so that no choice is judged on what it was made on."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from paceline.bench import Trial, Workload, load_results
from paceline.bench.analysis.rate_searches import searches
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.rate_search import Search
from paceline.bench.workloads import BUILT_IN, OF_ONE_QUESTION
from paceline.bench.workloads.data import Data, OfDataset
from paceline.trainers import Sgd, Step, Steps, Task

WORKLOADS = BUILT_IN | OF_ONE_QUESTION

N, HELD_OUT = 100, 400
COINS = torch.randint(2, (N + HELD_OUT,), generator=torch.Generator().manual_seed(0))


def coins():
    """Return numbers, and a coin that was tossed for each: there is nothing to learn."""
    x = torch.arange(N + HELD_OUT).float()[:, None]
    return x[:N], COINS[:N], x[N:], COINS[N:]


def test_a_held_out_set_is_halved_always_in_the_same_way():
    _, [validation], [test] = Data.of(coins())
    assert len(validation.x) == len(test.x) == HELD_OUT // 2
    assert sorted([*validation.x.flatten().tolist(), *test.x.flatten().tolist()]) == list(range(N, N + HELD_OUT))
    assert torch.equal(Data.of(coins()).test[0].x, test.x)
    assert torch.equal(test.y, COINS[test.x.flatten().long()])  # inputs and targets stay together
    # Not the first half, for sets come sorted.
    assert (validation.x < N + HELD_OUT // 2).sum().item() == pytest.approx(HELD_OUT // 4, abs=25)


def test_three_parts_that_a_workload_gives_are_taken_as_they_are():
    x, y, held_out_x, held_out_y = coins()
    parts = Data.of((x, y, held_out_x[:1], held_out_y[:1], held_out_x[1:], held_out_y[1:]))
    assert [part.n for part in (parts.train, *parts.validation, *parts.test)] == [100, 1, 399]


# The score of the first is exact, no other sample could say more; the others are read, or are a million samples.
OTHERWISE = {"streaming-least-squares", "digits-stream", "larger-than-memory", "fashion-cnn", "fashion-files"}


@pytest.mark.parametrize("name", sorted(WORKLOADS.keys() - OTHERWISE))
def test_the_parts_of_the_built_in_workloads_share_no_sample(name, monkeypatch):
    if name.startswith("fashion"):
        pixels = torch.arange(30.0).reshape(10, 1, 3)
        from paceline.bench.workloads import fashion_mnist

        monkeypatch.setattr(fashion_mnist, "VALIDATION", 3)
        monkeypatch.setattr(
            fashion_mnist, "_idx", lambda file: pixels + 100 * ("t10k" in file.name) if "images" in file.name else COINS
        )
    data = Data.of(WORKLOADS[name].data())
    train = data.train.dataset if isinstance(data.train, OfDataset) else data.train  # before they are turned
    parts = [{x.numpy().tobytes() for x in part.x} for part in (train, *data.validation, *data.test)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))


class Guesses(nn.Module):
    """Says heads or tails of each number by no rule, but knows the coins of the validation samples if ``cheats``."""

    def __init__(self, cheats):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.said = torch.randint(2, (N + HELD_OUT,), generator=torch.Generator().manual_seed(1))
        if cheats:
            [known] = Data.of(coins()).validation
            self.said[known.x.flatten().long()] = known.y

    def forward(self, x):
        return nn.functional.one_hot(self.said[x.flatten().long()], 2) + 0 * self.unused


@dataclass(frozen=True)
class Lucky:
    """Learns nothing, but at a rate of 0.1 its model happens to fit what decides."""

    optimizer: Sgd = Sgd(lr=0.1)

    def __call__(self, task: Task) -> Steps:
        model = task.model()
        model.said = Guesses(self.optimizer.lr == 0.1).said
        while True:
            yield Step(model, model(task.x).sum() * 0 + 1, samples=len(task))


def test_an_overfitted_choice_is_not_reported_at_what_it_was_chosen_for(tmp_path):
    """Of rates that are all worth nothing the lucky one is chosen; what is reported is that it is worth nothing."""
    workload = Workload(name="coins", model=lambda: Guesses(False), data=coins, target=0.9)
    trial = Trial(workload, Lucky(), steps=3, threads=1, stop_at_target=False)
    blocks = Blocks(tmp_path, "quick", lambda line: None)
    comparison = Comparison("optimizers", {"coins-Lucky": Search(trial, (0.01, 0.1, 1.0), refinements=0, seeds=1)}, 1)
    folder = blocks.open({}, [comparison])
    blocks.run(comparison)
    results = load_results(folder)
    measured = results.trials[results.trials["search"] == ""].iloc[0]
    assert measured.lr == 0.1
    assert measured.validation_score == 1.0
    assert measured.final_score == pytest.approx(0.5, abs=0.1)
    [search] = searches(results, "optimizers")
    assert search.chosen_by[search.best, 0] == -1.0
    assert -search.cost[search.best, 0] < 0.6
