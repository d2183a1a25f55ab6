"""Scales of the inputs: each at its own best rate, against standardized ones."""

from dataclasses import dataclass, replace

from paceline.bench.analysis.cells import Cell, cells_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.rate_searches import Searched, searches

COMPARISON = "inputs"

STANDARDIZED = "standardized"

SCALES = ("0-to-255", "0-to-1", STANDARDIZED)


@dataclass(frozen=True)
class Scale:
    """What training on inputs of one scale took.

    Attributes:
        name: one of ``SCALES``; where runs were merged, with the label of the environment: "0-to-1@2".
        cell: at its best rate.
        search: for that rate; None where no rate was tried with all seeds.
        against_standardized: samples to target over those of standardized inputs; None for those themselves.
    """

    name: str
    cell: Cell
    search: Searched | None
    against_standardized: Pair | None


def scales(results: Results) -> list[Scale]:
    """Return what was measured, from the widest scale to the standardized one."""
    cells = {(str(cell["environment"]), _scale(cell)): cell for cell in cells_of(results, COMPARISON)}
    # Trials are paired within a workload: these are of one, but for its scale.
    alike = replace(results, trials=results.trials.assign(workload="mnist5k"))
    tried = {one.search: one for one in searches(results, COMPARISON, "samples_to_target")}
    found = []
    for environment in dict.fromkeys(environment for environment, _ in cells):
        base = cells.get((environment, STANDARDIZED))
        for name in SCALES:
            cell = cells.get((environment, name))
            if cell is not None:
                other = base if name != STANDARDIZED else None
                against = None if other is None else pair(alike, cell, other, "samples_to_target")
                label = f"{name}@{environment}" if environment else name
                found.append(Scale(label, cell, tried.get(cell["cell"]), against))
    return found


def _scale(cell: Cell) -> str:
    """Return the scale in the name of a cell: "mnist5k-0-to-1@2" is "0-to-1"."""
    workload = str(cell["cell"]).partition("@")[0]
    return next((name for name in SCALES if workload.endswith(name)), workload)
