"""Samples as Hugging Face hands them: a ``Dataset`` in torch format makes the steps that its tensors make."""

from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch

from paceline.bench.workloads.data import Data
from paceline.trainers import MiniBatch, Sgd
from tests.problems import GAUSSIANS, gaussians

CPU = torch.device("cpu")


def parted(rows: list[dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch of the rows, whose columns have names."""
    return torch.stack([row["x"] for row in rows]), torch.stack([row["y"] for row in rows])


def steps(data: Data, count: int = 12) -> list[float]:
    """Return the losses of some steps on ``data``, beyond the end of an epoch."""
    task = GAUSSIANS.task(data.train, 3, CPU)
    made = MiniBatch(Sgd(lr=0.1), batch_size=48)(task)
    return [float(next(made).loss) for _ in range(count)]


@pytest.fixture
def rows() -> Any:
    """Return training and held-out rows in torch format, read from memory."""
    datasets = pytest.importorskip("datasets")
    x, y, held_out_x, held_out_y = gaussians()
    return [
        datasets.Dataset.from_dict({"x": part.numpy(), "y": target.numpy()}).with_format("torch")
        for part, target in ((x, y), (held_out_x, held_out_y))
    ]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_dataset_in_torch_format_makes_the_steps_that_its_tensors_make(rows: Any, workers: int) -> None:
    assert steps(Data.of(tuple(rows), parted, workers)) == steps(Data.of(gaussians()))


def test_one_on_disk_stays_there_and_a_trial_opens_it(rows: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    wide = torch.randn(20_000, 20).numpy()  # 1.6 MB
    datasets.Dataset.from_dict({"x": wide, "y": [0] * len(wide)}).save_to_disk(tmp_path / "wide")
    opened = datasets.load_from_disk(str(tmp_path / "wide")).with_format("torch")
    data = Data.of((opened, rows[1]), parted)
    assert len(cloudpickle.dumps(data.train)) < 100_000
    data.save(tmp_path / "data.pt")
    again = Data.load(tmp_path / "data.pt")
    assert torch.equal(again.train.at(slice(7, 9)).x, torch.from_numpy(wide[7:9]))
