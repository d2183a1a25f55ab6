"""Mini-batches in the given order of the samples: how the published MNIST-1D models were trained, and no strategy.

On the linear model the order matters to the spread, not to the mean: after 6,000 steps of Adam at 0.01 the final
accuracy of seeds 0-2 lies within 0.1 points, and within 2.3 points where every epoch is shuffled.
"""

import itertools
from dataclasses import dataclass

import torch

from paceline.trainers import Adam, Step, Task
from paceline.trainers.optimizers import Optimizer
from paceline.trainers.task import Steps


@dataclass(frozen=True)
class Cyclic:
    """Mini-batch training without shuffling.

    Differs from MiniBatch: every epoch visits the samples in the order in which they are given.
    """

    optimizer: Optimizer = Adam(lr=0.01)
    batch_size: int = 100  # samples per step

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in itertools.cycle(torch.arange(len(task), device=task.device).split(self.batch_size)):
            x, y = task[batch]
            loss = task.loss(model(x), y).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))
