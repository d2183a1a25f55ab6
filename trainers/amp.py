"""Automatic mixed precision: half the bits where that is safe."""

from dataclasses import dataclass
from typing import Literal

import torch

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class Amp:
    """Mini-batch SGD in automatic mixed precision.

    The forward pass runs in ``dtype`` where that is safe; parameters, gradients and the update
    stay in float32. float16 cannot hold small gradients, so the loss is scaled up before the
    backward pass and the gradients down before the update; bfloat16 needs no scaler, which is
    then switched off and does nothing. A step whose gradients overflow at a scale is left out: it is no update.

    Differs from MiniBatch: autocast around the forward pass, a scaler around the backward.

    Source: Micikevicius et al. 2018, arXiv 1710.03740.
    """

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step
    dtype: Literal["bfloat16", "float16"] = "bfloat16"

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        scaler = torch.amp.GradScaler(task.device.type, enabled=self.dtype == "float16")
        for batch in task.batches(self.batch_size):
            x, y = batch
            with torch.autocast(task.device.type, dtype=getattr(torch, self.dtype)):
                loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scale = scaler.get_scale()  # in float16 this waits for the device, and is the way to learn of an overflow
            scaler.update()
            yield Step(model, loss.detach(), samples=len(batch), updates=int(scaler.get_scale() >= scale))
