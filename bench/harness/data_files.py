"""Each workload's samples, built once a run and kept in a file; and the check that it can be trained on them."""

import atexit
import contextlib
import os
import pickle
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch

if sys.platform != "win32":
    import fcntl

from paceline.bench.harness import fork_server
from paceline.bench.harness.processes import call_in_processes
from paceline.bench.harness.trial import Trial, payload, smallest_share
from paceline.bench.workloads import torch_settings
from paceline.bench.workloads.check import (
    PartFailedError,
    problem_of,
    problem_of_data,
    refused_shares,
    unread,
    unused_parameters,
)
from paceline.bench.workloads.data import Data
from paceline.bench.workloads.user_code import WARNINGS, heard, in_one_line, keep_traceback
from paceline.bench.workloads.workload import Workload

PREFIX = "paceline-data-"  # of the folders with samples

# Batches are tried up to this size where samples come as a stream, without end.
MOST_OF_A_STREAM = 4096

# How often a check goes through the model and back: each time may take as long as a step.
TRIED = 4

# Of a check, the seconds from which on it pays to have the server load what it imported.
WORTH_LOADING_ONCE = 0.2


class DataFiles:
    """Each workload's samples, built once and kept in a file that the trials' processes read.

    Building can take far longer than a trial, and would otherwise be paid by each.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._folder: Path | None = None  # made when needed: the trials' processes import this too
        self._files: dict[Any, tuple[Path, int]] = {}
        self._streams: set[Any] = set()
        self._found: dict[tuple[int, str], dict[str, Any]] = {}  # of checks
        self._checked: dict[tuple[Any, ...], Any] = {}  # with what an id is of, so that it is never used twice

    def prepare(self, workload: Workload) -> tuple[Path, int]:
        """Return the file of ``workload``'s samples and how many of them are for training.

        Of a stream nobody knows: then it is ``MOST_OF_A_STREAM``, up to which batches are tried.

        Raises:
            ValueError: if they cannot be built, or not be trained on; one line.
        """
        built_by = workload.data, workload.collate, workload.workers
        if built_by not in self._files:
            data = self._build(workload)
            file = self._new_file()
            data.save(file)
            self._files[built_by] = file, data.train.n or MOST_OF_A_STREAM
            if data.train.n is None:
                self._streams.add(built_by)
        return self._files[built_by]

    def count(self, workload: Workload) -> int | None:
        """Return how many training samples ``workload`` has; None of a stream.

        Raises:
            ValueError: see ``prepare``.
        """
        _, count = self.prepare(workload)
        return None if (workload.data, workload.collate, workload.workers) in self._streams else count

    def check(self, trial: Trial) -> None:
        """Check that the trial's workload can be trained and scored where the trial runs, in a process of its own.

        Each workload is checked once on each kind of device. What its model and loss import, and what a trainer of the
        user's own does, is loaded by the fork server from then on.

        Raises:
            ValueError: if it cannot; one line, which tells where the traceback is if something was raised.
        """
        self._check(trial)
        self._warn(trial)

    def _warn(self, trial: Trial) -> None:
        """Say before a trial what its model will refuse in the middle of it, and what to do."""
        found = self._found.get((id(trial.workload), trial.device), {"refused": {}, "unused": []})
        _, n = self.prepare(trial.workload)
        share = smallest_share(trial, n)
        whose = f"workload {trial.workload.name!r}"
        if share in found["refused"]:
            WARNINGS.tell(
                whose,
                f"{trial.trainer_name} will fail: a pass over {n} samples leaves {share} of them to be trained on at "
                f"once, of which the model says: {found['refused'][share]}; have data() leave off some samples, or "
                "choose another batch size or number of ranks",
            )
        own = getattr(trial.trainer, "find_unused_parameters", None)
        if found["unused"] and own is False and trial.world_size > 1:
            WARNINGS.tell(
                whose,
                f"{trial.trainer_name} will fail: no gradient reaches {', '.join(found['unused'][:3])}; freeze what is "
                f"not trained, or compare a trainer of your own file, {type(trial.trainer).__name__}"
                "(find_unused_parameters=True)",
            )

    def _check(self, trial: Trial) -> None:
        workload = trial.workload
        theirs = not type(trial.trainer).__module__.startswith("paceline.")
        key = id(workload), trial.device, type(trial.trainer) if theirs else None
        if key in self._checked:
            return
        file, _ = self.prepare(workload)
        name = f"workload {workload.name!r}"
        try:
            arguments = payload(trial), str(file), trial.device
        except Exception as error:
            what = f"it cannot be sent to a trial's process: {in_one_line(error)}"
            raise ValueError(f"{name}: {what}; traceback: {keep_traceback(error)}") from error
        try:
            patience = TRIED * trial.patience
            (found,) = call_in_processes(_found, arguments, 1, patience, workload.settings, name)
        except ValueError as error:
            raise ValueError(f"{name}: it could not be checked: {error}") from error
        if found["problem"]:
            where = f"; traceback: {keep_traceback(found['traceback'])}" if found["traceback"] else ""
            raise ValueError(f"{name}: {found['problem']}{where}")
        if found["seconds"] > WORTH_LOADING_ONCE:
            fork_server.ask_for(found["imported"])
        self._checked[key] = trial
        self._found[id(workload), trial.device] = found

    def _new_file(self) -> Path:
        if self._folder is None:
            _remove_what_was_left()
            new = Path(tempfile.mkdtemp(prefix="paceline-new-"))
            # Held as long as this process lives, and before the folder has the name that others look for.
            if sys.platform != "win32":
                fcntl.flock(os.open(new / "lock", os.O_WRONLY | os.O_CREAT), fcntl.LOCK_EX)
            self._folder = new.rename(new.with_name(new.name.replace("paceline-new-", PREFIX)))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder / f"{len(self._files)}.pt"

    def _build(self, workload: Workload) -> Data:
        name = f"workload {workload.name!r}"
        try:
            with torch_settings.applied(workload.settings), heard(name):
                built = workload.data()
        except (Exception, SystemExit) as error:
            ours = str(getattr(workload.data, "__module__", "")).startswith("paceline.")  # which says what to do
            where = "" if ours else f"; traceback: {keep_traceback(error)}"
            raise ValueError(f"{name}: data failed: {in_one_line(error)}{where}") from error
        problem = problem_of_data(built)
        if problem:
            raise ValueError(f"{name}: {problem}")
        try:
            with torch_settings.applied(workload.settings), heard(name):
                return Data.of(tuple(built), workload.collate, workload.workers)
        except Exception as error:
            where = f"traceback: {keep_traceback(error)}"
            raise ValueError(f"{name}: its samples could not be read: {unread(error)}; {where}") from error


def _found(_: int, packed: bytes, data_file: str, device: str) -> dict[str, Any]:
    """Return what the check of a workload found: the entry point of its process."""
    began, before = time.perf_counter(), set(sys.modules)
    problem, told = "", ""
    refused: dict[int, str] = {}
    unused: list[str] = []
    try:
        trial: Trial = pickle.loads(packed)  # from our own parent, through our own pipe
        data = Data.load(data_file, mmap=True)
        torch.set_num_threads(trial.threads_per_rank)
        problem = problem_of(trial.workload, data, torch.device(device))
        if not problem:
            with warnings.catch_warnings(action="ignore"):  # what is tried here is none of the user's doing
                refused = refused_shares(trial.workload, data, torch.device(device))
                unused = unused_parameters(trial.workload, data, torch.device(device))
    except PartFailedError as error:
        problem, told = str(error), "".join(traceback.format_exception(error.__cause__))
    except Exception as error:
        problem, told = f"it could not be checked: {in_one_line(error)}", traceback.format_exc()
    ours = ("paceline.", "torch.")
    imported = [name for name in sys.modules if name not in before and not name.startswith(ours)]
    seconds = time.perf_counter() - began
    return {
        "problem": problem,
        "traceback": told,
        "imported": imported,
        "seconds": seconds,
        "refused": refused,
        "unused": unused,
    }


def _remove_what_was_left() -> None:
    """Remove the samples of runs that were killed: nobody holds their lock any more. Windows has no such locks."""
    if sys.platform == "win32":
        return
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/lock"):
        with contextlib.suppress(OSError), lock.open("w") as opened:  # another user's, or still in use
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


DATA_FILES = DataFiles()
