"""The cards that a run supports, from the comparisons in which trials raced to the target.

Nothing is chosen by a lower median: the best of the first comparison stays, until another is resolved to take less.
"""

import json
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from paceline.bench.analysis.anchor import across
from paceline.bench.analysis.best_of import BestOf, best_of
from paceline.bench.analysis.card import ORDER, Alternative, Card, Row, Use, layout, pays
from paceline.bench.analysis.card_of_advice import advice_in, card_of
from paceline.bench.analysis.cells import Cell, cells_of, in_order, name_of
from paceline.bench.analysis.configuration import python
from paceline.bench.analysis.families import together
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.rate_searches import Searched, searches
from paceline.bench.analysis.rate_sensitivity import unresolved
from paceline.bench.analysis.statistics import Comparison, Interval, Verdict, student
from paceline.bench.analysis.steps_alone import layouts, precisions
from paceline.bench.records.record import Record

# Comparisons of trials that raced to the target: a configuration is taken from the first, unless a later one beats it.
RACES = ("strategies", "critical_batch", "optimizers")

METRIC = "seconds_to_target"

# What each strategy decides that is mini-batch training in another guise; every other one is a strategy of its own.
AXES = {"Amp": "precision", "Ddp": "workers", "Compiled": "compiling"}
PLAIN = "MiniBatch"


@lru_cache(maxsize=32)  # by identity: a run does not change
def cards(results: Results) -> list[Card]:
    """Return a card for each workload that trained to its target, and one of what steps alone took, on any.

    Of an advised run it is the advice.
    """
    advice = advice_in(results.folder)
    if advice is not None:
        return [card_of(advice)]
    compared = [cell for name in RACES for cell in cells_of(results, name)]
    found = [_card(results, workload) for workload in dict.fromkeys(str(cell["workload"]) for cell in compared)]
    alone = precisions(results) + layouts(results)
    return found + ([Card("", math.nan, None, tuple(alone))] if alone else [])


def _card(results: Results, workload: str) -> Card:
    target = next(record.target for record in results.records if record.workload == workload)
    chosen, races = _chosen(results, workload)
    if chosen is None:
        return Card(workload, target, None, (), "no configuration reached the target in every trial")
    rows = [row for race in races for row in _rows_of(_beside(results, race, chosen)) if row.alternatives]
    rows += filter(None, (_rate(results, chosen), _memory(results, chosen)))
    use = _use(results, chosen, next((race for race in races if race.comparison == "strategies"), None))
    return Card(workload, target, use, tuple(sorted(rows, key=lambda row: ORDER.index(row.decision))))


@dataclass(frozen=True)
class _Race:
    """The best of a comparison on one workload, and every other cell: also those that missed the target."""

    comparison: str
    best: BestOf
    others: tuple[tuple[Cell, Alternative], ...]
    chosen: Cell | None = None  # what all are compared with in place of the best: it did not run here


def _race(results: Results, comparison: str, workload: str, kept: Cell | None) -> _Race | None:
    """Return who is the best: what was ``kept`` so far if it ran here too, unless another is resolved to beat it."""
    cells = [cell for cell in cells_of(results, comparison) if cell["workload"] == workload]
    eligible = in_order([cell for cell in cells if cell["n_reached"] == cell["n"] and cell[METRIC] > 0], METRIC)
    if not eligible:
        return None
    if kept is not None:
        eligible.sort(key=lambda cell: settings_of(results, cell) != settings_of(results, kept))  # stable
    found = best_of(results, eligible, METRIC)
    others = [
        (cell, Alternative(name_of(cell), price, pays(one.verdict), _value(cell, METRIC), cell=cell["cell"]))
        for (cell, one), price in zip(found.others, found.prices, strict=True)
    ]
    for cell in cells:
        if all(cell is not other for other in eligible):
            late = pair(results, cell, found.cell, METRIC)
            missed = f"reached the target in {cell['n_reached']} of {cell['n']} trials"
            others.append((cell, Alternative(name_of(cell), late, "no", _value(cell, METRIC), missed, cell["cell"])))
    return _Race(comparison, found, tuple(others))


