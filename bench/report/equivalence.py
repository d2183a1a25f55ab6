"""Whether each strategy solves mini-batch training's problem, and the marks on those that do not."""

import pandas as pd

from paceline.bench.analysis.cells import Cell, name_of
from paceline.bench.analysis.frames import Results, not_equivalent
from paceline.bench.report.contention import touched
from paceline.bench.report.wording import MISSING, number


def table(results: Results) -> pd.DataFrame:
    """Return whether each strategy solves mini-batch training's problem on each workload, and what bears on it."""
    return pd.DataFrame(
        [
            {
                "workload": found["workload"],
                "strategy": found["trainer"],
                "ranks": str(found["world_size"]),
                "same gradients": "yes" if found["passed"] else f"no: {found['reason']}",
                "largest difference": MISSING if found["gap"] is None else number(found["gap"]),
                "rounding allows": MISSING
                if found["bound"] is None
                else f"{number(found['bound'])} ({found['dtype']})",
                "found": "; ".join(found["notes"]) or MISSING,
            }
            for found in results.equivalence
        ]
    )


def marked(results: Results, cell: Cell) -> str:
    """Return a cell's name, and why it is no equal of the others where the check before the comparison says so."""
    why = no_equal(results, cell)
    return f"{name_of(cell)} ({why})" if why else name_of(cell)


def no_equal(results: Results, cell: Cell) -> str:
    """Return why the check before the comparison found a cell to be no equal of the others; or ""."""
    return not_equivalent(results).get((cell["workload"], cell["trainer"], cell["world_size"]), "")


def reservations(results: Results, *cells: Cell) -> str:
    """Return what speaks against a plain reading of ``cells``; or "".

    A sentence for each strategy that is no equal of the others, which says why; and which count contaminated trials.
    """
    said = dict.fromkeys((_called(cell), no_equal(results, cell)) for cell in cells)
    sentences = [f"Beware: {name} {why}." for name, why in said if why]
    return " ".join(filter(None, [*sentences, touched(results, *cells)]))


def _called(cell: Cell) -> str:
    """Return what a strategy is called: in a sweep of one, over batch sizes or ranks, not by the name of each cell."""
    if cell["comparison"] == "strategies":
        return name_of(cell)
    ranks = f" with {cell['world_size']} ranks" if cell["world_size"] > 1 else ""
    return f"{cell['trainer']} on {cell['workload']}{ranks}"
