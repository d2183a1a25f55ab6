"""What more workers buy: ranks against one rank, and against one process with as many threads, in throughput."""

from dataclasses import dataclass, replace

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.statistics import Comparison


@dataclass(frozen=True)
class Scaling:
    """One layout of workers, in throughput.

    Attributes:
        kind: "threads" (one process, without communication), "one" (one rank), "strong" (the global batch is held)
            or "weak" (each rank's batch is held).
        cell: the measured cell.
        speedup: ranks' throughput over that of one rank; None for the others, and where ranks share cores.
        over_process: throughput over that of one process on one thread, or one GPU, which has no communication to
            pay for; None for that cell itself, where it was not measured, and where ranks share cores.
    """

    kind: str
    cell: Cell
    speedup: Comparison | None
    over_process: Comparison | None = None

    @property
    def efficiency(self) -> Comparison | None:
        """Speed-up over the number of ranks."""
        if self.speedup is None:
            return None
        ranks = self.cell["world_size"]
        value, low, high = (x / ranks for x in (self.speedup.ratio, self.speedup.low, self.speedup.high))
        return replace(self.speedup, ratio=value, low=low, high=high)

    @property
    def cost(self) -> Comparison | None:
        """Core-seconds (device-seconds) that a sample takes, over those of one process on one thread (one GPU)."""
        return None if self.over_process is None else cost(self.over_process, workers(self.cell))


def workers(cell: Cell) -> int:
    """Return how many cores a cell's trials take, or GPUs."""
    return int(cell["world_size"]) * (1 if cell["device"] == "cuda" else int(cell["threads"]))


def cost(speedup: Comparison, workers: float) -> Comparison:
    """Return what ``workers`` times the cores cost, in core-seconds a sample, where they give this speed-up."""
    # An end that is not bounded stays so.
    low, high = (workers / end if end else float("inf") for end in (speedup.high, speedup.low))
    return replace(speedup, ratio=workers / speedup.ratio, low=low, high=high, verdict="undecided")


def scalings(results: Results, workload: str | None = None) -> list[Scaling]:
    """Return the scaling measurements: one process on rising threads, then one rank, then by kind and ranks."""
    found = []
    for name, cells in by_workload(in_order(cells_of(results, "scaling"), "workload", "world_size", "threads")).items():
        ranks = [cell for cell in cells if cell["trainer"] != "MiniBatch"]
        base = next((cell for cell in ranks if cell["world_size"] == 1), None)
        if base is None or (workload is not None and name != workload):
            continue
        processes = [cell for cell in cells if cell["trainer"] == "MiniBatch"]
        process = next((cell for cell in processes if workers(cell) == 1), None)

        def over_process(cell: Cell, process: Cell | None = process) -> Comparison | None:
            if process is None or cell is process or cell["oversubscribed"]:
                return None
            return pair(results, cell, process, "samples_per_second").comparison

        found += [Scaling("threads", cell, None, over_process(cell)) for cell in processes]
        found.append(Scaling("one", base, None, over_process(base)))
        for kind in ("strong", "weak"):
            for cell in ranks:
                batch = base["batch_size"] * (1 if kind == "strong" else cell["world_size"])
                if cell["world_size"] > 1 and cell["batch_size"] == batch:
                    speedup = None
                    if not cell["oversubscribed"]:
                        speedup = pair(results, cell, base, "samples_per_second").comparison
                    found.append(Scaling(kind, cell, speedup, over_process(cell)))
    return found


def at_equal_cores(results: Results, found: list[Scaling]) -> list[tuple[Scaling, Scaling, Pair]]:
    """Return (ranks, the process with as many threads, throughput of those over this), by rising cores, from two on."""
    threads = {workers(each.cell): each for each in found if each.kind == "threads"}
    return [
        (each, same, pair(results, each.cell, same.cell, "samples_per_second"))
        for each in found
        if each.kind == "strong" and not each.cell["oversubscribed"] and (same := threads.get(workers(each.cell)))
    ]
