"""Least squares with everything known: spectrum, optimum, and so the rate of gradient descent.

The training inputs are built so that ``x^T x / N`` has exactly the eigenvalues ``SPECTRUM`` along the
columns of an orthogonal ``Q``. With the loss ``mean (x w - y)^2`` gradient descent at rate ``lr`` then
follows, with ``e`` the distance of the weights from the optimum,

    ``e_t = Q (1 - 2 lr SPECTRUM)^t Q^T e_0``

and converges for every ``lr < 1 / max(SPECTRUM)``. The noise on the training targets is orthogonal to the
inputs, which makes ``optimum()`` the exact least-squares solution and ``NOISE**2`` the loss there.
"""

import torch
from torch import Tensor, nn

from paceline.bench.workloads.workload import Workload, mean_squared_error, per_sample_squared_error

FEATURES, SAMPLES, HELD_OUT = 20, 2048, 2048
NOISE = 0.5  # standard deviation of what no model can explain
SPECTRUM = torch.logspace(-1.5, 0, FEATURES, dtype=torch.float64)  # condition number 31.6


def _orthogonal(rows: int, columns: int, seed: int) -> Tensor:
    """Return float64 ``[rows, columns]`` with orthonormal columns, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    orthogonal: Tensor = torch.linalg.qr(torch.randn(rows, columns, generator=generator, dtype=torch.float64)).Q
    return orthogonal


def eigenvectors() -> Tensor:
    """Return ``Q``, float64 ``[FEATURES, FEATURES]``: column i belongs to ``SPECTRUM[i]``."""
    return _orthogonal(FEATURES, FEATURES, seed=1)


def optimum() -> Tensor:
    """Return the exact least-squares weights, float64 ``[1, FEATURES]``."""
    return torch.randn(1, FEATURES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def least_squares() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return 2,048 training and 2,048 held-out samples, float32: inputs ``[N, 20]``, targets ``[N, 1]``."""
    x, y, held_out_x, held_out_y = (part.float() for part in exact_least_squares())
    return x, y, held_out_x, held_out_y


def exact_least_squares() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the samples in float64, in which the closed form holds to rounding."""
    # One column more than the inputs need: the last one is the noise, orthogonal to all of them.
    basis = _orthogonal(SAMPLES, FEATURES + 1, seed=3) * SAMPLES**0.5
    half = (eigenvectors() * SPECTRUM.sqrt()).T  # [FEATURES, FEATURES]: coordinates -> inputs
    x = basis[:, :FEATURES] @ half
    y = x @ optimum().T + NOISE * basis[:, FEATURES:]
    generator = torch.Generator().manual_seed(4)
    held_out_x = torch.randn(HELD_OUT, FEATURES, generator=generator, dtype=torch.float64) @ half
    held_out_noise = torch.randn(HELD_OUT, 1, generator=generator, dtype=torch.float64)
    held_out_y = held_out_x @ optimum().T + NOISE * held_out_noise
    return x, y, held_out_x, held_out_y


def _linear() -> nn.Module:
    return nn.Linear(FEATURES, 1, bias=False)


LINEAR = Workload(
    name="linear",
    model=_linear,
    data=least_squares,
    target=1.1 * NOISE**2,
    loss=per_sample_squared_error,
    score=mean_squared_error,
    higher_is_better=False,
)
