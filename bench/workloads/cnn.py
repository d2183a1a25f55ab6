"""A small convolutional network, and the digits on it."""

from torch import nn

from paceline.bench.workloads.mnist5k import digits
from paceline.bench.workloads.workload import Workload


def small_cnn() -> nn.Module:
    """Build two convolutions and a linear layer: 9,226 parameters; images of 28 x 28, ``[B, 784] -> [B, 10]``."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 8, 5, stride=2, padding=2),  # [B, 8, 14, 14]
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),  # [B, 16, 7, 7]
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 10),
    )


MNIST5K_CNN = Workload(name="mnist5k-cnn", model=small_cnn, data=digits, target=0.94)
