"""Online SGD: learn from each sample as it comes."""

from dataclasses import dataclass

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class Online:
    """Online stochastic gradient descent.

    Each step follows the gradient of one sample. Since ``Step.loss`` is the loss before the
    update, it is the prequential loss: every sample is predicted before it is learned from.
    With ``passes=1``, or where samples come as a stream, each is seen once, and training ends with them.

    Differs from MiniBatch: one sample per step, and the stream may end.
    """

    optimizer: Optimizer = Sgd(lr=0.01)
    passes: int | None = None  # times the stream is seen; None: without end

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` until the stream ends."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in task.batches(1, epochs=self.passes):
            x, y = batch
            loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))
