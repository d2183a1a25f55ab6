"""Gradient accumulation: the large batch's step in the small batch's memory."""

from dataclasses import dataclass

import torch

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class Accumulate:
    """Gradient accumulation.

    Each step follows the mean gradient of ``batch_size`` samples, computed ``micro_batch_size``
    at a time: the same step while the activations of one micro-batch are kept, not of the batch.
    Each micro-batch's *sum* is divided by the weight of the whole batch, so that a micro-batch weighs by its
    samples, or tokens (a mean of means would not).

    Differs from MiniBatch: the backward pass is split into micro-batches.
    """

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step
    micro_batch_size: int = 16  # samples per backward pass

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in task.batches(self.batch_size):
            optimizer.zero_grad()
            total = torch.zeros((), device=task.device)
            for x, y in batch.split(self.micro_batch_size):
                loss = task.summed_loss(model(x), y) / batch.weight
                loss.backward()
                total += loss.detach()
            optimizer.step()
            yield Step(model, total, samples=len(batch))
