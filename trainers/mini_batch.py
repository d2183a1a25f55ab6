"""Mini-batch SGD: the strategy every other one is read against."""

from dataclasses import dataclass

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class MiniBatch:
    """Mini-batch stochastic gradient descent.

    Each step follows the mean gradient of ``batch_size`` samples drawn without replacement:
    every epoch visits every sample once, in a new random order.

    The trainer every other one is read against.
    """

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in task.batches(self.batch_size):
            x, y = batch
            loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))
