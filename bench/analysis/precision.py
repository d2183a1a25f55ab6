"""Mixed precision against float32: the pairs of cells that differ in nothing else."""

from paceline.bench.analysis.cells import Cell, cells_of, in_order
from paceline.bench.analysis.frames import Results


def precision_pairs(results: Results) -> list[tuple[Cell, Cell]]:
    """Return (autocast, float32) cells that differ in nothing else, by size of the model, then batch size."""
    found: dict[tuple[str, float], dict[str, Cell]] = {}
    for cell in in_order(cells_of(results, "precision"), "parameters", "workload", "batch_size"):
        found.setdefault((cell["workload"], cell["batch_size"]), {})[cell["trainer"]] = cell
    complete = [cells for cells in found.values() if {"Amp", "MiniBatch"} <= set(cells)]
    return [(cells["Amp"], cells["MiniBatch"]) for cells in complete]
