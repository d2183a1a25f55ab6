"""Reference implementations of training strategies, one flat file each. Read ``mini_batch`` first."""

from trainers.accumulate import Accumulate
from trainers.amp import Amp
from trainers.averaged import Averaged
from trainers.ddp import Ddp
from trainers.full_batch import FullBatch
from trainers.mini_batch import MiniBatch
from trainers.online import Online
from trainers.optimizers import Adam, Optimizer, Sgd
from trainers.task import Step, Steps, Task, Trainer, shuffled

__all__ = [
    "Accumulate",
    "Adam",
    "Amp",
    "Averaged",
    "Ddp",
    "FullBatch",
    "MiniBatch",
    "Online",
    "Optimizer",
    "Sgd",
    "Step",
    "Steps",
    "Task",
    "Trainer",
    "shuffled",
]
