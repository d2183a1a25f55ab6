"""Everything that was tried on a workload, a configuration each: when it reached the target."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from paceline.bench.analysis import configuration
from paceline.bench.analysis.card import Card
from paceline.bench.analysis.card_of_advice import VERIFIED
from paceline.bench.analysis.card_of_run import METRIC, PLAIN, RACES, settings_of
from paceline.bench.analysis.cells import cells_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import Interval, median_interval

Role = Literal["chosen", "tie", "default", ""]

# What a trainer is that nobody has set: ``MiniBatch()``.
DEFAULT = f"{PLAIN}(optimizer=Sgd(lr=0.1), batch_size=64)"

# Of an advised run: what it verified, among it a cell of this name, and what it searched before.
ADVISED, DEFAULT_CELL = (VERIFIED, "advise-search"), "default"


@dataclass(frozen=True)
class Tried:
    """One configuration.

    Attributes:
        name: in the first comparison that ran it.
        python: the expression that constructs its trainer.
        seconds: to the target, the median there; infinite where half of the trials missed it.
        trials: seconds to the target of every trial of it, in whatever comparison; NaN for one that missed.
        searched: likewise of the trials that searched its learning rate, at other rates.
        role: what it is on the card.
    """

    name: str
    python: str
    seconds: Interval
    trials: tuple[float, ...]
    searched: tuple[float, ...]
    role: Role


def everything_tried(results: Results, card: Card) -> list[Tried]:
    """Return every configuration that raced to the target on a card's workload, soonest first; see ``RACES``.

    Of what an advised run searched only those that reached it: the others were given up once they took longer.
    """
    found: dict[str, list[tuple[str, str, Interval]]] = {}
    for comparison in (*RACES, *ADVISED):
        for cell in cells_of(results, comparison):
            if cell["workload"] == card.workload and (comparison != ADVISED[1] or cell["n_reached"]):
                median, low, high = (float(cell[f"{METRIC}{end}"]) for end in ("", "_low", "_high"))
                own = Interval(median, low, high, int(cell[f"{METRIC}_n"]))
                found.setdefault(settings_of(results, cell), []).append((comparison, str(cell["cell"]), own))
    tied = {one.cell for row in card.rows for one in row.alternatives if one.pays in ("undecided", "same")}
    rows = []
    for settings, cells in found.items():
        python, places = settings.partition(" | ")[0], [(comparison, cell) for comparison, cell, _ in cells]
        names, use = {cell for _, cell in places}, card.use
        default = python == DEFAULT or (VERIFIED, DEFAULT_CELL) in places
        role: Role = "tie" if tied & names else "default" if default else ""
        role = "chosen" if use is not None and (use.cell in names if use.cell else python == use.python) else role
        name = places[0][1].removeprefix(f"{card.workload}-")
        name = f"B{name.rpartition('-B')[2]}" if places[0][0] == VERIFIED and "-B" in name else name
        trials, searched = (_seconds(results, places, column) for column in ("cell", "search"))
        rows.append(Tried(name, python, cells[0][2], trials, searched, role))
    if all(one.python != DEFAULT and one.role != "default" for one in rows):
        rows += _default(results, card.workload)
    return sorted(rows, key=lambda one: (not one.seconds.median > 0, one.seconds.median))


def _default(results: Results, workload: str) -> list[Tried]:
    """Return the default where a search for a rate tried it, and nothing else did."""
    named = {record.trial for record in results.records
             if record.workload == workload and record.search
             and configuration.python(record.trainer, record.hyperparameters) == DEFAULT}  # fmt: skip
    trials = results.trials[results.trials["trial"].isin(named)]
    if trials.empty:
        return []
    found = median_interval(trials[METRIC].fillna(math.inf).tolist(), seeds=trials["seed"].tolist())
    return [Tried(f"default {PLAIN}()", DEFAULT, found, tuple(trials[METRIC].tolist()), (), "default")]


def _seconds(results: Results, places: Sequence[tuple[str, str]], column: str) -> tuple[float, ...]:
    """Return the seconds to target of the trials whose comparison and ``column`` are any of ``places``."""
    trials = results.trials
    trials = trials[(trials["search"] == "") == (column == "cell")]
    own = [trials[(trials["comparison"] == comparison) & (trials[column] == cell)] for comparison, cell in places]
    return tuple(float(second) for each in own for second in each[METRIC])
