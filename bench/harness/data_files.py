"""Each workload's samples, built once a run and kept in a file."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from paceline.bench.workloads.workload import Data, Workload


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
