"""AdaScale: the rate of a small batch, multiplied by what a larger batch is found to be worth."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from paceline.trainers.noise import GradientNoise
from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.rate_rules import adascale_gain
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class AdaScale:
    """AdaScale SGD.

    The optimizer's rate is that of batches of ``micro_batch_size``. A batch of S such micro-batches takes it times a
    gain between 1 and S, measured from how much their gradients differ: S where they are noise, 1 where they agree.
    A step of gain r makes the progress of r small ones, so the optimizer's schedule, made for the small batch, moves
    on by r and needs no change. Meant for SGD: another optimizer's steps do not grow with the noise as its steps do.

    Differs from Accumulate: the rate is multiplied by the gain.

    Source: Johnson et al. 2020, arXiv 2007.05105. Their means, as fairscale implements them, run over 1000 / S steps;
    these over ``1 / (1 - smoothing)``, for training of hundreds of steps.
    """

    varies_rate: ClassVar[bool] = True  # its steps are MiniBatch's at another rate

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step
    micro_batch_size: int = 16  # samples per backward pass, for which the optimizer's rate is made
    smoothing: float = 0.95  # share of the measured means that is kept at each step

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        noise = GradientNoise(model, self.smoothing)
        for batch in task.batches(self.batch_size):
            optimizer.zero_grad()
            total = torch.zeros((), device=task.device)
            for x, y in batch.split(self.micro_batch_size):
                loss = task.summed_loss(model(x), y) / batch.weight
                loss.backward()
                total += loss.detach()
                noise.after_micro_batch(task.weight_of(y))
            variance, squared_norm = noise.after_batch(len(batch))
            scale = max(1, len(batch) / self.micro_batch_size)
            gain = adascale_gain(variance / self.micro_batch_size, squared_norm, scale)
            for group in optimizer.param_groups:
                group.update(lr=gain * self.optimizer.lr, scheduled_steps=gain)
            optimizer.step()
            yield Step(model, total, samples=len(batch))
