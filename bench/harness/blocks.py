"""Run the trials of a comparison in blocks: one trial of every cell, in random order, back to back.

Whatever the machine does over time then falls on all cells alike, and cells are compared within blocks. Cells whose
learning rate is to be searched are searched first, and then measured at the best rate in such blocks, on other seeds.
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

from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.equivalence import gate
from paceline.bench.harness.learning_rates import FIRST_SEED
from paceline.bench.harness.rate_search import Search, label_of
from paceline.bench.harness.run import definition, run_trial
from paceline.bench.harness.trial import Trial
from paceline.bench.records.counting import another_problem, contaminated, those_that_count
from paceline.bench.records.environments import differences
from paceline.bench.records.files import write_whole
from paceline.bench.records.record import DEFINITION, Record, append, read
from paceline.trainers.task import Trainer

# Of the planned trials, how many may be run again because others used their cores; each once at most.
LARGEST_SHARE_OF_REPEATS = 0.10


# What a comparison is made of: trials, and searches for the rate at which to make them.
Cells = Mapping[str, Trial | Search]


class RecordLostError(Exception):
    """A finished trial's record could not be written; one line says which and why."""


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
        self._done: dict[tuple[str, str, int], Record] = {}  # of the run that is continued
        self._planned = 0
        self._repeats_left = 0
        self._finished = 0
        self._spent = 0.0

    def check(self, cells: Cells) -> None:
        """Check that every trial of ``cells`` can run, before any does.

        Raises:
            ValueError: one line that says what is wrong.
        """
        for cell in cells.values():
            if isinstance(cell, Search):
                cell.first()
            trial = trial_of(cell)
            _, train_samples = DATA_FILES.prepare(trial.workload)
            trial.check(train_samples)
            DATA_FILES.check(trial)

    def open(self, environment: dict[str, Any], planned: int) -> Path:
        """Make the run's folder, and ``latest`` beside it point there; return it.

        Raises:
            ValueError: if the folder cannot be made or written to; one line.
        """
        self._expect(planned)
        folder = self._results / datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
        try:
            folder.mkdir(parents=True)
            self.folder = folder
            self._keep("environment.json", environment)
            latest = self._results / f".latest-{os.getpid()}"
            latest.symlink_to(folder.name)
            latest.replace(self._results / "latest")
        except OSError as error:
            raise ValueError(
                f"cannot write results to {self._results}: {error.strerror}; choose another folder with --results"
            ) from error
        return folder

    def resume(self, environment: dict[str, Any], comparisons: Mapping[str, tuple[Cells, int]]) -> Path:
        """Continue the newest run: what it holds of ``comparisons`` (cells and blocks, by name) is not run again.

        A trial that ended without a result is held too: that it failed is a result.

        Raises:
            ValueError: one line: there is no such run, it was made in another environment, or a cell is not
                what it was.
        """
        folder = (self._results / "latest").resolve()
        if not (folder / "environment.json").exists():
            raise ValueError(f"--resume: there is no run in {self._results} to continue; run without --resume")
        before = json.loads((folder / "environment.json").read_text())
        changed = differences(before, environment)
        if changed:
            raise ValueError(f"--resume: {folder} was measured in another environment: {changed}")
        held = read(folder / "trials.jsonl") if (folder / "trials.jsonl").exists() else ()
        for record in those_that_count(held)[0]:
            self._done[record.comparison, record.cell, record.block] = record
        for comparison, (cells, _) in comparisons.items():
            for cell, trial in _known_beforehand(cells).items():
                self._check_unchanged(comparison, cell, trial)
        held_of = {name: sum(c == name for c, _, _ in self._done) for name in comparisons}
        self._expect(sum(max(0, planned(*asked) - held_of[name]) for name, asked in comparisons.items()))
        again = {name: environment.get(name) for name in ("captured", "git", "load_average", "gpus")}
        before["resumed"] = [*before.get("resumed", []), again]
        try:
            self.folder = folder
            self._keep("environment.json", before)
        except OSError as error:
            raise ValueError(f"--resume: cannot write to {folder}: {error.strerror}") from error
        return folder

    def _check_unchanged(self, comparison: str, cell: str, trial: Trial) -> None:
        held = [record for (c, name, _), record in self._done.items() if (c, name) == (comparison, cell)]
        now = json.loads(json.dumps(definition(trial)))  # as a record that was written and read
        for record in held:
            for name in DEFINITION:
                before = getattr(record, name)
                if before != now[name]:
                    raise ValueError(
                        f"--resume: {comparison} {cell} is not what it was: {name} was {before}, is {now[name]}; "
                        "run without --resume"
                    )

    def _expect(self, planned: int) -> None:
        self._planned, self._repeats_left = planned, int(LARGEST_SHARE_OF_REPEATS * planned)

    def describe(self, peaks: Callable[[], list[dict[str, Any]]]) -> None:
        """Add to the run's environment what ``peaks`` measures of the machine, unless the run that goes on has it."""
        assert self.folder is not None, "the run's folder is not open"
        environment = json.loads((self.folder / "environment.json").read_text())
        if "gemm_peaks" not in environment:
            self._keep("environment.json", environment | {"gemm_peaks": peaks()})

    def check_equivalence(self, cells: Cells) -> None:
        """Write into ``equivalence.json`` whether the strategies of ``cells`` solve the same problem; tell if not.

        Each is checked once a run on each workload and number of ranks, at the batch size of its first cell. MiniBatch
        on one rank is what they are held against. Where all cells are of one strategy there is nothing to check.
        """
        assert self.folder is not None, "the run's folder is not open"
        file = self.folder / "equivalence.json"
        before: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
        known = {(one["workload"], one["trainer"], one["world_size"]) for one in before}
        strategies: dict[tuple[str, str, int], Trial] = {}
        for trial in map(trial_of, cells.values()):
            place = trial.workload.name, type(trial.trainer).__name__, trial.world_size
            strategies.setdefault(place, trial)
        if len({place[1:] for place in strategies}) < 2:
            return
        due = [place for place in strategies if place not in known and place[1:] != ("MiniBatch", 1)]
        found = gate(strategies[place] for place in due)
        for one in found:
            if not one["passed"]:
                ranks = f" with {one['world_size']} ranks" if one["world_size"] > 1 else ""
                name = f"{one['workload']}-{one['trainer']}{ranks}"
                self._tell(f"{name} {another_problem(one)}; its results will be marked")
        if found:
            kept = sum(one["passed"] for one in found)
            same = "make the first updates that MiniBatch makes at their batch size"
            self._tell(f"before comparing: {kept} of {len(found)} strategies {same}")
            self._keep("equivalence.json", before + found)

    def _keep(self, name: str, values: Any) -> None:
        assert self.folder is not None, "the run's folder is not open"
        write_whole(self.folder / name, json.dumps(values, indent=1, allow_nan=False) + "\n")

    def run(
        self,
        comparison: str,
        cells: Cells,
        blocks: int,
        undecided: Callable[[Mapping[str, list[Record]]], bool] | None = None,
    ) -> None:
        """Run the searches of ``cells``, then ``blocks`` blocks of all; the trials of block b have seed b.

        A trial that others disturbed is run again at once, within limits. Both records are kept; the later counts.

        Args:
            comparison: its name.
            cells: what to run, by name.
            blocks: how many; with ``undecided``, at least so many.
            undecided: asked after these blocks, and after each further one, with the trials so far by cell;
                as long as it says so, another block is run.

        Raises:
            RecordLostError: if a record cannot be written.
        """

        def numbers() -> Iterator[int]:
            yield from range(blocks)
            block = blocks
            while undecided is not None and undecided({cell: self.records[comparison, cell] for cell in cells}):
                yield block
                block += 1

        trials = {name: cell for name, cell in cells.items() if isinstance(cell, Trial)}
        trials |= self._search(comparison, {name: cell for name, cell in cells.items() if isinstance(cell, Search)})
        for block, position, cell in schedule(comparison, cells, numbers()):
            where = {"comparison": comparison, "cell": cell, "block": block, "position": position}
            record = self._held_or_run(
                replace(trials[cell], seed=block), where, f"block {block + 1}/{max(blocks, block + 1)}"
            )
            self.records[comparison, cell].append(record)

    def _search(self, comparison: str, searches: Mapping[str, Search]) -> dict[str, Trial]:
        """Run the trials of all ``searches``, in blocks too, and return each one's trial at its best rate."""
        tried: dict[str, dict[Trainer, list[Record]]] = {name: {} for name in searches}
        for turn in range(1 + max((search.refinements for search in searches.values()), default=-1)):
            cells: dict[str, tuple[str, Trainer]] = {}
            for name, search in searches.items():
                if turn <= search.refinements:
                    trainers = [search.following(tried[name])] if turn else search.first()
                    cells |= {f"{name}-{label_of(trainer)}": (name, trainer) for trainer in trainers}
            most = max(searches[name].seeds for name, _ in cells.values())
            for block, position, cell in schedule(f"{comparison} search {turn}", cells, range(most)):
                name, trainer = cells[cell]
                if block >= searches[name].seeds:
                    continue
                trial = replace(searches[name].trial, trainer=trainer, seed=FIRST_SEED + block)
                where = {"comparison": comparison, "cell": cell, "block": block, "position": position, "search": name}
                record = self._held_or_run(trial, where, f"search, seed {block + 1}/{most}")
                tried[name].setdefault(trainer, []).append(record)
        return {name: replace(search.trial, trainer=search.best(tried[name])) for name, search in searches.items()}

    def _held_or_run(self, trial: Trial, where: dict[str, Any], of: str) -> Record:
        """Return the trial's record of the run that is continued, else of running it now."""
        held = self._done.get((where["comparison"], where["cell"], where["block"]))
        return self._run(trial, where, of) if held is None else held

    def _run(self, trial: Trial, where: dict[str, Any], of: str) -> Record:
        """Run ``trial``, and once more if it was disturbed and there are repeats left; return the one that counts."""
        began = time.monotonic()
        record = self._run_once(trial, where, repeat=0)
        disturbed = contaminated(record) and self._repeats_left > 0
        ended = outcome(record, trial.stop_at_target)
        if disturbed:
            self._repeats_left -= 1
            record = self._run_once(trial, where, repeat=1)
            ended += f"; others used the cores, so once more: {outcome(record, trial.stop_at_target)}"
        self._finished += 1
        self._spent += time.monotonic() - began
        self._tell(f"{self._progress()} {where['comparison']} {of} {where['cell']}: {ended}")
        return record

    def _run_once(self, trial: Trial, where: dict[str, Any], repeat: int) -> Record:
        assert self.folder is not None, "the run's folder is not open"
        record = run_trial(trial, suite=self._suite, repeat=repeat, errors=self.folder / "errors", **where)
        file = self.folder / "trials.jsonl"
        try:
            append(file, record)
        except OSError as error:
            raise RecordLostError(
                f"the record of trial {record.comparison} {record.trial} could not be written to {file}: "
                f"{error.strerror}; the trials before it are there, and --resume goes on from them"
            ) from error
        return record

    def _progress(self) -> str:
        left = self._spent / self._finished * max(0, self._planned - self._finished)
        return f"[{self._finished}/{max(self._planned, self._finished)}, {left // 60:.0f}:{left % 60:02.0f} left]"


