"""Cells of a comparison: which there are, with their medians, and how to find one among them."""

from collections.abc import Iterable, Mapping
from typing import Any

from paceline.bench.analysis.frames import Results, summary

Cell = Mapping[str, Any]  # a row of ``analysis.frames.summary``


def cells_of(results: Results, comparison: str) -> list[dict[str, Any]]:
    """Return the cells of one comparison with their medians, in the order in which they first ran."""
    trials = results.trials[(results.trials["comparison"] == comparison) & (results.trials["search"] == "")]
    if trials.empty:
        return []
    key = ["comparison", "cell", "environment"]
    facts = trials[[*key, "parameters", "cores"]].groupby(key, as_index=False).first()
    rows = summary(trials).merge(facts, on=key).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def by_workload(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Return ``cells`` by the name of their workload."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell["workload"], []).append(cell)
    return found


def name_of(cell: Cell) -> str:
    """Return what a cell is called within its workload: "MiniBatch", "MiniBatch-B64"."""
    return str(cell["cell"]).removeprefix(f"{cell['workload']}-")


def in_order(cells: Iterable[Cell], *columns: str) -> list[Cell]:
    """Return ``cells`` sorted by ``columns``; blocks run them in random order."""
    return sorted(cells, key=lambda cell: tuple(cell[column] for column in columns))


def find(cells: Iterable[Cell], name: str) -> Cell | None:
    """Return the cell of that name, if it was measured."""
    return next((cell for cell in cells if name_of(cell) == name), None)


def strategy_pairs(results: Results, a: str, b: str) -> list[tuple[str, Cell, Cell]]:
    """Return (workload, cell of strategy a, cell of strategy b) wherever both were measured."""
    found = []
    cells_in_order = in_order(cells_of(results, "strategies"), "workload", "cell")
    for workload, cells in by_workload(cells_in_order).items():
        first, second = find(cells, a), find(cells, b)
        if first is not None and second is not None:
            found.append((workload, first, second))
    return found
