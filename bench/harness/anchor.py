"""The anchor: what runs once in every block of every comparison, to tell how fast the machine was meanwhile.

Two comparisons of a run are minutes apart, two runs days. What one and the same cell takes in each ties them together.
"""

from functools import partial

import torch
from torch import Tensor

from paceline.bench.harness.plan import Plan
from paceline.bench.harness.trial import Trial
from paceline.bench.workloads.mnist5k import mlp
from paceline.bench.workloads.workload import Workload
from paceline.trainers import MiniBatch

# Some 0.1 to 0.3 s: long enough to be told to a per cent or two, short beside the launch of its process.
STEPS = 200

# It ends by its steps: a machine that takes longer has other worries.
SECONDS = 30.0


def noise() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return 4,096 training and 64 held-out samples in the shape of ``mnist5k``: float32 ``[N, 784]``, int64 ``[N]``.

    Drawn, not read: the time of a step does not depend on what is in a picture, and there is nothing to load.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4096 + 64, 784, generator=generator)
    y = torch.randint(10, (len(x),), generator=generator)
    return x[:4096], y[:4096], x[4096:], y[4096:]


WORKLOAD = Workload(name="anchor", model=partial(mlp, 784, 128, 10), data=noise, target=1.0)


def anchor(plan: Plan) -> Trial:
    """Return the anchor of a run: mini-batch at its defaults, on the model of ``mnist5k``, for a fixed number of steps.

    It runs on all cores of a trial and on its device, as what it stands for does: one thread would not see a
    neighbour on another core, nor threads that wait for each other. Its seed is always the same, and so is its work.
    """
    return Trial(
        WORKLOAD, MiniBatch(), threads=plan.cores_of_a_trial(), device=plan.device, seconds=SECONDS, steps=STEPS,
        stop_at_target=False, score_along=False,
    )  # fmt: skip