def _chosen(results: Results, workload: str) -> tuple[Cell | None, list[_Race]]:
    """Return the best of the first race, unless that of another is resolved to be faster than it; and the races."""
    chosen: Cell | None = None
    races = []
    for comparison in RACES:
        race = _race(results, comparison, workload, chosen)
        if race is None:
            continue
        races.append(race)
        best = race.best.cell
        if chosen is None:
            chosen = best
        elif settings_of(results, best) != (kept := settings_of(results, chosen)):
            # It ran here and was beaten; or it did not run here, and is compared in units of anchors.
            ran = any(settings_of(results, cell) == kept for cell, _ in race.others)
            chosen = best if ran or across(results, best, chosen, METRIC).verdict == "faster" else chosen
    return chosen, races


def _record(results: Results, cell: Cell) -> Record:
    place = cell["comparison"], cell["cell"], cell["environment"]
    return next(r for r in results.records if (r.comparison, r.cell, r.environment) == place)


def settings_of(results: Results, cell: Cell) -> str:
    """Return all that was set for the trials of a cell: its trainer as Python first, then " | " and where it ran."""
    record = _record(results, cell)
    return f"{python(record.trainer, record.hyperparameters)} | {record.world_size} {record.threads} {record.device}"


def _beside(results: Results, race: _Race, chosen: Cell) -> _Race:
    """Return ``race``; where the chosen did not run in it, all that did are compared with it in units of anchors."""
    cells = [race.best.cell, *(cell for cell, _ in race.others)]
    if any(settings_of(results, cell) == settings_of(results, chosen) for cell in cells):
        return race
    missed = [cell["n_reached"] < cell["n"] for cell in cells]
    told = iter(
        together([Pair(across(results, c, chosen, METRIC)) for c, m in zip(cells, missed, strict=True) if not m])
    )
    never = Pair(Comparison(math.inf, math.nan, math.nan, "slower", 0))
    notes = ["", *(one.note for _, one in race.others)]
    others = []
    for cell, without, note in zip(cells, missed, notes, strict=True):
        one = never if without else next(told)
        others.append(
            (cell, Alternative(name_of(cell), one, pays(one.verdict), _value(cell, METRIC), note, cell["cell"]))
        )
    return replace(race, others=tuple(others), chosen=chosen)


def _rows_of(race: _Race) -> list[Row]:
    """Return the decisions that a race takes: strategies take several."""
    if race.comparison != "strategies":
        decision = "batch size" if race.comparison == "critical_batch" else "optimizer"
        others = [(_called(decision, cell), cell, one) for cell, one in race.others]
        if decision == "batch size":
            others.sort(key=lambda other: float(other[1]["batch_size"]))
        named = tuple(replace(one, name=name) for name, _, one in others)
        return [Row(decision, _called(decision, race.chosen or race.best.cell), METRIC, named, race.comparison)]
    best = race.best.cell
    rows: dict[str, list[Alternative]] = {"strategy": []}
    own = _axis(best)
    for cell, one in race.others:
        plain = cell["trainer"] == PLAIN and own != "strategy"
        decision = own if plain else _axis(cell)
        rows.setdefault(decision, []).append(replace(one, name=_called(decision, cell)))
    return [
        Row(
            decision,
            PLAIN if decision == "strategy" and own != "strategy" else _called(decision, best),
            METRIC,
            tuple(sorted(others, key=lambda one: one.takes.comparison.ratio)),
            race.comparison,
        )
        for decision, others in rows.items()
        if others
    ]


def _axis(cell: Cell) -> str:
    return AXES.get(str(cell["trainer"]), "strategy")


def _called(decision: str, cell: Cell) -> str:
    """Return what a cell stands for where this is decided: "bfloat16", "2 ranks (Ddp)", "64"."""
    if decision == "precision":
        return str(cell["dtype"]) if cell["dtype"] else name_of(cell)
    if decision == "workers":
        return layout(cell)
    if decision == "compiling":
        return "compiled" if cell["trainer"] == "Compiled" else "as it is written"
    return f"B={cell['batch_size']:,.0f}" if decision == "batch size" else name_of(cell)


def _value(cell: Cell, metric: str) -> Interval:
    middle, low, high = (float(cell[f"{metric}{end}"]) for end in ("", "_low", "_high"))
    return Interval(middle, low, high, int(cell[f"{metric}_n"]))


