"""Reference implementations of training strategies, one flat file each. Read ``mini_batch`` first."""

from trainers.accumulate import Accumulate
from trainers.amp import Amp
from trainers.ddp import Ddp
from trainers.full_batch import FullBatch
from trainers.mini_batch import MiniBatch
from trainers.online import Online
from trainers.optimizers import Adadelta, Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd
from trainers.schedules import Constant, Cosine, ExponentialDecay, Schedule, StepDecay, TimeDecay, Warmup
from trainers.task import Step, Steps, Task, Trainer, shuffled

__all__ = [
    "Accumulate",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Amp",
    "Constant",
    "Cosine",
    "Ddp",
    "ExponentialDecay",
    "FullBatch",
    "MiniBatch",
    "Online",
    "Optimizer",
    "RmsProp",
    "Schedule",
    "Sgd",
    "Step",
    "StepDecay",
    "Steps",
    "Task",
    "TimeDecay",
    "Trainer",
    "Warmup",
    "shuffled",
]
