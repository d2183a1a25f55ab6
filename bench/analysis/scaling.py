"""Ranks against one rank: speed-up and efficiency, in throughput."""

from dataclasses import dataclass, replace

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import pair
from paceline.bench.analysis.statistics import Comparison


@dataclass(frozen=True)
class Scaling:
    """One number of ranks against one rank, in throughput.

    Attributes:
        kind: "one", "strong" (the global batch is held) or "weak" (each rank's batch is held).
        cell: the measured cell.
        speedup: throughput over that of one rank; None for one rank itself, and where ranks share cores.
    """

    kind: str
    cell: Cell
    speedup: Comparison | None

    @property
    def efficiency(self) -> Comparison | None:
        """Speed-up over the number of ranks."""
        if self.speedup is None:
            return None
        ranks = self.cell["world_size"]
        value, low, high = (x / ranks for x in (self.speedup.ratio, self.speedup.low, self.speedup.high))
        return replace(self.speedup, ratio=value, low=low, high=high)


def scalings(results: Results, workload: str | None = None) -> list[Scaling]:
    """Return the scaling measurements, those that begin a series first, then by kind and ranks."""
    found = []
    for name, cells in by_workload(in_order(cells_of(results, "scaling"), "workload", "world_size")).items():
        base = next((cell for cell in cells if cell["world_size"] == 1), None)
        if base is None or (workload is not None and name != workload):
            continue
        found.append(Scaling("one", base, None))
        for kind in ("strong", "weak"):
            for cell in cells:
                batch = base["batch_size"] * (1 if kind == "strong" else cell["world_size"])
                if cell["world_size"] > 1 and cell["batch_size"] == batch:
                    speedup = None
                    if not cell["oversubscribed"]:
                        speedup = pair(results, cell, base, "samples_per_second").comparison
                    found.append(Scaling(kind, cell, speedup))
    return found
