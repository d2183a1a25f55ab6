"""What the command line asks for: workloads, trainers, seeds, budgets. Each benchmark makes its cells of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.device import chosen_device
from paceline.bench.harness.learning_rates import BUILT_IN_RATES, FIRST_SEED, best_rates, identity
from paceline.bench.harness.rate_search import Search, with_rate
from paceline.bench.harness.trial import Trial, is_distributed
from paceline.bench.probes.cores import cores, cores_of_a_trial
from paceline.bench.workloads import find_workload, from_file
from paceline.bench.workloads.workload import Workload
from paceline.trainers import (
    Accumulate,
    AdaScale,
    Amp,
    Averaged,
    Compiled,
    Ddp,
    FullBatch,
    GrowingBatch,
    MiniBatch,
    NoiseBatch,
    Online,
    ReduceOnPlateau,
    Retrain,
    Trainer,
)

# What is compared where the user names no trainer.
STRATEGIES: dict[str, Trainer] = {
    type(trainer).__name__: trainer for trainer in (FullBatch(), MiniBatch(), Online(), Accumulate(), Amp(), Ddp())
}

# What --trainer knows by name: those, what varies the batch size or the rate along the way, a compiled model, and one
# that is trained anew on the last samples of a stream.
TRAINERS: dict[str, Trainer] = STRATEGIES | {
    type(trainer).__name__: trainer
    for trainer in (GrowingBatch(), NoiseBatch(), AdaScale(), ReduceOnPlateau(), Compiled(), Retrain(), Averaged())
}

Suite = Literal["quick", "standard", "full"]
SUITES: tuple[Suite, ...] = ("quick", "standard", "full")

T = TypeVar("T")

# Samples that a rank of a strategy is given of a batch at least, where the user asks for no number of ranks: one
# sample a rank measures communication, and breaks batch normalization.
LEAST_PER_RANK = 16


@dataclass(frozen=True)
class LeftOut:
    """In place of a cell: why this machine or this workload cannot run it, in one line."""

    why: str


@dataclass(frozen=True)
class Plan:
    """The options of one run, checked.

    Attributes:
        suite: how much is measured.
        workloads: what the user chose; empty leaves it to each benchmark.
        trainers: what the user chose, by name; empty leaves it to each benchmark.
        batch_sizes: what the user chose for the benchmarks that vary it; empty leaves it to each benchmark.
        seeds: trials of each cell; None leaves it to each benchmark.
        first_seed: of each cell; block b has seed first_seed + b.
        seconds: training budget of one trial; None leaves it to each benchmark.
        device: "cpu" or "cuda".
        cores: CPU cores that a trial takes; None is all that it may (``probes.cores``).
        ranks: of a distributed trainer; None leaves it to the plan.
        gpus: that CUDA shows to this process.
        patience: wall seconds without a sign of life after which a trial is ended.
        minutes: wall time of the measurements; None leaves it to the suite.
        until_decided: whether blocks are added until verdicts fall, for which there is a budget of its own.
        rates: learning rates found by search, by workload and what the trainer is ``known_as``.
        notes: what was decided for the user, a line each.
    """

    suite: Suite = "standard"
    workloads: tuple[Workload, ...] = ()
    trainers: tuple[tuple[str, Trainer], ...] = ()
    batch_sizes: tuple[int, ...] = ()
    seeds: int | None = None
    first_seed: int = 0
    seconds: float | None = None
    device: str = "cpu"
    cores: int | None = None
    ranks: int | None = None
    gpus: int = 0
    patience: float = 120.0
    minutes: float | None = None
    until_decided: bool = False
    rates: tuple[tuple[tuple[str, str], float], ...] = ()
    notes: tuple[str, ...] = ()

    def of_suite(self, quick: T, standard: T, full: T) -> T:
        """Return the value that belongs to this plan's suite."""
        return {"quick": quick, "standard": standard, "full": full}[self.suite]

    def budget_seconds(self) -> float:
        """Return how many wall seconds the measurements may take; infinite where there is no limit."""
        if self.minutes is not None:
            return 60 * self.minutes
        return math.inf if self.until_decided else self.of_suite(quick=90.0, standard=300.0, full=math.inf)

    def workloads_or(self, *default: str) -> tuple[Workload, ...]:
        """Return the chosen workloads, or the built-in ones of the ``default`` names."""
        return self.workloads or tuple(find_workload(name) for name in default)

    def trainers_or(self, *default: str) -> dict[str, Trainer]:
        """Return the chosen trainers by name, or the strategies of the ``default`` names."""
        return dict(self.trainers) or {name: TRAINERS[name] for name in default}

    def allows(self, name: str) -> bool:
        """Return whether the user's choice of trainers, if there is one, includes ``name``."""
        return not self.trainers or name in dict(self.trainers)

    def tuned(self, trainer: Trainer, workload: Workload) -> Trainer:
        """Return ``trainer`` with the rate that the search found for it; as it is where none was made.

        A search is of one optimizer, batch size and all: what was found for another trainer of the same class says
        nothing, and a user's own settings are theirs.
        """
        lr = self.rate(trainer, workload)
        return trainer if lr is None else with_rate(trainer, lr)

    def rate(self, trainer: Trainer, workload: Workload) -> float | None:
        """Return the learning rate that the search of this very ``trainer`` found, if one was made."""
        return dict(self.rates).get((workload.name, self.known_as(trainer)))

    def is_built_in(self, trainer: Trainer) -> bool:
        """Return whether ``trainer`` is one of ours as it is built in, and none that a user wrote just so."""
        written = any(trainer is own for label, own in self.trainers if own is not TRAINERS.get(label))
        return not written and trainer in TRAINERS.values()

    def known_as(self, trainer: Trainer) -> str:
        """Return what a search for its rate is known by: ``learning_rates.identity``, of a user's own by its settings.

        Who writes ``MiniBatch()`` to a file and names that means its rate as well, unless it was searched for.
        """
        return identity(trainer, TRAINERS if self.is_built_in(trainer) else {})

    def trial(self, workload: Workload, trainer: Trainer, seconds: float, label: str = "") -> Trial:
        """Return a trial of ``trainer`` on all cores: as ranks of some threads, or as threads of one rank.

        Args:
            workload: what to train on.
            trainer: the strategy; its rate is taken as it is, and so is the batch size that a user wrote. Our own
                default is cut to the training set.
            seconds: training budget, unless the user set one.
            label: what the trainer is called; "" calls it by its class.
        """
        trainer = _fitted(trainer, workload)
        ranks = self.ranks_of(trainer)
        return Trial(
            workload,
            trainer,
            world_size=ranks,
            threads=max(1, self.cores_of_a_trial() // ranks),
            device=self.device,
            seconds=self.seconds if self.seconds is not None else seconds,
            label=label,
            patience=self.patience,
        )

    def from_first_seed(self, cell: Trial | Search) -> Trial | Search:
        """Return ``cell`` with the seed of its first block: a run to be merged goes on where the other ended."""
        if isinstance(cell, Search):
            return replace(cell, trial=replace(cell.trial, seed=self.first_seed))
        return replace(cell, seed=self.first_seed)

    def ranks_of(self, trainer: Trainer) -> int:
        """Return on how many ranks ``trainer`` runs: as asked for; else few enough that each has work to do.

        On CPUs the cores are shared out evenly where their number allows it, so that ranks x threads are as many as
        the threads of the strategies that it is compared with.
        """
        if not is_distributed(trainer):
            return 1
        if self.ranks is not None:
            return self.ranks
        fed = max(1, getattr(trainer, "batch_size", 1) // LEAST_PER_RANK)
        if self.device == "cuda":
            return min(self.most_ranks(), fed)
        most = min(self.cores_of_a_trial(), fed)
        even = max(ranks for ranks in range(1, most + 1) if self.cores_of_a_trial() % ranks == 0)
        return even if even > 1 else min(2, most)  # a prime number of cores: better one of them idle than one rank

    def most_ranks(self) -> int:
        """Return how many ranks there is room for: the GPUs that CUDA shows, or the cores."""
        return max(1, self.gpus) if self.device == "cuda" else self.cores or cores()

    def cores_of_a_trial(self) -> int:
        """Return how many cores each trial of a comparison of strategies takes."""
        return self.cores or cores_of_a_trial()


def _fitted(trainer: Trainer, workload: Workload) -> Trainer:
    """Return ``trainer`` with the batch size that is only our default cut to the training set of ``workload``."""
    ours = TRAINERS.get(type(trainer).__name__)
    size = getattr(trainer, "batch_size", None)
    if size is None or type(trainer) is not type(ours) or size != getattr(ours, "batch_size", None):
        return trainer
    _, train_samples = DATA_FILES.prepare(workload)
    fitted: Any = replace(trainer, batch_size=min(size, train_samples))
    if hasattr(fitted, "micro_batch_size"):
        fitted = replace(fitted, micro_batch_size=min(fitted.micro_batch_size, train_samples))
    return fitted  # type: ignore[no-any-return]


def make_plan(
    *,
    suite: str = "standard",
    workloads: list[str] | None = None,
    trainers: list[str] | None = None,
    batch_sizes: list[int] | None = None,
    seeds: int | None = None,
    first_seed: int = 0,
    seconds: float | None = None,
    device: str = "auto",
    cores: int | None = None,
    ranks: int | None = None,
    minutes: float | None = None,
    patience: float = 120.0,
    until_decided: bool = False,
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
    if not 0 <= first_seed <= FIRST_SEED // 2:
        raise ValueError(f"--first-seed must be between 0 and {FIRST_SEED // 2}, got {first_seed}")
    if any(size < 1 for size in batch_sizes or ()):
        raise ValueError(f"--batch-size must be at least 1, got {min(batch_sizes or ())}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"--seconds must be more than 0, got {seconds:g}")
    for name, count in (("cores", cores), ("ranks", ranks)):
        if count is not None and count < 1:
            raise ValueError(f"--{name} must be at least 1, got {count}")
    if minutes is not None and not minutes > 0:
        raise ValueError(f"--minutes must be more than 0, got {minutes:g}")
    if not patience > 0:
        raise ValueError(f"--patience must be more than 0, got {patience:g}")
    rates = best_rates(BUILT_IN_RATES, results / "learning_rates.csv")
    chosen, gpus, notes = chosen_device(device)
    return Plan(
        suite=matching,
        workloads=tuple(_of_one_name_each([find_workload(name) for name in dict.fromkeys(workloads or ())])),
        trainers=tuple(_of_one_label_each([find_trainer(name) for name in dict.fromkeys(trainers or ())])),
        batch_sizes=tuple(dict.fromkeys(batch_sizes or ())),
        seeds=seeds,
        first_seed=first_seed,
        seconds=seconds,
        device=chosen,
        cores=cores,
        ranks=ranks,
        gpus=gpus,
        patience=patience,
        minutes=minutes,
        until_decided=until_decided,
        rates=tuple(rates.items()),
        notes=notes,
    )


def _of_one_name_each(workloads: list[Workload]) -> list[Workload]:
    for number, workload in enumerate(workloads):
        if any(other.name == workload.name for other in workloads[:number]):
            raise ValueError(f"two workloads are called {workload.name!r}: give one of them another name=")
    return workloads


def _of_one_label_each(trainers: list[tuple[str, Trainer]]) -> list[tuple[str, Trainer]]:
    for number, (label, _) in enumerate(trainers):
        if any(label == other for other, _ in trainers[:number]):
            raise ValueError(f"two trainers are called {label}: give one of them another name in its file")
    return trainers


def find_trainer(name: str) -> tuple[str, Trainer]:
    """Return the strategy of that name, or the one that ``FILE.py:NAME`` defines, with its label: NAME.

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
        try:
            hash(trainer)  # searches know trainers by what is in their fields
        except TypeError as error:
            what = "write @dataclass(frozen=True) above it, and tuples instead of lists in its fields"
            raise ValueError(f"{name}: {error}; {what}") from error
        return name.rpartition(":")[2], trainer
    if name not in TRAINERS:
        raise ValueError(f"unknown trainer {name!r}: known are {', '.join(TRAINERS)}, or FILE.py:NAME")
    return name, TRAINERS[name]


def coarse_first(sizes: Sequence[int]) -> list[int]:
    """Return rising ``sizes`` so that any beginning of them is spread over all: the ends, the middle, the quarters.

    Where time is short it is the last cells that go, and of a sweep the widest part should be left. Of four or fewer
    there is nothing to be spread.
    """
    if len(sizes) <= 4:
        return list(sizes)
    stride = 1 << (len(sizes) - 2).bit_length()
    order = [0, len(sizes) - 1]
    while stride > 1:
        stride //= 2
        order += [k for k in range(stride, len(sizes), stride) if k not in order]
    return [sizes[k] for k in order]


def scaled_down(trainer: Trainer, batch_size: int) -> Trainer:
    """Return ``trainer`` at ``batch_size``; below its own batch size its rate shrinks in proportion.

    A rate tuned for a large batch makes a small one diverge, which would end a timing before it began.
    """
    own = getattr(trainer, "batch_size", batch_size)
    changed: Trainer = replace(trainer, batch_size=batch_size)
    optimizer = getattr(trainer, "optimizer", None)
    return changed if optimizer is None else with_rate(changed, optimizer.lr * min(1.0, batch_size / own))
