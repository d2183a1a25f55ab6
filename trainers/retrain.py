"""Retraining: every so often a new model, trained on the last samples."""

from dataclasses import dataclass

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.samples import Batch
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class Retrain:
    """Mini-batch SGD that begins anew as samples arrive.

    Whenever ``every`` samples have arrived, a new model is trained on the last ``keep`` times as many, in ``passes``
    over them. Until the next are here, that model stays as it is: it follows what changes in jumps, and late.

    Differs from MiniBatch: trained anew on each window of the samples that arrived last.
    """

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step
    every: int = 500  # samples that arrive before it is trained again, batch_size or more
    keep: int = 2  # times as many make the window
    passes: int = 5  # over the window

    def __call__(self, task: Task) -> Steps:
        """Train on windows of ``task`` as long as samples arrive."""
        window: list[Batch] = []
        for arrived in task.batches(self.every):
            window = [*window, arrived][-self.keep :]
            yield from self.anew(task.of(window))

    def anew(self, task: Task) -> Steps:
        """Train a new model on ``task``, a window."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        for batch in task.batches(self.batch_size, epochs=self.passes):
            x, y = batch
            loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield Step(model, loss.detach(), samples=len(batch))
