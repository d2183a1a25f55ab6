"""The learning rate of each trainer on each workload: a small search, the same effort for every trainer.

``learning_rates.csv`` beside this file holds every trial of the searches that were made, not their
winners: the best rate is computed from it. Rates are ranked by *samples* to target, which does not
depend on how fast or how busy the machine was.
"""

import csv
import itertools
import math
import operator
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from paceline.bench.harness.rate_search import Search, rate_of

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial
    from paceline.bench.records.record import Record
    from paceline.bench.workloads.workload import Workload
    from paceline.trainers.task import Trainer

BUILT_IN_RATES = Path(__file__).parents[1] / "workloads" / "learning_rates.csv"

# Half a decade apart; then as many more as ``harness.rate_search`` places around the best, or beyond it at an edge.
COARSE = tuple(10 ** (k / 2) for k in range(-5, 1))
REFINEMENTS = 2

# Far from the seeds 0, 1, 2, ... of the benchmarks: a rate is not judged on the seeds it was chosen on.
FIRST_SEED = 1000


@dataclass(frozen=True)
class TuningTrial:
    """One trial of a search.

    Attributes:
        workload, trainer, lr, seed, status: what was run, the trainer by its label, and how it ended.
        samples_to_target: infinite where the target was missed.
        validation_score: the last one; NaN where none was taken. Files made before there were test samples call it
            ``final_score``.
        train_seconds: of training; NaN in files made before it was recorded.
        wall_seconds: of the trial's process, from start to end; NaN likewise, and where the process died.
        settings: the trainer whose rate was searched, in full, with the rate it came with; "" is one of ours as it
            is built in, all that files made before this was recorded hold.
    """

    workload: str
    trainer: str
    lr: float
    seed: int
    status: str
    samples_to_target: float
    validation_score: float
    train_seconds: float = math.nan
    wall_seconds: float = math.nan
    settings: str = ""

    @property
    def of(self) -> tuple[str, str]:
        """Which search it belongs to: workload and ``identity`` of the trainer."""
        return self.workload, self.settings or self.trainer


def identity(trainer: "Trainer", built_in: Mapping[str, "Trainer"]) -> str:
    """Return what a search for a rate is known by: the name of a ``built_in`` trainer, all settings of any other."""
    name = type(trainer).__name__
    return name if trainer == built_in.get(name) else repr(trainer)


def search(
    workload: "Workload",
    trainer: "Trainer",
    make_trial: Callable[["Workload", "Trainer"], "Trial"],
    seeds: int,
    tell: Callable[[TuningTrial], None],
    settings: str = "",
) -> None:
    """Search as ``harness.rate_search`` does, and ``tell`` each trial, of ``settings``, as it ends."""
    from paceline.bench.harness.run import run_trial

    wanted = Search(make_trial(workload, trainer), COARSE, REFINEMENTS, seeds)
    tried: dict[Trainer, list[Record]] = {}
    for turn in range(1 + REFINEMENTS):
        for candidate in [wanted.following(tried)] if turn else wanted.first():
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                record = run_trial(replace(wanted.trial, trainer=candidate, seed=seed))
                tried.setdefault(candidate, []).append(record)
                scores = [score for score in record.curve["score"] if score is not None]
                tell(
                    TuningTrial(
                        workload.name,
                        record.trainer,
                        rate_of(candidate),
                        seed,
                        record.status,
                        record.curve["samples"][-1] if record.status == "reached" else math.inf,
                        scores[-1] if scores else math.nan,
                        (record.curve["seconds"] or [0.0])[-1],
                        math.nan if record.wall_seconds is None else record.wall_seconds,
                        settings,
                    )
                )


def best_rate(trials: Iterable[TuningTrial]) -> float | None:
    """Return the rate that missed the target least often and, among those, took the fewest samples on average.

    None where no rate ever reached the target: then the search has found nothing.
    """
    by_rate = defaultdict(list)
    for trial in trials:
        by_rate[trial.lr].append(trial.samples_to_target)
    reaching = {lr: samples for lr, samples in by_rate.items() if not all(map(math.isinf, samples))}

    def rank(lr: float) -> tuple[int, float]:
        hits = [samples for samples in reaching[lr] if math.isfinite(samples)]
        return len(reaching[lr]) - len(hits), statistics.fmean(hits)

    return min(reaching, key=rank, default=None)


def write(path: Path, command: str, trials: Iterable[TuningTrial]) -> None:
    """Add ``trials`` to ``path``, in place of those it had of the same searches."""
    new = list(trials)
    searched = {trial.of for trial in new}
    kept = [trial for trial in read(path) if trial.of not in searched] if path.exists() else []
    commands = [line for line in path.read_text().splitlines() if line.startswith("#")] if path.exists() else []
    with path.open("w", newline="") as file:
        file.writelines(f"{line}\n" for line in dict.fromkeys([*commands, f"# {command}"]))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(f.name for f in fields(TuningTrial))
        writer.writerows(astuple(trial) for trial in sorted(kept + new, key=lambda t: (*t.of, t.lr)))


def read(path: Path) -> list[TuningTrial]:
    """Return the trials in ``path``."""
    with path.open() as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [
            TuningTrial(
                row["workload"],
                row["trainer"],
                float(row["lr"]),
                int(row["seed"]),
                row["status"],
                float(row["samples_to_target"]),
                float(row.get("validation_score") or row["final_score"]),
                float(row.get("train_seconds", math.nan)),
                float(row.get("wall_seconds", math.nan)),
                row.get("settings", ""),
            )
            for row in rows
        ]


def best_rates(*paths: Path) -> dict[tuple[str, str], float]:
    """Return the best rate of each (workload, ``identity``) searched in ``paths``; a later path overrides."""
    rates: dict[tuple[str, str], float] = {}
    for path in paths:
        if path.exists():
            key = operator.attrgetter("of")
            for cell, trials in itertools.groupby(sorted(read(path), key=key), key=key):
                best = best_rate(trials)
                if best is not None:
                    rates[cell] = best
    return rates
