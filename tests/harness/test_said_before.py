"""What a model will refuse in the middle of a run is said before it, with the way out."""

from dataclasses import replace

import pytest
from torch import nn

from paceline.bench import Trial, run_trial
from paceline.bench.harness.data_files import DataFiles
from paceline.bench.harness.trial import smallest_share
from paceline.bench.workloads.user_code import WARNINGS
from paceline.trainers import Accumulate, Ddp, FullBatch, MiniBatch, Online
from tests.problems import GAUSSIANS, gaussians


@pytest.mark.parametrize(
    ("trainer", "ranks", "n", "share"),
    [
        (MiniBatch(), 1, 1025, 1),
        (MiniBatch(), 1, 1024, 64),
        (FullBatch(), 1, 1025, 1025),
        (Online(), 1, 1025, 1),
        (Accumulate(), 1, 1024, 16),
        (Accumulate(), 1, 1024 + 17, 1),
        (Ddp(), 2, 1027, 1),
        (Ddp(), 2, 1025, 0),
        (Ddp(), 64, 1024, 1),
    ],
)
def test_the_smallest_share_of_a_pass(trainer, ranks, n, share):
    assert smallest_share(Trial(GAUSSIANS, trainer, world_size=ranks), n) == share


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(WARNINGS, "show", lines.append)
    monkeypatch.setattr(WARNINGS, "_shown", set())

    def said(workload, *trials):
        lines.clear()
        files = DataFiles()
        for trainer, ranks in trials:
            files.check(Trial(workload, trainer, world_size=ranks, threads=1))
        return list(lines)

    return said


def of(n, model):
    x, y, held_out_x, held_out_y = gaussians()
    return replace(GAUSSIANS, data=lambda: (x[:n], y[:n], held_out_x, held_out_y), model=model)


def test_batch_statistics_of_one_sample(said):
    normed = of(193, lambda: nn.Sequential(nn.BatchNorm1d(20), nn.Linear(20, 4)))
    (line, other) = said(normed, (MiniBatch(), 1), (FullBatch(), 1), (Online(), 1), (Ddp(batch_size=63), 2))
    assert "MiniBatch will fail: a pass over 193 samples leaves 1 of them to be trained on at once" in line
    assert "Expected more than 1 value per channel" in line
    assert "have data() leave off some samples, or choose another batch size" in line
    assert "Online will fail" in other
    assert said(of(192, normed.model), (MiniBatch(), 1), (Accumulate(), 1)) == []


def test_parameters_that_no_gradient_reaches(said):
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(20, 4), nn.Linear(20, 4)

        def forward(self, x):
            return self.used(x)

    heads = of(256, Heads)
    (line,) = said(heads, (MiniBatch(), 1), (Ddp(), 2), (Ddp(find_unused_parameters=True), 2))
    assert "Ddp will fail: no gradient reaches spare.weight, spare.bias" in line
    assert "Ddp(find_unused_parameters=True)" in line
    found = Trial(heads, Ddp(find_unused_parameters=True), world_size=2, threads=1, steps=4)
    assert run_trial(found).status in ("missed", "reached")
