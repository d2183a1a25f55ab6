"""Distributed data parallel: every rank a share of each batch."""

from dataclasses import dataclass
from typing import ClassVar

import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class Ddp:
    """Distributed data parallel.

    Every rank holds the whole model and takes its share of each batch; gradients are averaged
    over ranks while the backward pass still runs, so every rank makes the same update. Runs
    inside an initialized process group: gloo on CPUs, NCCL on GPUs.

    ``DistributedDataParallel`` averages over *ranks*. Where shares are uneven, the mean over the
    batch is another number, so each rank scales the sum of its losses by ``world_size`` over the weight of the
    *whole* batch (its number of samples, or of tokens): the average over ranks is then the mean over the batch,
    however it divides.

    Differs from MiniBatch: the model is wrapped, and each rank takes its share of the batch.

    Source: Li et al. 2020, VLDB 13(12), arXiv 2006.15704.
    """

    distributed: ClassVar[bool] = True  # runs on any number of ranks

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step, over all ranks
    find_unused_parameters: bool = False  # a pass may leave some without a gradient; looking for them takes time

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever, as one rank of the initialized process group."""
        rank, world_size = dist.get_rank(), dist.get_world_size()
        model = DistributedDataParallel(task.model(), find_unused_parameters=self.find_unused_parameters)
        optimizer = self.optimizer(model.parameters())
        for batch in task.batches(self.batch_size, rank=rank, world_size=world_size):
            x, y = batch
            loss = task.summed_loss(model(x), y) * world_size / batch.weight
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model.module, loss.detach(), samples=len(batch))
