"""Full-batch gradient descent: the exact gradient, once per pass over the data."""

from dataclasses import dataclass

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class FullBatch:
    """Full-batch gradient descent.

    Each step follows the exact gradient of the mean loss over the whole training set.

    Differs from MiniBatch: one batch, the whole training set, in order; nothing is random.
    """

    optimizer: Optimizer = Sgd(lr=0.1)

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in task.whole():
            x, y = batch
            loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))
