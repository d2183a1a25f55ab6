"""Online SGD: learn from each sample as it comes."""

from dataclasses import dataclass

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task, shuffled


@dataclass(frozen=True)
class Online:
    """Online stochastic gradient descent.

    Each step follows the gradient of one sample. Since ``Step.loss`` is the loss before the
    update, it is the prequential loss: every sample is predicted before it is learned from.
    With ``passes=1`` the samples are a true stream, seen once, and training ends with it.

    Differs from MiniBatch: one sample per step, and the stream may end.
    """

    optimizer: Optimizer = Sgd(lr=0.01)
    passes: int | None = None  # times the stream is seen; None: without end

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` until the stream ends."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in shuffled(len(task), 1, task.seed, task.device, epochs=self.passes):
            x, y = task[batch]
            loss = task.loss(model(x), y).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))
