"""Streaming least squares: a workload whose every answer is known beforehand, see ``workloads.least_squares``.

The samples are those of ``LeastSquares``, so many that training ends long before it sees one twice. The weights start
at zero, at a squared distance ``|e_0|^2 = |w*|^2 = 1`` from the optimum. The held-out inputs are orthogonal, ``x^T x /
M = I`` exactly, and their targets free of noise, so that the score is ``|e|^2 / 2`` itself and no estimate of it.

The built-in problem has 63 features and a noise of 0.03, and is done at a thousandth of ``|e_0|^2``; on the way the
noise scale rises from 64 to 121. The best that one rate can do, by ``LeastSquares.best_constant_rate``:

    ==========  =====  =====  =======
    batch size   rate  steps  samples
    ==========  =====  =====  =======
             1  .0125  522.6      523
             4  .0485  132.6      531
            16  .1728   35.2      562
            64  .4697   10.7      687
           256  .7905    4.4    1,129
         1,024  .9399    2.5    2,516
    ==========  =====  =====  =======
"""

from functools import partial

import torch
from torch import Tensor, nn

from paceline.bench.workloads.least_squares import LeastSquares
from paceline.bench.workloads.workload import Workload, mean_squared_error, per_sample_squared_error

PROBLEM = LeastSquares(features=63, noise=0.03)
SHARE = 1e-3  # of the initial squared distance from the optimum: there training is done


def streaming_least_squares(
    problem: LeastSquares, share: float, samples: int = 65_536, name: str = "streaming-least-squares"
) -> Workload:
    """Return the workload on which ``problem`` holds.

    Args:
        problem: the stream of samples.
        share: share of the initial ``|e|^2`` at which training is done; the target is half of it.
        samples: training samples; the closed forms hold for the first pass over them.
        name: the workload's name.
    """
    return Workload(
        name=name,
        model=partial(_at_zero, problem.features),
        data=partial(stream, problem, samples),
        target=share / 2,
        loss=per_sample_half_squared_error,
        score=half_mean_squared_error,
        higher_is_better=False,
    )


def stream(problem: LeastSquares, samples: int) -> tuple[Tensor, ...]:
    """Return training samples ``[samples, D]``, ``[samples, 1]`` and D held-out ones, float32; D is ``features``.

    The held-out ones are for validation and for testing: on them the score is exact, so that no choice can fit them.
    """
    generator = torch.Generator().manual_seed(0)
    w = optimum(problem)
    x = torch.randn(samples, problem.features, generator=generator)
    y = x @ w.T + problem.noise * torch.randn(samples, 1, generator=generator)
    held_out_x = problem.features**0.5 * torch.eye(problem.features)
    held_out = held_out_x, held_out_x @ w.T
    return x, y, *held_out, *held_out


def optimum(problem: LeastSquares) -> Tensor:
    """Return ``w*``, float32 ``[1, features]`` of norm 1."""
    return nn.functional.normalize(torch.randn(1, problem.features, generator=torch.Generator().manual_seed(1)))


def per_sample_half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return half the squared error of each sample: ``([B, 1], [B, 1]) -> [B]``. Its Hessian is ``x x^T``."""
    return per_sample_squared_error(outputs, targets) / 2


def half_mean_squared_error(outputs: Tensor, targets: Tensor) -> float:
    """Return half the mean squared error: ``([M, 1], [M, 1])``."""
    return mean_squared_error(outputs, targets) / 2


def _at_zero(features: int) -> nn.Module:
    model = nn.Linear(features, 1, bias=False)
    nn.init.zeros_(model.weight)
    return model


STREAMING_LEAST_SQUARES = streaming_least_squares(PROBLEM, SHARE)
