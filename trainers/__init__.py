"""Reference implementations of training strategies, one flat file each. Read ``mini_batch`` first."""

from trainers.accumulate import Accumulate
from trainers.ada_scale import AdaScale
from trainers.amp import Amp
from trainers.averaged import Averaged
from trainers.ddp import Ddp
from trainers.full_batch import FullBatch
from trainers.growing_batch import GrowingBatch
from trainers.mini_batch import MiniBatch
from trainers.noise import GradientNoise
from trainers.noise_batch import NoiseBatch
from trainers.online import Online
from trainers.optimizers import Adadelta, Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd
from trainers.rate_rules import adascale_gain, linear_rule, square_root_rule
from trainers.reduce_on_plateau import ReduceOnPlateau
from trainers.schedules import Constant, Cosine, ExponentialDecay, Schedule, StepDecay, TimeDecay, Warmup
from trainers.task import Step, Steps, Task, Trainer, shuffled

__all__ = [
    "Accumulate",
    "AdaScale",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Amp",
    "Averaged",
    "Constant",
    "Cosine",
    "Ddp",
    "ExponentialDecay",
    "FullBatch",
    "GradientNoise",
    "GrowingBatch",
    "MiniBatch",
    "NoiseBatch",
    "Online",
    "Optimizer",
    "ReduceOnPlateau",
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
    "adascale_gain",
    "linear_rule",
    "shuffled",
    "square_root_rule",
]
