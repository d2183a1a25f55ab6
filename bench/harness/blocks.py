"""Run the trials of a comparison in blocks: one trial of every cell, in random order, back to back.

Whatever the machine does over time then falls on all cells alike, and cells are compared within blocks. Cells whose
learning rate is to be searched are searched first, and then measured at the best rate in such blocks, on other seeds.
An anchor, the same in all comparisons, runs in every block, and in the turns of the searches.
What the run's budget has no time for is cut: trials end early, then blocks are fewer, then the last cells are left out.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from paceline.bench.harness.ahead import Ahead, outcome
from paceline.bench.harness.budget import LEAST_CELLS, Budget, Share
from paceline.bench.harness.comparison import Comparison, schedule, trial_of
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.equivalence import gate
from paceline.bench.harness.fitting import Fitting, least_blocks
from paceline.bench.harness.held import Held
from paceline.bench.harness.learning_rates import FIRST_SEED
from paceline.bench.harness.rate_search import Search, label_of
from paceline.bench.harness.repeats import Repeats
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.run_folder import RunFolder, check_unchanged
from paceline.bench.harness.trial import Trial
from paceline.bench.records.anchors import ANCHOR, ANCHOR_OF_SEARCHES, ANCHORS
from paceline.bench.records.counting import another_problem
from paceline.bench.records.record import Record
from paceline.trainers.task import Trainer

# Of a comparison's time, how much may go into checking that its strategies solve the same problem.
LARGEST_SHARE_OF_CHECKS = 0.25


class Blocks:
    """Runs comparisons and keeps every finished trial, in memory and in the run's folder.

    Attributes:
        folder: the run's folder, once it is open.
        records: finished trials by (comparison, cell), in order of blocks; anchors are in the folder alone.
        left_out: why a cell was not measured, for want of time, by (comparison, cell).
    """

    def __init__(self, results: Path, suite: str, tell: Callable[[str], None], budget: Budget | None = None) -> None:
        """Run under the name ``suite``, keep runs in ``results``, and ``tell`` a line of progress a trial."""
        self._results, self._suite, self._tell = results, suite, tell
        self.budget = budget or Budget()
        self._folder: RunFolder | None = None
        self.records: dict[tuple[str, str], list[Record]] = defaultdict(list)
        self.left_out: dict[tuple[str, str], str] = {}
        self._held = Held()  # by the run that is continued
        self._ahead = Ahead(())
        self._cut: list[str] = []
        self._repeats = Repeats()

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        assert self._folder is not None, "the run's folder is not open"
        return self._folder

    def check(self, comparison: Comparison) -> None:
        """Check that every trial of ``comparison`` can run, before any does.

        Raises:
            ValueError: one line that says what is wrong.
        """
        for cell in comparison.cells.values():
            if isinstance(cell, Search):
                cell.first()
        for trial, _ in comparison.trials().values():
            trial.check(DATA_FILES.count(trial.workload))
            DATA_FILES.check(trial)

    def open(self, environment: dict[str, Any], comparisons: Iterable[Comparison]) -> Path:
        """Make the folder of a run of ``comparisons``; return it.

        Raises:
            ValueError: if it cannot be made or written to; one line.
        """
        self._expect(comparisons)
        self._folder = RunFolder.new(self._results, environment)
        self._folder.lock()
        return self._folder.path

    def close(self) -> None:
        """Let other runs go on with this one's folder."""
        if self._folder is not None:
            self._folder.unlock()

    def resume(self, environment: dict[str, Any], comparisons: Iterable[Comparison]) -> Path:
        """Continue the newest run: what it holds of ``comparisons`` is not run again; return its folder.

        A trial that ended without a result is held too: that it failed is a result. One that was ended early for want
        of time is not; nor one that was disturbed and not repeated, as far as there are repeats left.

        Raises:
            ValueError: one line: there is no such run, its environment was another, it still goes on, or a cell is
                not what it was.
        """
        folder = RunFolder.newest(self._results, environment)
        folder.lock()
        try:
            self._go_on(folder, environment, list(comparisons))
        except BaseException:
            folder.unlock()
            raise
        return folder.path

    def _go_on(self, folder: RunFolder, environment: dict[str, Any], comparisons: list[Comparison]) -> None:
        found = folder.records()
        self._held = held = Held.of(found)
        for comparison in comparisons:
            anchors = {} if comparison.anchor is None else dict.fromkeys(ANCHORS, comparison.anchor)
            check_unchanged(comparison.name, {**comparison.cells, **anchors}, held.done.values())
        self._expect(comparisons, found)
        held.repeat(self._repeats.owed(list(held.done.values())))
        self._ahead = Ahead(comparisons, held.done.values())
        folder.went_on(environment)
        self._folder = folder

    def _expect(self, comparisons: Iterable[Comparison], found: Iterable[Record] = ()) -> None:
        self._ahead = Ahead(comparisons, self._held.done.values())
        self._repeats = Repeats(self._ahead.trials() + len(self._held.done), found)

    def describe(self, **measured: Callable[[], Any]) -> None:
        """Add to the run's environment what is ``measured`` of the machine, unless the run that goes on has it."""
        for name, measure in measured.items():
            if name not in self.folder.environment():
                self.folder.add_to_environment(**{name: measure()})

    def check_equivalence(self, comparison: Comparison) -> None:
        """Write into ``equivalence.json`` whether the strategies of ``comparison`` solve the same problem; tell if not.

        Each is checked once a run on each workload and number of ranks, at the batch size of its first cell. MiniBatch
        on one rank is what they are held against. Where all cells are of one strategy there is nothing to check.
        """
        before = self.folder.equivalence()
        known = {(one["workload"], one["trainer"], one["world_size"]) for one in before}
        strategies: dict[tuple[str, str, int], Trial] = {}
        for trial in map(trial_of, comparison.cells.values()):
            place = trial.workload.name, trial.trainer_name, trial.world_size
            strategies.setdefault(place, trial)
        if len({place[1:] for place in strategies}) < 2:
            return
        due = [place for place in strategies if place not in known and place[1:] != ("MiniBatch", 1)]
        until = self.budget.left() - LARGEST_SHARE_OF_CHECKS * self._share(comparison).seconds
        found: list[dict[str, Any]] = []
        for place in due:
            if self.budget.left() < until:
                self._note(
                    f"{comparison.name}: whether {place[1]} solves the same problem on {place[0]} is not checked"
                )
                continue
            found += gate([strategies[place]], self.folder.path / "errors")
        for one in found:
            if not one["passed"]:
                ranks = f" with {one['world_size']} ranks" if one["world_size"] > 1 else ""
                name = f"{one['workload']}-{one['trainer']}{ranks}"
                self._tell(f"{name} {another_problem(one)}; its results will be marked")
        if found:
            kept = sum(one["passed"] for one in found)
            same = "make the first updates that MiniBatch makes at their batch size"
            self._tell(f"before comparing: {kept} of {len(found)} strategies {same}")
            self.folder.keep("equivalence.json", before + found)

    def _share(self, comparison: Comparison) -> Share:
        return self.budget.share(comparison, self._ahead.after(comparison))

    def run(
        self, comparison: Comparison, undecided: Callable[[Mapping[str, list[Record]]], bool] | None = None
    ) -> None:
        """Run the searches of ``comparison``, then its blocks; the trials of block b have the seed of their cell + b.

        A trial that was disturbed is run again at once, within limits. Both are kept; the later counts. What the budget
        has no time for is cut: see ``harness.budget``.

        Args:
            comparison: what to run.
            undecided: asked after its blocks, and after each further one, with the trials so far by cell;
                as long as it says so, another block is run.

        Raises:
            RecordLostError: if a record cannot be written.
        """
        share = self._share(comparison)
        trials = {name: cell for name, cell in comparison.cells.items() if isinstance(cell, Trial)}
        trials |= self._search(comparison, share)
        fitting = Fitting(comparison, trials, share, self.budget, self._held.done)
        block = 0
        while fitting.trials and (
            block < comparison.blocks or (undecided is not None and undecided(self._of(comparison)))
        ):
            if block and not fitting.has_time_for(block):
                break
            self._run_block(comparison, block, fitting)
            block += 1
        self._ended(comparison, block if trials else comparison.blocks)

    def _of(self, comparison: Comparison) -> dict[str, list[Record]]:
        """Return the trials so far of each cell."""
        return {cell: self.records[comparison.name, cell] for cell in comparison.cells}

    def _run_block(self, comparison: Comparison, block: int, fitting: Fitting) -> None:
        """Run a block's trials in random order: those that fit by what is known by then. The others are left out."""
        names = [*fitting.trials, *([ANCHOR] if comparison.anchor is not None else [])]
        order = [cell for _, _, cell in schedule(comparison.name, names, [block])]
        held = [cell for cell in fitting.trials if (comparison.name, cell, block) in self._held.done]
        for cell in held:
            self.records[comparison.name, cell].append(self._held.done[comparison.name, cell, block])
        position = len(held)
        while ready := fitting.ready(block):
            cell = min(ready, key=order.index)
            trial = replace(ready[cell], wall_seconds=fitting.limit(cell, block))
            where = {"comparison": comparison.name, "cell": cell, "block": block, "position": position}
            of = f"block {block + 1}/{max(comparison.blocks, block + 1)}"
            if cell == ANCHOR:
                self._run(trial, where, of, cell)
            else:
                record = self._run(replace(trial, seed=trial.seed + block), where, of, cell)
                self.records[comparison.name, cell].append(record)
            fitting.ran(cell, block)
            position += 1
        for cell in fitting.drop(block):
            self._ahead.leave_out(comparison, cell)
            if not self.records[comparison.name, cell]:
                self._leave_out(comparison, cell)

    def _ended(self, comparison: Comparison, blocks: int) -> None:
        """Take note that ``comparison`` has had all the trials it gets, and of what was cut."""
        self._ahead.end(comparison)
        if blocks < comparison.blocks:
            self._note(f"{comparison.name}: {blocks} of {comparison.blocks} blocks")
        fewer = defaultdict[str, list[str]](list)
        for cell, records in self._of(comparison).items():
            planned = comparison.blocks_of(cell)
            if 0 < len(records) < min(blocks, planned):
                fewer[f"{len(records)} of {planned} blocks"].append(cell)
        for had, cells in fewer.items():
            self._note(f"{comparison.name}: {had} of {', '.join(cells)}")
        short = [cell for cell, records in self._of(comparison).items() if any(r.cut_short for r in records)]
        if short:
            self._note(f"{comparison.name}: trials ended early of {', '.join(short)}")

    def _leave_out(self, comparison: Comparison, cell: str) -> None:
        why = f"no time for it within {self.budget.total:.0f} s; give more with --minutes, or go on with --resume"
        self.left_out[comparison.name, cell] = why
        self._ahead.leave_out(comparison, cell)
        self._note(f"{comparison.name}: {cell} left out")

    def _note(self, line: str) -> None:
        """Tell, and keep in the run's environment, that something was cut."""
        self._tell(f"cut to the budget of {self.budget.total:.0f} s: {line}")
        self._cut.append(line)
        self.folder.add_to_environment(budget_seconds=self.budget.total, cut=self._cut)

    def _search(self, comparison: Comparison, share: Share) -> dict[str, Trial]:
        """Run the trials of all searches, in blocks too, and return each one's trial at its best rate.

        Where there is no time to search for all cells, the last ones are left out: a rate that was searched with less
        effort than another's is none to compare.
        """
        searches = {name: cell for name, cell in comparison.cells.items() if isinstance(cell, Search)}
        tried: dict[str, dict[Trainer, list[Record]]] = {name: {} for name in searches}
        for turn in range(comparison.turns()):
            self._fit(comparison, searches, tried, share)
            due: dict[str, tuple[str, Trainer]] = {}
            for name, search in searches.items():
                if turn <= search.refinements:
                    trainers = [search.following(tried[name])] if turn else search.first()
                    due |= {f"{name}-{label_of(trainer)}": (name, trainer) for trainer in trainers}
            most = max((searches[name].seeds for name, _ in due.values()), default=0)
            anchored = comparison.anchor is not None and turn < comparison.turns() - 1
            names = [*due, *([ANCHOR_OF_SEARCHES] if anchored else [])]
            for block, position, cell in schedule(f"{comparison.name} search {turn}", names, range(most)):
                where = {"comparison": comparison.name, "cell": cell, "block": block, "position": position}
                if comparison.anchor is not None and cell == ANCHOR_OF_SEARCHES:
                    where |= {"block": turn, "search": cell}
                    trial = replace(comparison.anchor, wall_seconds=share.limit())
                    if block == 0:
                        self._held_or_run(trial, where, f"search, turn {turn + 1}", cell)
                    continue
                name, trainer = due[cell]
                if name not in searches or block >= searches[name].seeds:
                    continue
                trial = replace(
                    searches[name].trial, trainer=trainer, seed=FIRST_SEED + block, wall_seconds=share.limit()
                )
                record = self._held_or_run(trial, where | {"search": name}, f"search, seed {block + 1}/{most}", name)
                tried[name].setdefault(trainer, []).append(record)
                self._fit(comparison, searches, tried, share)
        return {name: replace(search.trial, trainer=search.best(tried[name])) for name, search in searches.items()}

    def _fit(
        self,
        comparison: Comparison,
        searches: dict[str, Search],
        tried: Mapping[str, Mapping[Trainer, list[Record]]],
        share: Share,
    ) -> None:
        """Leave out the last of ``searches`` until what is still to be run of the others, and their blocks, fits.

        By what was seen, and not by a guess: none goes before the first trial has ended. The first ones stay for a
        single block too.
        """

        def ahead(name: str) -> float:
            blocks = least_blocks(comparison, name) if len(searches) > LEAST_CELLS else 1
            trials = blocks + len(searches[name]) - sum(map(len, tried[name].values()))
            return trials * self.budget.pace.known(comparison.name, name)

        while searches and sum(map(ahead, searches)) > max(0.0, share.left()):
            name = list(searches)[-1]
            del searches[name]
            self._leave_out(comparison, name)

    def _held_or_run(self, trial: Trial, where: dict[str, Any], of: str, pace: str) -> Record:
        """Return the trial's record of the run that is continued, else of running it now."""
        held = self._held.done.get((where["comparison"], where["cell"], where["block"]))
        return self._run(trial, where, of, pace) if held is None else held

    def _run(self, trial: Trial, where: dict[str, Any], of: str, pace: str) -> Record:
        """Run ``trial``, and once more if it was disturbed and there are repeats left; return the one that counts.

        How long it took tells what to expect of the trials of ``pace``: its cell, or the cell whose search it is of.
        """
        began = self.budget.spent()
        place = where["comparison"], where["cell"], where["block"]
        repeat = self._held.repeats_before(place)
        record = self._run_once(trial, where, repeat)
        ended = outcome(record, trial.stop_at_target)
        disturbed = self._repeats.saw(record)
        if disturbed and place not in self._held.repeated and self._ahead.need(self.budget) < self.budget.left():
            self._repeats.spend()
            record = self._run_once(trial, where, repeat + 1)
            self._repeats.saw(record)
            ended += f"; {disturbed}, so once more: {outcome(record, trial.stop_at_target)}"
        self._ahead.finished(where["comparison"], pace)
        self.budget.pace.observe(where["comparison"], pace, trial, record, self.budget.spent() - began)
        self._tell(f"{self._ahead.in_words(self.budget)} {where['comparison']} {of} {where['cell']}: {ended}")
        return record

    def _run_once(self, trial: Trial, where: dict[str, Any], repeat: int) -> Record:
        record = run_trial(trial, suite=self._suite, repeat=repeat, errors=self.folder.path / "errors", **where)
        self.folder.append(record)
        return record
