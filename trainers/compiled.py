"""A compiled model: its forward and backward pass become kernels made for it."""

from dataclasses import dataclass
from typing import Any

import torch

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class Compiled:
    """Mini-batch SGD of a compiled model.

    The first step at a shape takes seconds, in which the compiler traces the model, fuses its operations and has a
    compiler of the machine translate them; the steps after it are to win that back. A second batch size is compiled
    once more, for any size; one of a single sample is a case of its own.

    Differs from MiniBatch: the model is compiled.

    Source: Ansel et al. 2024, PyTorch 2: faster machine learning through dynamic Python bytecode transformation.
    """

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step
    backend: str = "inductor"  # what compiles: "inductor" needs a C++ compiler; "eager" traces, and compiles nothing

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model: Any = torch.compile(task.model(), backend=self.backend)
        optimizer = self.optimizer(model.parameters())
        for batch in task.batches(self.batch_size):
            x, y = batch
            loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))
