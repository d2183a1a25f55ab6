"""What the command line asks for: workloads, trainers, seeds, budgets. Each benchmark makes its cells of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from bench.trial import Trial, cores, is_distributed
from bench.tuning import BUILT_IN_RATES, learning_rates, with_rate
from bench.workload import Workload
from bench.workloads import find_workload, from_file
from trainers import Accumulate, Amp, Ddp, FullBatch, MiniBatch, Online, Trainer

STRATEGIES: dict[str, Trainer] = {
    type(trainer).__name__: trainer for trainer in (FullBatch(), MiniBatch(), Online(), Accumulate(), Amp(), Ddp())
}

Suite = Literal["quick", "standard", "full"]
SUITES: tuple[Suite, ...] = ("quick", "standard", "full")

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """The options of one run, checked.

    Attributes:
        suite: how much is measured.
        workloads: what the user chose; empty leaves it to each benchmark.
        trainers: what the user chose, by name; empty leaves it to each benchmark.
        batch_sizes: what the user chose for the benchmarks that vary it; empty leaves it to each benchmark.
        seeds: trials of each cell; None leaves it to each benchmark.
        seconds: training budget of one trial; None leaves it to each benchmark.
        device: "cpu" or "cuda".
        rates: learning rates found by search, by (workload, trainer).
    """

    suite: Suite = "standard"
    workloads: tuple[Workload, ...] = ()
    trainers: tuple[tuple[str, Trainer], ...] = ()
    batch_sizes: tuple[int, ...] = ()
    seeds: int | None = None
    seconds: float | None = None
    device: str = "cpu"
    rates: tuple[tuple[tuple[str, str], float], ...] = ()

    def of_suite(self, quick: T, standard: T, full: T) -> T:
        """Return the value that belongs to this plan's suite."""
        return {"quick": quick, "standard": standard, "full": full}[self.suite]

    def workloads_or(self, *default: str) -> tuple[Workload, ...]:
        """Return the chosen workloads, or the built-in ones of the ``default`` names."""
        return self.workloads or tuple(find_workload(name) for name in default)

    def trainers_or(self, *default: str) -> dict[str, Trainer]:
        """Return the chosen trainers by name, or the strategies of the ``default`` names."""
        return dict(self.trainers) or {name: STRATEGIES[name] for name in default}

    def allows(self, name: str) -> bool:
        """Return whether the user's choice of trainers, if there is one, includes ``name``."""
        return not self.trainers or name in dict(self.trainers)

    def tuned(self, trainer: Trainer, workload: Workload) -> Trainer:
        """Return ``trainer`` with the rate that the search found for it; as it is where none was made."""
        lr = dict(self.rates).get((workload.name, type(trainer).__name__))
        return trainer if lr is None else with_rate(trainer, lr)

    def rate(self, trainer: str, workload: Workload) -> float | None:
        """Return the learning rate that the search found, if one was made."""
        return dict(self.rates).get((workload.name, trainer))

    def trial(self, workload: Workload, trainer: Trainer, seconds: float) -> Trial:
        """Return a trial of ``trainer`` on all cores: as ranks of one thread, or as threads of one rank.

        Args:
            workload: what to train on.
            trainer: the strategy; its rate is taken as it is.
            seconds: training budget, unless the user set one.
        """
        ranks = self.most_ranks() if is_distributed(trainer) else 1
        batch_size = getattr(trainer, "batch_size", ranks)
        return Trial(
            workload,
            trainer,
            world_size=min(ranks, batch_size),
            device=self.device,
            seconds=self.seconds if self.seconds is not None else seconds,
        )

    def most_ranks(self) -> int:
        """Return how many ranks this machine has room for: its GPUs, or its cores."""
        if self.device == "cuda":
            from bench.nvml import gpus

            return max(1, len(gpus()[0]))
        return cores()


def make_plan(
    *,
    suite: str = "standard",
    workloads: list[str] | None = None,
    trainers: list[str] | None = None,
    batch_sizes: list[int] | None = None,
    seeds: int | None = None,
    seconds: float | None = None,
    device: str = "auto",
    results: Path = Path("results"),
) -> Plan:
    """Check what the user typed and return the plan.

    Raises:
        ValueError: one line that says what is wrong and what would be right.
    """
    matching = next((known for known in SUITES if known == suite), None)
    if matching is None:
        raise ValueError(f"unknown suite {suite!r}: known are {', '.join(SUITES)}")
    if seeds is not None and seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    if any(size < 1 for size in batch_sizes or ()):
        raise ValueError(f"--batch-size must be at least 1, got {min(batch_sizes or ())}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"--seconds must be more than 0, got {seconds:g}")
    rates = learning_rates(BUILT_IN_RATES, results / "learning_rates.csv")
    return Plan(
        suite=matching,
        workloads=tuple(find_workload(name) for name in workloads or ()),
        trainers=tuple(find_trainer(name) for name in trainers or ()),
        batch_sizes=tuple(dict.fromkeys(batch_sizes or ())),
        seeds=seeds,
        seconds=seconds,
        device=_device(device),
        rates=tuple(rates.items()),
    )


def find_trainer(name: str) -> tuple[str, Trainer]:
    """Return the strategy of that name, or the one that ``FILE.py:NAME`` defines, with its name.

    Raises:
        ValueError: one line: the name is unknown, or the file has no such trainer.
    """
    if ":" in name:
        value = from_file(name)
        try:
            trainer: Trainer = value() if isinstance(value, type) else value
        except TypeError as error:
            raise ValueError(f"{name}: its fields need defaults ({error})") from error
        if not callable(trainer) or not hasattr(trainer, "__dataclass_fields__"):
            raise ValueError(f"{name} is not a trainer: a frozen dataclass that is called with a task")
        return type(trainer).__name__, trainer
    if name not in STRATEGIES:
        raise ValueError(f"unknown trainer {name!r}: known are {', '.join(STRATEGIES)}, or FILE.py:NAME")
    return name, STRATEGIES[name]


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}: known are auto, cpu, cuda")
    if name == "cpu":
        return name
    import torch

    from bench.nvml import gpus

    if not torch.backends.cuda.is_built():
        if name == "cuda":
            raise ValueError(f"--device cuda: the installed torch {torch.__version__} was built without CUDA")
        return "cpu"
    found, reason = gpus()  # through NVML: CUDA itself is never touched in this process
    if name == "cuda" and not found:
        raise ValueError(f"--device cuda: no GPU found ({reason})")
    return "cuda" if found else "cpu"


def scaled_down(trainer: Trainer, batch_size: int) -> Trainer:
    """Return ``trainer`` at ``batch_size``; below its own batch size its rate shrinks in proportion.

    A rate tuned for a large batch makes a small one diverge, which would end a timing before it began.
    """
    own = getattr(trainer, "batch_size", batch_size)
    changed: Trainer = replace(trainer, batch_size=batch_size)
    optimizer = getattr(trainer, "optimizer", None)
    return changed if optimizer is None else with_rate(changed, optimizer.lr * min(1.0, batch_size / own))
