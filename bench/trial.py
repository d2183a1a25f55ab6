"""A trial: one trainer on one workload with one seed, in a fresh process (or one group of ranks)."""

import atexit
import shutil
import tempfile
import time
import uuid
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bench.cores import cores, cores_of_a_trial
from bench.processes import run_in_processes
from bench.record import Record
from bench.workload import Data, Workload
from trainers.task import Trainer


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
        patience: wall seconds without a sign of life after which the trial is killed.
        noise: whether the gradient's noise is observed along the way (``bench.gradients``). The run is the same to
            the last bit, but hooks slow some of its steps: such a trial is not one to time.
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
    patience: float = 120.0
    noise: bool = False

    @property
    def threads_per_rank(self) -> int:
        """CPU threads of each rank: as asked for, or an even share of the cores, at least one."""
        return self.threads or max(1, cores_of_a_trial() // self.world_size)

    def check(self, train_samples: int) -> None:
        """Check that this trial can run on ``train_samples`` samples.

        Raises:
            ValueError: one line that says what is wrong.
        """
        name = type(self.trainer).__name__
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
        if not 1 <= batch_size <= train_samples:
            raise ValueError(
                f"{name}: batch_size must be in 1..{train_samples}, the training samples of workload "
                f"{self.workload.name!r}; got {batch_size}"
            )
        if self.world_size > batch_size and self.world_size > 1:
            raise ValueError(f"{name}: {self.world_size} ranks cannot share a batch of {batch_size} samples")
        if self.world_size > 1 and not is_distributed(self.trainer):
            raise ValueError(f"{name} is not distributed: each of {self.world_size} ranks would train alone")
        if self.device not in ("cpu", "cuda"):
            raise ValueError(f"device must be 'cpu' or 'cuda', got {self.device!r}")
        if self.device == "cuda" and not torch.backends.cuda.is_built():
            raise ValueError(f"device 'cuda': the installed torch {torch.__version__} was built without CUDA")


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
        return value if isinstance(value, bool | int | float | str | None) else repr(value)

    return {f.name: plain(getattr(trainer, f.name)) for f in fields(trainer)}


class DataFiles:
    """Each workload's samples, built once and kept in a file that the trials' processes read.

    Building can take far longer than a trial, and would otherwise be paid by each.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._folder: Path | None = None  # made when needed: the trials' processes import this too
        self._files: dict[Any, Path] = {}
        self._checked: set[int] = set()
        self._workloads: list[Workload] = []  # kept alive, so that an id is never used twice

    def prepare(self, workload: Workload) -> tuple[Path, int]:
        """Return the file of ``workload``'s samples and how many of them are for training.

        Raises:
            ValueError: if the workload cannot be trained; one line.
        """
        file = self._files.get(workload.data)
        if file is None or id(workload) not in self._checked:
            data = Data(*torch.load(file, weights_only=True)) if file else self._build(workload)
            workload.check(data)
            if file is None:
                file = self._new_file()
                torch.save(tuple(data), file)
                self._files[workload.data] = file
            self._checked.add(id(workload))
            self._workloads.append(workload)
        return file, len(torch.load(file, weights_only=True, mmap=True)[0])

    def _new_file(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="paceline-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder / f"{len(self._files)}.pt"

    def _build(self, workload: Workload) -> Data:
        try:
            return Data(*workload.data())
        except TypeError as error:
            raise ValueError(
                f"workload {workload.name!r}: data() must return x, y, held-out x, held-out y ({error})"
            ) from error
        except Exception as error:
            raise ValueError(f"workload {workload.name!r}: {type(error).__name__}: {error}") from error


DATA_FILES = DataFiles()


def definition(trial: Trial) -> dict[str, Any]:
    """Return the fields of ``trial``'s record that say what it is to do: ``bench.record.DEFINITION``.

    Raises:
        ValueError: if its workload cannot be trained; one line.
    """
    return {
        "workload": trial.workload.name,
        "trainer": type(trial.trainer).__name__,
        "hyperparameters": hyperparameters(trial.trainer),
        "world_size": trial.world_size,
        "threads": trial.threads_per_rank,
        "cores": cores(),
        "device": trial.device,
        "target": trial.workload.target,
        "higher_is_better": trial.workload.higher_is_better,
        "seconds_allowed": trial.seconds,
        "steps_allowed": trial.steps,
        "stop_at_target": trial.stop_at_target,
        "score_along": trial.score_along,
        "stop_on_plateau": trial.stop_on_plateau,
        "train_samples": DATA_FILES.prepare(trial.workload)[1],
    }


def run_trial(
    trial: Trial,
    *,
    suite: str = "",
    comparison: str = "",
    cell: str = "",
    block: int = 0,
    position: int = 0,
    repeat: int = 0,
    search: str = "",
) -> Record:
    """Run ``trial`` in fresh processes and return what was observed, whatever became of it.

    A trial that fails, hangs or is killed gives a record too, whose ``status`` and ``reason`` say so.

    Args:
        trial: what to run.
        suite: label of the suite, for the record only; so are ``comparison`` (the benchmark that asks),
            ``cell`` (the trial but for its seed), ``block``, ``position`` within the block, ``repeat``, and
            ``search`` (the search for a learning rate that asks).
        comparison: see ``suite``.
        cell: see ``suite``.
        block: see ``suite``.
        position: see ``suite``.
        repeat: see ``suite``.
        search: see ``suite``.

    Raises:
        ValueError: before anything runs, if the trial cannot be run as described; one line.
    """
    data_file, train_samples = DATA_FILES.prepare(trial.workload)
    trial.check(train_samples)
    name = type(trial.trainer).__name__
    cell = cell or f"{trial.workload.name}-{name}"
    started = datetime.now(UTC)
    began = time.monotonic()
    observed = run_in_processes(trial, data_file)
    elapsed = time.monotonic() - began
    return Record(
        trial=f"{cell}#{block}-{uuid.uuid4().hex[:8]}",
        started=started.isoformat(timespec="milliseconds"),
        comparison=comparison,
        cell=cell,
        suite=suite,
        block=block,
        position=position,
        seed=trial.seed,
        repeat=repeat,
        search=search,
        varies_batch_size=varies_batch_size(trial.trainer),
        **definition(trial),
        elapsed_seconds=elapsed,
        **observed,
    )
