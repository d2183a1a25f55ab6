"""MNIST-1D: ten one-dimensional "digits", hard for a linear model, easy for a convolution. Generated, not downloaded.

The four models are those of the published table, and so are their names. The package ``mnist1d`` makes the data; it is
an optional dependency, for it imports ``requests``, which nothing else here needs.
"""

import random

import numpy as np
import torch
from torch import Tensor, nn

from paceline.bench.workloads.workload import Workload

LENGTH, CLASSES = 40, 10
INSTALL = "python -m pip install mnist1d==0.0.2.post1"


def signals() -> tuple[Tensor, ...]:
    """Return 4,000 training, 1,000 validation and 1,000 test signals: float32 ``[N, 40]`` standardized, int64 ``[N]``.

    Training and test signals are the published ones; those for validation are made by the same rules from another seed.
    The same at every call; the global states of ``random`` and numpy, which the package seeds, are left as found.

    Raises:
        ModuleNotFoundError: if ``mnist1d`` is not installed; says how to get it.

    Source: Greydanus & Kobak 2024, "Scaling Down Deep Learning with MNIST-1D" (arXiv 2011.14439); Apache-2.0.
    """
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"the workload's data need a package ({error}): run '{INSTALL}'") from error
    python, legacy = random.getstate(), np.random.get_state()
    try:
        published, more = get_dataset_args(), get_dataset_args()
        more.seed += 1
        made, others = make_dataset(published), make_dataset(more)
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
    train, validation, test = (
        (torch.from_numpy(samples[f"x{part}"]).float(), torch.from_numpy(samples[f"y{part}"]).long())
        for samples, part in ((made, ""), (others, "_test"), (made, "_test"))
    )
    return *train, *validation, *test


def linear() -> nn.Module:
    """Build the linear model: 410 parameters."""
    return nn.Linear(LENGTH, CLASSES)


class Mlp(nn.Module):
    """Two hidden layers of 100, the second one residual: 15,210 parameters; ``[B, 40] -> [B, 10]``."""

    def __init__(self) -> None:
        """Build the layers, in the order in which the published one draws its weights."""
        super().__init__()
        self.first = nn.Linear(LENGTH, 100)
        self.second = nn.Linear(100, 100)
        self.last = nn.Linear(100, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        hidden = self.first(x).relu()
        hidden = hidden + self.second(hidden).relu()
        return self.last(hidden)  # type: ignore[no-any-return]


def cnn() -> nn.Module:
    """Build three convolutions of 25 channels and a linear layer: 5,210 parameters; ``[B, 40] -> [B, 10]``."""
    return nn.Sequential(
        nn.Unflatten(1, (1, LENGTH)),
        nn.Conv1d(1, 25, 5, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv1d(25, 25, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv1d(25, 25, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(125, CLASSES),
    )


class Gru(nn.Module):
    """A bidirectional GRU of 6 units and a linear layer of all outputs: 5,134 parameters; ``[B, 40] -> [B, 10]``."""

    def __init__(self) -> None:
        """Build the layers."""
        super().__init__()
        self.gru = nn.GRU(input_size=1, hidden_size=6, batch_first=True, bidirectional=True)
        self.last = nn.Linear(2 * 6 * LENGTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        outputs, _ = self.gru(x.unsqueeze(-1))  # [B, 40, 12]
        return self.last(outputs.flatten(1))  # type: ignore[no-any-return]


# Targets a point or a few below what each model ends with, so that they are reached on the way.
MNIST1D_LINEAR = Workload(name="mnist1d-linear", model=linear, data=signals, target=0.30)
MNIST1D_MLP = Workload(name="mnist1d-mlp", model=Mlp, data=signals, target=0.60)
MNIST1D_CNN = Workload(name="mnist1d-cnn", model=cnn, data=signals, target=0.90)
MNIST1D_GRU = Workload(name="mnist1d-gru", model=Gru, data=signals, target=0.85)
