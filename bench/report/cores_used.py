"""On what two cells ran: the same cores, or 8 GPUs against 1, and what that costs in core-seconds."""

from dataclasses import replace

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.scaling import workers
from paceline.bench.report.wording import times


def worker(cell: Cell) -> str:
    """Return what a cell's trials take so and so many of: "core" or "GPU"."""
    return "GPU" if cell["device"] == "cuda" else "core"


def footing(a: Cell, b: Cell) -> str:
    """Return on what ``a`` and ``b`` run: "On the same 2 cores", "On 8 GPUs against 1"."""
    count, other, what = workers(a), workers(b), worker(a)
    same = f"On the same {count} {what}s" if count > 1 else f"On the same {what}"
    return same if count == other else f"On {count} {what}{'s' * (count > 1)} against {other}"


def in_worker_seconds(seconds: Pair, a: Cell, b: Cell) -> Pair:
    """Return a ratio of seconds of ``a`` to ``b`` as one of core-seconds, or GPU-seconds."""
    found, more = seconds.comparison, workers(a) / workers(b)
    return replace(
        seconds, comparison=replace(found, ratio=more * found.ratio, low=more * found.low, high=more * found.high)
    )


def paid_for(seconds: Pair, a: Cell, b: Cell) -> str:
    """Return what a ratio of seconds is in core-seconds, or GPU-seconds; "" where both run on the same number."""
    if workers(a) == workers(b) or not seconds.comparison.n:
        return ""
    return f", {times(in_worker_seconds(seconds, a, b))} the {worker(a)}-seconds"
