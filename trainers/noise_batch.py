"""A batch as large as the gradient's noise scale, which is measured along the way."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from paceline.trainers.noise import GradientNoise
from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class NoiseBatch:
    """Mini-batch SGD whose batch follows the measured noise scale.

    The noise scale, ``tr(Sigma) / |G|^2``, is the batch size at which noise and gradient weigh the same: well below
    it a larger batch makes up for its samples, well above it they are wasted. It is measured from the micro-batches
    of each step, and the next batch is given its size, no less than two micro-batches, at most twice the last batch,
    and at most the training set. Where the gradient is lost in noise (a measured ``|G|^2`` of 0 or less) the batch
    grows until it is not. The rate stays as it is.

    Differs from Accumulate: the size of the next batch is measured.

    Source: McCandlish et al. 2018, arXiv 1812.06162, sections 2.2 and 2.3.
    """

    varies_batch_size: ClassVar[bool] = True  # batch_size holds for the first step

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples of the first step
    micro_batch_size: int = 16  # samples per backward pass
    smoothing: float = 0.95  # share of the measured means that is kept at each step

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        noise, size = GradientNoise(model, self.smoothing), self.batch_size  # size is asked for before each batch
        for batch in task.batches(lambda: size):  # noqa: B023
            optimizer.zero_grad()
            total = torch.zeros((), device=task.device)
            for x, y in batch.split(self.micro_batch_size):
                loss = task.summed_loss(model(x), y) / batch.weight
                loss.backward()
                total += loss.detach()
                noise.after_micro_batch(task.weight_of(y))
            variance, squared_norm = noise.after_batch(len(batch))
            noise_scale = variance / squared_norm if squared_norm > 0 else float("inf")
            size = int(min(max(noise_scale, 2 * self.micro_batch_size), 2 * size, len(task)))
            optimizer.step()
            yield Step(model, total, samples=len(batch))
