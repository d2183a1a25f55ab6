"""Small learning problems, and trainers whose behaviour is known, for the tests."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from paceline.bench import Workload
from paceline.bench.workloads.workload import mean_squared_error, per_sample_squared_error
from paceline.trainers import Step, Steps, Task

N = 256  # training samples of `gaussians`


def gaussians() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four classes in 20 dimensions that a small network separates within a few dozen steps."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(4, 20, generator=generator)
    y = torch.arange(N + 128) % 4
    x = centers[y] + 1.2 * torch.randn(len(y), 20, generator=generator)
    return x[:N], y[:N], x[N:], y[N:]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 4))


GAUSSIANS = Workload(name="gaussians", model=network, data=gaussians, target=0.9)


def task(seed: int = 3, dtype: torch.dtype = torch.float64) -> Task:
    """Return `gaussians` as a trainer sees it."""
    x, y, _, _ = gaussians()

    def model() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return network().to(dtype)

    return Task(model, x.to(dtype), y, GAUSSIANS.loss, seed, torch.device("cpu"))


def _points() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = torch.arange(64.0).reshape(64, 1) / 64
    return x, 2 * x + 1, x, 2 * x + 1


# A problem on which nothing takes time, for trainers that learn nothing.
POINTS = Workload(
    name="points",
    model=lambda: nn.Linear(1, 1),
    data=_points,
    target=1e-9,
    loss=per_sample_squared_error,
    score=mean_squared_error,
    higher_is_better=False,
)


@dataclass(frozen=True)
class Sleeper:
    """Takes ``seconds`` per step of 10 samples, and learns nothing."""

    seconds: float

    def __call__(self, task: Task) -> Steps:
        model = task.model()
        while True:
            model(task.x)
            time.sleep(self.seconds)
            yield Step(model, torch.zeros(()), samples=10)


@dataclass(frozen=True)
class SlowToStart:
    """Prepares itself for ``seconds``, then steps at once."""

    seconds: float

    def __call__(self, task: Task) -> Steps:
        model = task.model()
        time.sleep(self.seconds)
        while True:
            model(task.x)
            yield Step(model, torch.zeros(()), samples=10)


@dataclass(frozen=True)
class Misbehaves:
    """Makes ``good_steps`` steps, more than warm-up takes, then does what it is told on rank ``on_rank``."""

    what: Callable[[], object]
    good_steps: int = 12
    distributed: bool = False
    on_rank: int = 0
    batch_size: int = 4

    def __call__(self, task: Task) -> Steps:
        model = task.model()
        rank = torch.distributed.get_rank() if self.distributed else 0
        number = 0
        while True:
            number += 1
            model(task.x)
            if number > self.good_steps and rank == self.on_rank:
                self.what()
            yield Step(model, torch.zeros(()), samples=self.batch_size)


def allocate_too_much() -> None:
    torch.empty(10**15)


def loop_forever() -> None:
    while True:
        time.sleep(0.01)


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise RuntimeError("the planted failure")


# The top of a user's file: 200 training and 100 held-out samples of two classes that a line parts.
DATA_OF_A_FILE = """
import torch
from torch import nn
from paceline.bench import Workload

def data():
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(dim=1) > 0).long()
    return x[:200], y[:200], x[200:], y[200:]
"""
