"""Mini-batch SGD that cuts its rate when the held-out score stops improving."""

from dataclasses import dataclass
from typing import ClassVar

from paceline.trainers.optimizers import Optimizer, Sgd
from paceline.trainers.task import Step, Steps, Task


@dataclass(frozen=True)
class ReduceOnPlateau:
    """Mini-batch SGD that cuts the learning rate on a plateau.

    Whoever iterates it sends each evaluation's score, larger is better; where none is sent, it is MiniBatch. After
    ``patience`` evaluations that were no better than the best so far the rate is multiplied by ``factor``. Evaluations
    are spaced as the caller likes: at 3 % of the steps so far, 20 of them take training from step s to step 1.8 s.

    Differs from MiniBatch: it listens, and cuts the rate.

    Source: ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with ``threshold=0``, whose ``patience`` is one less.
    """

    listens: ClassVar[bool] = True  # is sent the score of each evaluation

    optimizer: Optimizer = Sgd(lr=0.1)
    batch_size: int = 64  # samples per step
    factor: float = 0.1  # what is left of the rate after a cut
    patience: int = 20  # evaluations

    def __call__(self, task: Task) -> Steps:
        """Train on ``task`` forever."""
        model = task.model()
        optimizer = self.optimizer(model.parameters())
        best, waited = float("-inf"), 0
        for batch in task.batches(self.batch_size):
            x, y = batch
            loss = task.mean_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            score = yield Step(model, loss.detach(), samples=len(batch))
            if score is not None:
                best, waited = (score, 0) if score > best else (best, waited + 1)
            if waited == self.patience:
                waited = 0
                for group in optimizer.param_groups:
                    group["lr"] *= self.factor
