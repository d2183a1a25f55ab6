"""A batch that grows where others let the learning rate fall."""

from dataclasses import dataclass
from typing import ClassVar

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class GrowingBatch:
    """Mini-batch SGD that grows the batch instead of decaying the rate.

    The noise of an update goes with rate over batch size: a batch ``growth`` times as large quiets it as a rate
    ``growth`` times as small would, in as many times fewer steps. Where the batch is the whole training set, or
    ``growth`` gives no whole number, the rate falls by what is left.

    Differs from MiniBatch: every ``every`` epochs the batch grows.

    Source: Smith et al. 2018, arXiv 1711.00489.
    """

    varies_batch_size: ClassVar[bool] = True  # batch_size holds for the first epochs

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step of the first epochs
    growth: float = 2.0  # the batch grows by this factor,
    every: int = 5  # after so many epochs

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        size, seen = self.batch_size, 0  # size is asked for before each batch
        for batch in task.batches(lambda: size):  # noqa: B023
            x, y = batch
            loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(batch)
            if seen % (self.every * len(task)) == 0:
                before, size = size, min(round(self.growth * size), len(task))
                for group in optimizer.param_groups:
                    group["lr"] *= size / (self.growth * before)
            yield Step(model, loss.detach(), samples=len(batch))
