"""What a trial is: one trainer on one workload with one seed, in a fresh process (or one group of ranks)."""

import re
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import cloudpickle
import torch

from paceline.bench.harness.arrivals import Arrivals
from paceline.bench.probes.cores import cores_of_a_trial
from paceline.bench.probes.float32_precision import IN_BFLOAT16, may_multiply_in_bfloat16
from paceline.bench.probes.memory_limit import can_limit
from paceline.bench.workloads import torch_settings
from paceline.bench.workloads.workload import Workload
from paceline.trainers.task import Trainer


@dataclass(frozen=True)
class Trial:
    """What to run.

    Attributes:
        workload: what to train on.
        trainer: the strategy, with its hyperparameters.
        seed: fixes initial parameters and the order of samples.
        world_size: ranks; only a distributed trainer takes more than one.
        threads: CPU threads per rank; None shares the cores out evenly.
        device: "cpu" or "cuda"; rank r of a CUDA trial uses GPU r.
        seconds: budget of training seconds, checked at each evaluation.
        steps: budget of steps; None is no limit.
        stop_at_target: whether training ends when the target is reached.
        score_along: whether the held-out score is taken along the way, or at the end only.
        stop_on_plateau: evaluations in a row, each a few per cent more steps than the one before, that may bring no
            better score before training is stopped early; None never stops for that.
        wall_seconds: the trial ends at the first evaluation after so many seconds of its process, whatever they went
            into: what is left of a run's budget. None is no limit. It says nothing of what the trial is to do, so it
            is no part of its definition.
        patience: wall seconds without a sign of life after which the trial is killed.
        noise: whether the gradient's noise is observed along the way (``probes.gradients``). The run is the same to
            the last bit, but hooks slow some of its steps: such a trial is not one to time.
        arrivals: how the samples of a stream arrive, each predicted before it is learned from; None has the workload's
            as they come, and observes none of them.
        memory_limit_bytes: of private memory, what the trial may take beyond what its process has once its samples are
            there; None is no limit. Its private memory is then observed along the way.
        phases: whether its steps are profiled, to see where their time goes (``probes.phases``). That slows them: such
            a trial is not one to time.
        label: what the strategy is called; "" calls it by its class.
    """

    workload: Workload
    trainer: Trainer
    seed: int = 0
    world_size: int = 1
    threads: int | None = None
    device: str = "cpu"
    seconds: float = 30.0
    steps: int | None = None
    stop_at_target: bool = True
    score_along: bool = True
    stop_on_plateau: int | None = None
    wall_seconds: float | None = None
    patience: float = 120.0
    noise: bool = False
    arrivals: Arrivals | None = None
    memory_limit_bytes: int | None = None
    phases: bool = False
    label: str = ""

    @property
    def trainer_name(self) -> str:
        """What the strategy is called: two of one class may be called differently."""
        return self.label or type(self.trainer).__name__

    @property
    def threads_per_rank(self) -> int:
        """CPU threads of each rank: as asked for, or an even share of the cores, at least one."""
        return self.threads or max(1, cores_of_a_trial() // self.world_size)

    @property
    def dtypes_of_peaks(self) -> tuple[str, ...]:
        """Of which dtypes the machine's peak is measured for it: its trainer's, else float32.

        Of float32 also as torch is set to multiply it where the trial runs: on a GPU in TF32, on a CPU in bfloat16.
        """
        dtype = str(getattr(self.trainer, "dtype", None) or "float32").removeprefix("torch.")
        if dtype != "float32":
            return (dtype,)
        if self.device == "cuda":
            return dtype, "tf32"
        lower = may_multiply_in_bfloat16(torch_settings.given(self.workload.settings))
        return (dtype, IN_BFLOAT16) if lower else (dtype,)

    def check(self, train_samples: int | None) -> None:
        """Check that this trial can run on ``train_samples`` samples, or on a stream if None.

        Raises:
            ValueError: one line that says what is wrong.
        """
        name = self.trainer_name
        batch_size = getattr(self.trainer, "batch_size", 1)
        if not self.seconds > 0:
            raise ValueError(f"seconds must be more than 0, got {self.seconds:g}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.stop_on_plateau is not None and (self.stop_on_plateau < 1 or not self.score_along):
            raise ValueError(
                f"stop_on_plateau must be at least 1, and needs score_along; got {self.stop_on_plateau} and "
                f"score_along={self.score_along}"
            )
        if self.world_size < 1:
            raise ValueError(f"world_size must be at least 1, got {self.world_size}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")
        if train_samples is not None and not 1 <= batch_size <= train_samples:
            raise ValueError(
                f"{name}: batch_size must be in 1..{train_samples}, the training samples of workload "
                f"{self.workload.name!r}; got {batch_size}"
            )
        if self.world_size > batch_size and self.world_size > 1:
            raise ValueError(f"{name}: {self.world_size} ranks cannot share a batch of {batch_size} samples")
        if self.world_size > 1 and not is_distributed(self.trainer):
            raise ValueError(f"{name} is not distributed: each of {self.world_size} ranks would train alone")
        if self.arrivals is not None and (train_samples is not None or self.world_size > 1):
            raise ValueError(f"{name}: arrivals are those of a stream, at one rank")
        if self.memory_limit_bytes is not None and (self.memory_limit_bytes < 1 or not can_limit()):
            raise ValueError(f"memory_limit_bytes needs Linux and must be at least 1, got {self.memory_limit_bytes}")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device must be 'cpu' or 'cuda', got {self.device!r}")
        if self.device == "cuda" and not torch.backends.cuda.is_built():
            raise ValueError(f"device 'cuda': the installed torch {torch.__version__} was built without CUDA")


def payload(trial: Trial) -> bytes:
    """Return what the trial's processes need to run it: ``cloudpickle``, without what builds the samples.

    What builds them may hold them all, and need packages that the trial does not.
    """
    packed: bytes = cloudpickle.dumps(replace(trial, workload=trial.workload.without_data()))
    return packed


def smallest_share(trial: Trial, train_samples: int) -> int:
    """Return how many samples at fewest go through the model at once: a rank's, or a micro-batch's, of a last batch."""
    if type(trial.trainer).__name__ == "Online":
        return 1
    size: int = getattr(trial.trainer, "batch_size", train_samples)
    last = train_samples % size or size
    share = last // trial.world_size
    micro = getattr(trial.trainer, "micro_batch_size", 0)
    return share % micro or min(share, micro) if micro else share


def is_distributed(trainer: Trainer) -> bool:
    """Return whether ``trainer`` runs inside a process group."""
    return bool(getattr(trainer, "distributed", False))


def varies_batch_size(trainer: Trainer) -> bool:
    """Return whether ``trainer`` changes its batch size along the way, so that ``batch_size`` is only the first."""
    return bool(getattr(trainer, "varies_batch_size", False))


def hyperparameters(trainer: Trainer) -> dict[str, Any]:
    """Return the fields of ``trainer`` as plain values; a nested dataclass tells its own name as ``name``."""

    def plain(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return {"name": type(value).__name__} | {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        # Where a function stands in memory is another in each run.
        known = isinstance(value, bool | int | float | str | None)
        return value if known else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))

    return {f.name: plain(getattr(trainer, f.name)) for f in fields(trainer)}