def _use(results: Results, chosen: Cell, strategies: _Race | None) -> Use:
    record, chance, regret = _record(results, chosen), math.nan, math.nan
    if strategies is not None:
        ranked = [strategies.best.cell, *(cell for cell, _ in strategies.best.others)]
        told = zip(ranked, strategies.best.chance, strategies.best.regret, strict=True)
        chance, regret = next(((c, r) for cell, c, r in told if cell["trainer"] == chosen["trainer"]), (chance, regret))
    return Use(
        python(record.trainer, record.hyperparameters),
        layout(chosen),
        _value(chosen, METRIC),
        _value(chosen, _limit(chosen)),
        (int(chosen["n_reached"]), int(chosen["n"])),
        chance,
        regret,
    )


def _limit(cell: Cell) -> str:
    """Return what a limit on memory is one of: whole processes, or the GPU, and not what training adds to them."""
    return "peak_rss_bytes" if cell["device"] == "cpu" else "peak_device_bytes"


def _memory(results: Results, chosen: Cell) -> Row | None:
    limit = _limit(chosen)
    cells = [c for c in cells_of(results, chosen["comparison"]) if c["workload"] == chosen["workload"]]
    others = [cell for cell in cells if cell["cell"] != chosen["cell"] and cell[limit] > 0]
    if not (chosen[limit] > 0 and others):
        return None
    pairs = together([pair(results, cell, chosen, limit) for cell in others])
    found = [
        Alternative(name_of(cell), one, pays(one.verdict), _value(cell, limit))
        for cell, one in zip(others, pairs, strict=True)
    ]
    ordered = tuple(sorted(found, key=lambda one: one.value.median))
    return Row("memory", name_of(chosen), limit, ordered, chosen["comparison"], _value(chosen, limit))


def _rate(results: Results, chosen: Cell) -> Row | None:
    """Return the rates that were tried for what was chosen, in samples to the target, which depend on no clock."""
    record = _record(results, chosen)
    optimizer = _but_its_rate(record.hyperparameters)
    for comparison in ("critical_batch", "optimizers", "tuning"):
        for found in searches(results, comparison, "samples_to_target"):
            place = found.trials["workload"], found.trials["trainer"], found.trials["batch_size"]
            one = _but_its_rate(json.loads(found.trials["hyperparameters"].iloc[0]))
            what = (*(column.iloc[0] for column in place), one)
            if what == (record.workload, record.trainer, chosen["batch_size"], optimizer):
                return _row_of(found, comparison, float(chosen["lr"]))
    return None


def _but_its_rate(hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """Return the optimizer's settings without the rate: SGD with momentum is another optimizer than SGD."""
    return {name: value for name, value in hyperparameters.get("optimizer", {}).items() if name != "lr"}


def _row_of(found: Searched, comparison: str, rate: float) -> Row | None:
    """Return what other rates take over ``rate`` where it was searched, else over the best that was."""
    tried = np.flatnonzero(np.isclose(found.rates, rate, rtol=0.02))  # rates are rounded to three digits
    base, kept = int(tried[0]) if len(tried) else found.best, set(unresolved(found).tolist())
    if found.failed[base].all():
        return None
    logs, n = np.log(found.chosen_by), len(found.seeds)
    others = []
    for i in sorted(range(len(found.rates)), key=lambda i: (abs(i - base), i))[1:5]:
        gaps = logs[i] - logs[base]
        low, high = (float(end) for end in np.exp(student(gaps))) if n >= 3 else (math.nan, math.nan)
        ratio = math.inf if found.failed[i].all() else float(np.exp(gaps.mean()))
        note = f"{found.failed[i].sum()} of {n} trials missed the target" if found.failed[i].any() else ""
        verdict: Verdict = "slower" if found.rates[i] not in kept and ratio > 1 else "undecided"
        one = Comparison(ratio, low, high, verdict, n)
        others.append((i, Alternative(f"rate {found.rates[i]:g}", Pair(one), pays(verdict), note=note)))
    if not others:
        return None
    alternatives = tuple(one for _, one in sorted(others, key=lambda other: other[0]))
    return Row("learning rate", f"rate {found.rates[base]:g}", "samples_to_target", alternatives, comparison)
