"""The trials of an advised run: each kept in its folder at once, none run twice, all within the run's time."""

import json
from collections.abc import Callable
from dataclasses import replace

from paceline.bench.harness.budget import Budget
from paceline.bench.harness.run import definition, run_trial
from paceline.bench.harness.run_folder import RunFolder
from paceline.bench.harness.trial import Trial
from paceline.bench.records.environments import changed_code
from paceline.bench.records.quantities import last_known
from paceline.bench.records.record import DEFINITION, Record

# Of what a trial is told to do, how far it may go at most: a search may have run it further, or not so far.
ALLOWED = {"seconds_allowed", "steps_allowed"}


class AdvisedTrials:
    """Runs trials, unless the folder has them.

    Attributes:
        folder: of the run.
        budget: its wall seconds, and how long trials take.
    """

    def __init__(
        self,
        folder: RunFolder,
        budget: Budget,
        tell: Callable[[str], None],
        run: Callable[..., Record] = run_trial,
    ) -> None:
        """Begin with the records that ``folder`` has.

        Args:
            folder: where records are, and are added.
            budget: of the run.
            tell: takes a line for each trial.
            run: runs one.
        """
        self.folder, self.budget, self._begun = folder, budget, budget.spent()
        self._tell, self._run = tell, run
        self._held = {(r.comparison, r.cell, r.block): r for r in folder.records() if r.comparison.startswith("advise")}

    def of(self, comparison: str) -> list[Record]:
        """Return the records of ``comparison`` that there are, in the order in which they were first run."""
        return [record for (of, _, _), record in self._held.items() if of == comparison]

    def all(self) -> list[Record]:
        """Return all records that there are."""
        return list(self._held.values())

    def held(self, comparison: str, cell: str, block: int) -> Record | None:
        """Return the record of that comparison, cell and block; None if there is none."""
        return self._held.get((comparison, cell, block))

    def __contains__(self, place: tuple[str, str, int]) -> bool:
        """Return whether there is a record of that comparison, cell and block."""
        return place in self._held

    def ends(self, share: float) -> float:
        """Return at how many seconds of the budget that ``share`` of the time is over which there was for trials."""
        return self._begun + share * (self.budget.total - self._begun)

    def run(self, trial: Trial, comparison: str, cell: str, block: int, ends: float, position: int = 0) -> Record:
        """Return the record of ``trial``: that of the folder, if it says as much, else of running it now.

        Args:
            trial: what to run.
            comparison: "advise-timing", "advise-search" or "advise-verify".
            cell: the trial but for its seed.
            block: its number.
            ends: at how many seconds of the run's budget the trial is to end.
            position: within the block.

        Raises:
            RecordLostError: if the record cannot be written.
            ValueError: if the trial cannot be run as described; one line.
        """
        place = comparison, cell, block
        before = self._held.get(place)
        if before is not None and _tells(before, trial):
            return before
        began = self.budget.spent()
        limited = replace(trial, wall_seconds=max(0.1, ends - began))
        record = self._run(
            limited,
            comparison=comparison,
            cell=cell,
            block=block,
            position=position,
            repeat=0 if before is None else before.repeat + 1,
            errors=self.folder.path / "errors",
        )
        self.folder.append(record)
        self._held[place] = record
        self.budget.pace.observe(comparison, cell, trial, record, self.budget.spent() - began)
        left = max(0.0, self.budget.left())
        self._tell(f"{left:4.0f} s left  {comparison.removeprefix('advise-')} {cell}: {_outcome(record)}")
        return record


def _tells(record: Record, trial: Trial) -> bool:
    """Return whether ``record`` is of this very trial, and went as far as it is to go, or to an end."""
    now = json.loads(json.dumps(definition(trial)))  # as a record that was written and read
    if record.seed != trial.seed or changed_code(record.code, now["code"]):
        return False
    if any(getattr(record, name) != now[name] for name in DEFINITION if name not in ALLOWED):
        return False
    if record.status != "missed" or not trial.stop_at_target:
        return True
    if record.cut_short or not record.curve["step"]:
        return False
    seconds, steps = float(record.curve["seconds"][-1]), int(record.curve["step"][-1])
    return seconds >= trial.seconds or (trial.steps is not None and steps >= trial.steps)


def _outcome(record: Record) -> str:
    if not record.curve["step"]:
        return record.reason
    steps, seconds = record.curve["step"][-1], record.curve["seconds"][-1]
    if not record.stop_at_target:
        return f"{1000 * seconds / steps:.3g} ms a step"
    score = last_known(record, "score")
    of = f"in {steps:,} steps and {seconds:.3g} s"
    return f"target reached {of}" if record.status == "reached" else f"{record.status} {of}, score {score:.4g}"
