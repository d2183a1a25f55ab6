"""The folder of a run: made or found again, and every file in it written whole."""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

from paceline.bench.harness.comparison import Cells
from paceline.bench.harness.rate_search import Search, label_of
from paceline.bench.harness.run import definition
from paceline.bench.harness.trial import Trial
from paceline.bench.records.anchors import is_anchor
from paceline.bench.records.counting import those_that_count
from paceline.bench.records.environments import changed_code, differences
from paceline.bench.records.files import newest_run, point_to_newest, write_whole
from paceline.bench.records.record import DEFINITION, Record, append, read


class RecordLostError(Exception):
    """A finished trial's record could not be written; one line says which and why."""


class RunFolder:
    """A run's folder, open for writing.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        """Use ``path``, which is there."""
        self.path = path
        self._lock: int | None = None

    def lock(self) -> None:
        """Keep others from writing here until ``unlock``, or until this process ends, however it does.

        Raises:
            ValueError: if another run does; one line.
        """
        if sys.platform == "win32":  # it has no such locks
            return
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise ValueError(f"--resume: another run is writing to {self.path}; wait until it has ended") from error
        except OSError:  # some network folders have none either
            os.close(descriptor)
            return
        self._lock = descriptor

    def unlock(self) -> None:
        """Let others write here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @classmethod
    def new(cls, results: Path, environment: dict[str, Any]) -> "RunFolder":
        """Make a folder in ``results``, and have ``latest`` beside it point there.

        Raises:
            ValueError: if it cannot be made or written to; one line.
        """
        path = results / datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
        try:
            path.mkdir(parents=True)
            folder = cls(path)
            folder.keep("environment.json", environment)
            point_to_newest(results, path)
        except OSError as error:
            raise ValueError(
                f"cannot write results to {results}: {error.strerror}; choose another folder with --results"
            ) from error
        return folder

    @classmethod
    def newest(cls, results: Path, environment: dict[str, Any]) -> "RunFolder":
        """Return the newest run of ``results``, to go on with in ``environment``, which must be alike.

        Raises:
            ValueError: one line: there is no such run, or it was made in another environment.
        """
        path = newest_run(results)
        if path is None or not (path / "environment.json").exists():
            raise ValueError(f"--resume: there is no run in {results} to continue; run without --resume")
        folder = cls(path)
        changed = differences(folder.environment(), environment)
        if changed:
            raise ValueError(f"--resume: {path} was measured in another environment: {changed}")
        return folder

    def went_on(self, environment: dict[str, Any]) -> None:
        """Note in which ``environment`` the run was gone on with, and that nothing is cut for want of time any more.

        One to which blocks are added until verdicts fall is so from then on, however it began: somebody looks at it
        after each, which its intervals have to allow for.

        Raises:
            ValueError: if the folder cannot be written to; one line.
        """
        before = self.environment()
        before.pop("cut", None)
        again = {name: environment.get(name) for name in ("captured", "git", "load_average", "gpus")}
        if environment.get("until_decided"):
            before["until_decided"] = True
        before["resumed"] = [*before.get("resumed", []), again]
        try:
            self.keep("environment.json", before)
        except OSError as error:
            raise ValueError(f"--resume: cannot write to {self.path}: {error.strerror}") from error

    def environment(self) -> dict[str, Any]:
        """Return what ``environment.json`` holds."""
        found: dict[str, Any] = json.loads((self.path / "environment.json").read_text())
        return found

    def add_to_environment(self, **values: Any) -> None:
        """Put ``values`` into ``environment.json``."""
        self.keep("environment.json", self.environment() | values)

    def keep(self, name: str, values: Any) -> None:
        """Write ``values`` as the JSON file ``name``."""
        write_whole(self.path / name, json.dumps(values, indent=1, allow_nan=False) + "\n")

    def equivalence(self) -> list[dict[str, Any]]:
        """Return what was found so far of whether strategies solve the same problem."""
        file = self.path / "equivalence.json"
        return json.loads(file.read_text()) if file.exists() else []

    def records(self) -> tuple[Record, ...]:
        """Return the records that count: where a trial was repeated, the last."""
        file = self.path / "trials.jsonl"
        return those_that_count(read(file))[0] if file.exists() else ()

    def append(self, record: Record) -> None:
        """Write ``record``, which is a finished trial's.

        Raises:
            RecordLostError: if it cannot be written.
        """
        file = self.path / "trials.jsonl"
        try:
            append(file, record)
        except OSError as error:
            raise RecordLostError(
                f"the record of trial {record.comparison} {record.trial} could not be written to {file}: "
                f"{error.strerror}; the trials before it are there, and --resume goes on from them"
            ) from error


def check_unchanged(comparison: str, cells: Cells, held: Iterable[Record]) -> None:
    """Check that the trials of ``cells`` that do not depend on what others find are what the ``held`` records say.

    Raises:
        ValueError: one line that names what is another.
    """
    known: dict[str, Trial] = {}
    for name, cell in cells.items():
        if isinstance(cell, Search):
            known |= {f"{name}-{label_of(trainer)}": replace(cell.trial, trainer=trainer) for trainer in cell.first()}
        else:
            known[name] = cell
    for record in held:
        if record.comparison != comparison or record.cell not in known:
            continue
        planned = known[record.cell]
        if not record.search and not is_anchor(record) and record.seed != planned.seed + record.block:
            raise ValueError(
                f"--resume: {comparison} {record.cell} has seed {record.seed} in block {record.block + 1}, not "
                f"{planned.seed + record.block}: give the --first-seed of the run"
            )
        now = json.loads(json.dumps(definition(planned)))  # as a record that was written and read
        for name in DEFINITION:
            before = getattr(record, name)
            if before != now[name]:
                raise ValueError(
                    f"--resume: {comparison} {record.cell} is not what it was: {name} was {before}, is {now[name]}; "
                    "run without --resume"
                )
        changed = changed_code(record.code, now["code"])
        if changed:
            seeded = "; does data() draw the same samples each time?" if changed == "its data" else ""
            raise ValueError(
                f"--resume: {comparison} {record.cell} is not what it was: {changed} changed{seeded}; "
                "run without --resume"
            )
