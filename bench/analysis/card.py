"""The card of a workload: one configuration to train with, and each decision in it against its alternatives.

Whoever decides fills it: the comparisons of a run (``card_of_run``), or a search that was verified.
"""

import math
from dataclasses import dataclass
from typing import Literal

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.power import seeds_wanted
from paceline.bench.analysis.statistics import Interval

Pays = Literal["no", "yes", "same", "undecided"]

NOT_MEASURED = Interval(math.nan, math.nan, math.nan, 0)

# In which rows stand.
ORDER = (
    "configuration",
    "strategy",
    "batch size",
    "learning rate",
    "optimizer",
    "precision",
    "workers",
    "compiling",
    "memory",
)


@dataclass(frozen=True)
class Alternative:
    """What could be had in place of what was chosen.

    Attributes:
        name: in words.
        takes: of the row's metric, over what was chosen: a ratio with its interval.
        pays: whether to take it instead.
        value: of the row's metric, of itself.
        note: what else bears on it.
        cell: whose trials say so; "" where it is not one.
    """

    name: str
    takes: Pair
    pays: Pays
    value: Interval = NOT_MEASURED
    note: str = ""
    cell: str = ""


@dataclass(frozen=True)
class Row:
    """One decision.

    Attributes:
        decision: "strategy", "batch size", "learning rate", "optimizer", "precision", "workers", "memory", ...
        chosen: in words.
        metric: of which less is better: a column of the trials.
        alternatives: all that were measured.
        evidence: the comparison that it rests on.
        value: of the metric, of what was chosen.
    """

    decision: str
    chosen: str
    metric: str
    alternatives: tuple[Alternative, ...]
    evidence: str
    value: Interval = NOT_MEASURED

    @property
    def any_of(self) -> tuple[str, ...]:
        """What was chosen, and all that is not resolved to be worse: any of these may be the best."""
        return (self.chosen, *(each.name for each in self.alternatives if each.pays in ("undecided", "same")))

    @property
    def seeds_wanted(self) -> float:
        """How many more seeds would settle all that seeds can settle of what is undecided; 0 if they cannot."""
        open_ = [
            one
            for one in (each.takes.comparison for each in self.alternatives if each.pays == "undecided")
            if one.low <= 1 <= one.high
        ]  # what is apart by itself, but not among so many, has no such number
        return max((wanted for one in open_ if math.isfinite(wanted := seeds_wanted(one))), default=0.0)


@dataclass(frozen=True)
class Use:
    """One configuration, and what it takes to the target.

    Attributes:
        python: the expression that constructs its trainer.
        workers: in words: "1 process on 2 threads".
        seconds: of training, to the target.
        memory: of all its processes at their peak, in bytes; on a GPU of that.
        reached: how many trials reached the target, of how many.
        chance: of its strategy to be the fastest of those compared, as a share; NaN if not known.
        regret: what its strategy is expected to cost over the fastest one, as a share; likewise.
        cell: whose trials say so; "" where they are all that trained with this trainer.
    """

    python: str
    workers: str
    seconds: Interval
    memory: Interval
    reached: tuple[int, int]
    chance: float = math.nan
    regret: float = math.nan
    cell: str = ""


@dataclass(frozen=True)
class Card:
    """One configuration for a workload, and its decisions.

    Attributes:
        workload: its name; "" where the rows are of several.
        target: the score at which training is done.
        use: None where no configuration reached the target in every trial.
        rows: a decision each.
        why_not: why there is no configuration; "" where there is one.
        sure, next: how sure that is, and the command to go on with, where whoever decided says so; else "".
    """

    workload: str
    target: float
    use: Use | None
    rows: tuple[Row, ...]
    why_not: str = ""
    sure: str = ""
    next: str = ""


def pays(verdict: str) -> Pays:
    """Return whether to take an alternative of which a comparison says that it is "slower", "less", ..."""
    found: dict[str, Pays] = {"slower": "no", "more": "no", "faster": "yes", "less": "yes", "equivalent": "same"}
    return found.get(verdict, "undecided")


def layout(cell: Cell) -> str:
    """Return "1 process on 2 threads", "2 ranks", "1 process on a GPU"."""
    ranks, threads, gpu = int(cell["world_size"]), int(cell["threads"]), cell["device"] == "cuda"
    if ranks > 1 or cell["trainer"] == "Ddp":
        return f"{ranks} rank{'s' * (ranks > 1)}" + (f" on {threads} threads each" if threads > 1 and not gpu else "")
    return "1 process on a GPU" if gpu else f"1 process on {threads} thread{'s' * (threads > 1)}"
