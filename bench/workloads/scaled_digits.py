"""``mnist5k`` on three scales: pixels as they are stored, pixels as shares, and standardized ones.

The target is lower than that of ``mnist5k``, for all to have a chance of it: what is asked is how many samples it
takes.
"""

from functools import partial

from torch import Tensor

from paceline.bench.workloads.mnist5k import MEAN, STD, digits, mlp
from paceline.bench.workloads.workload import Workload

TARGET = 0.9


def stored() -> tuple[Tensor, ...]:
    """Return ``mnist5k``'s digits as pixels in 0..255: float32 ``[N, 784]``."""
    x, y, validation_x, validation_y, test_x, test_y = digits()
    return _pixels(x), y, _pixels(validation_x), validation_y, _pixels(test_x), test_y


def shares() -> tuple[Tensor, ...]:
    """Return them as pixels in 0..1: float32 ``[N, 784]``."""
    x, y, validation_x, validation_y, test_x, test_y = stored()
    return x / 255, y, validation_x / 255, validation_y, test_x / 255, test_y


def _pixels(standardized: Tensor) -> Tensor:
    return ((standardized * STD + MEAN) * 255).round()


MLP = partial(mlp, 784, 128, 10)

STORED = Workload(name="mnist5k-0-to-255", model=MLP, data=stored, target=TARGET)
SHARES = Workload(name="mnist5k-0-to-1", model=MLP, data=shares, target=TARGET)
STANDARDIZED = Workload(name="mnist5k-standardized", model=MLP, data=digits, target=TARGET)
