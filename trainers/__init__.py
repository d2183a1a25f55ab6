"""Reference implementations of training strategies, one flat file each. Read ``mini_batch`` first."""

from paceline.trainers.accumulate import Accumulate
from paceline.trainers.ada_scale import AdaScale
from paceline.trainers.amp import Amp
from paceline.trainers.averaged import Averaged
from paceline.trainers.compiled import Compiled
from paceline.trainers.ddp import Ddp
from paceline.trainers.full_batch import FullBatch
from paceline.trainers.growing_batch import GrowingBatch
from paceline.trainers.mini_batch import MiniBatch
from paceline.trainers.newer_optimizers import Lion, Muon, ScheduleFreeAdamW, averaged
from paceline.trainers.noise import GradientNoise
from paceline.trainers.noise_batch import NoiseBatch
from paceline.trainers.online import Online
from paceline.trainers.optimizers import Adadelta, Adagrad, Adam, AdamW, Optimizer, RmsProp, Sgd
from paceline.trainers.rate_rules import adascale_gain, linear_rule, square_root_rule
from paceline.trainers.reduce_on_plateau import ReduceOnPlateau
from paceline.trainers.retrain import Retrain
from paceline.trainers.schedules import Constant, Cosine, ExponentialDecay, Schedule, StepDecay, TimeDecay, Warmup
from paceline.trainers.task import Step, Steps, Task, Trainer, shuffled

__all__ = [
    "Accumulate",
    "AdaScale",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Amp",
    "Averaged",
    "Compiled",
    "Constant",
    "Cosine",
    "Ddp",
    "ExponentialDecay",
    "FullBatch",
    "GradientNoise",
    "GrowingBatch",
    "Lion",
    "MiniBatch",
    "Muon",
    "NoiseBatch",
    "Online",
    "Optimizer",
    "ReduceOnPlateau",
    "Retrain",
    "RmsProp",
    "Schedule",
    "ScheduleFreeAdamW",
    "Sgd",
    "Step",
    "StepDecay",
    "Steps",
    "Task",
    "TimeDecay",
    "Trainer",
    "Warmup",
    "adascale_gain",
    "averaged",
    "linear_rule",
    "shuffled",
    "square_root_rule",
]
