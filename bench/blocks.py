"""Run the trials of a comparison in blocks: one trial of every cell, in random order, back to back.

Whatever the machine does over time then falls on all cells alike, and cells are compared within blocks.
"""

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.equivalence import gate
from bench.record import Record, append
from bench.trial import DATA_FILES, Trial, run_trial


def schedule(comparison: str, cells: Iterable[str], blocks: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Yield (block, position, cell) in the order in which trials run: every cell once a block, shuffled.

    The order is that of a block's own number, whichever blocks ran before it.
    """
    cells = list(cells)
    for block in blocks:
        order = cells.copy()
        random.Random(f"{comparison} {block}").shuffle(order)
        for position, cell in enumerate(order):
            yield block, position, cell


class Blocks:
    """Runs comparisons and keeps every finished trial, in memory and in the run's folder.

    Attributes:
        folder: the run's folder; None until ``open``.
        records: finished trials by (comparison, cell), in order of blocks.
    """

    def __init__(self, results: Path, suite: str, tell: Callable[[str], None]) -> None:
        """Run under the name ``suite``, keep runs in ``results``, and ``tell`` a line of progress a trial."""
        self._results, self._suite, self._tell = results, suite, tell
        self.folder: Path | None = None
        self.records: dict[tuple[str, str], list[Record]] = defaultdict(list)
        self._planned = 0
        self._finished = 0
        self._spent = 0.0

    def check(self, cells: Mapping[str, Trial]) -> None:
        """Check that every trial of ``cells`` can run, before any does.

        Raises:
            ValueError: one line that says what is wrong.
        """
        for trial in cells.values():
            _, train_samples = DATA_FILES.prepare(trial.workload)
            trial.check(train_samples)

    def open(self, environment: dict[str, Any], planned: int) -> Path:
        """Make the run's folder, and ``latest`` beside it point there; return it.

        Raises:
            ValueError: if the folder cannot be made or written to; one line.
        """
        self._planned = planned
        folder = self._results / datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
        try:
            folder.mkdir(parents=True)
            self.folder = folder
            self.describe(environment)
            latest = self._results / f".latest-{os.getpid()}"
            latest.symlink_to(folder.name)
            latest.replace(self._results / "latest")
        except OSError as error:
            raise ValueError(
                f"cannot write results to {self._results}: {error.strerror}; choose another folder with --results"
            ) from error
        return folder

    def describe(self, environment: dict[str, Any]) -> None:
        """Write ``environment.json``, whole or not at all."""
        self._keep("environment.json", environment)

    def check_equivalence(self, cells: Mapping[str, Trial]) -> None:
        """Write into ``equivalence.json`` whether the strategies of ``cells`` solve the same problem; tell if not."""
        found = gate(cells.values())
        for one in found:
            if not one["passed"]:
                self._tell(f"{one['workload']}-{one['trainer']} solves another problem: {one['reason']}")
        kept = sum(one["passed"] for one in found)
        self._tell(f"gradients agree with those of mini-batch training: {kept} of {len(found)} strategies")
        self._keep("equivalence.json", found)

    def _keep(self, name: str, values: Any) -> None:
        assert self.folder is not None, "the run's folder is not open"
        unfinished = self.folder / f".{name}"
        unfinished.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")
        unfinished.replace(self.folder / name)

    def run(
        self,
        comparison: str,
        cells: Mapping[str, Trial],
        blocks: int,
        undecided: Callable[[Mapping[str, list[Record]]], bool] | None = None,
    ) -> None:
        """Run ``blocks`` blocks of ``cells``; the trials of block b have seed b.

        Args:
            comparison: its name.
            cells: what to run, by name.
            blocks: how many; with ``undecided``, at least so many.
            undecided: asked after these blocks, and after each further one, with the trials so far by cell;
                as long as it says so, another block is run.
        """
        assert self.folder is not None, "the run's folder is not open"

        def numbers() -> Iterator[int]:
            yield from range(blocks)
            block = blocks
            while undecided is not None and undecided({cell: self.records[comparison, cell] for cell in cells}):
                yield block
                block += 1

        for block, position, cell in schedule(comparison, cells, numbers()):
            began = time.monotonic()
            trial = replace(cells[cell], seed=block)
            record = run_trial(
                trial, suite=self._suite, comparison=comparison, cell=cell, block=block, position=position
            )
            append(self.folder / "trials.jsonl", record)
            self.records[comparison, cell].append(record)
            self._finished += 1
            self._spent += time.monotonic() - began
            ended = outcome(record, trial.stop_at_target)
            self._tell(f"{self._progress()} {comparison} block {block + 1}/{max(blocks, block + 1)} {cell}: {ended}")

    def _progress(self) -> str:
        left = self._spent / self._finished * max(0, self._planned - self._finished)
        return f"[{self._finished}/{max(self._planned, self._finished)}, {left // 60:.0f}:{left % 60:02.0f} left]"


def outcome(record: Record, to_target: bool = True) -> str:
    """Return how a trial ended, in a few words; one that was not run to the target cannot have missed it."""
    if not record.curve["step"]:
        return f"{record.status} ({record.reason})"
    seconds, steps = record.curve["seconds"][-1], record.curve["step"][-1]
    score = record.curve["score"][-1]
    text = f"{steps} steps in {seconds:.2f} s" + ("" if score is None else f", score {score:.4g}")
    if record.status not in ("reached", "missed"):
        return f"{record.status} after {text} ({record.reason})"
    return f"{record.status}: {text}" if to_target else text