def trial_of(cell: Trial | Search) -> Trial:
    """Return what a cell runs, at whatever rate if that is to be searched."""
    return cell.trial if isinstance(cell, Search) else cell


def planned(cells: Cells, blocks: int) -> int:
    """Return how many trials ``blocks`` blocks of ``cells`` take, those of searches included."""
    return len(cells) * blocks + sum(len(cell) for cell in cells.values() if isinstance(cell, Search))


def _known_beforehand(cells: Cells) -> dict[str, Trial]:
    """Return the trials, by cell, that do not depend on what others find."""
    found: dict[str, Trial] = {}
    for name, cell in cells.items():
        if isinstance(cell, Search):
            found |= {f"{name}-{label_of(trainer)}": replace(cell.trial, trainer=trainer) for trainer in cell.first()}
        else:
            found[name] = cell
    return found


def outcome(record: Record, to_target: bool = True) -> str:
    """Return how a trial ended, in a few words; one that was not run to the target cannot have missed it."""
    if not record.curve["step"]:
        return f"{record.status} ({record.reason})"
    seconds, steps = record.curve["seconds"][-1], record.curve["step"][-1]
    score = record.curve["score"][-1]
    text = f"{steps} steps in {seconds:.2f} s" + ("" if score is None else f", score {score:.4g}")
    if record.status not in ("reached", "missed", "plateaued"):
        return f"{record.status} after {text} ({record.reason})"
    return f"{record.status}: {text}" if to_target else text
