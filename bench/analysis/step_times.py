"""What a step takes, over batch sizes and ways to make it: from short timings to every size between them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from paceline.bench.records.over_ranks import total
from paceline.bench.records.quantities import or_nan, seconds_per_step
from paceline.bench.records.record import Record

# A way is clearly slower than another beyond this ratio; within the second it takes as long.
SLOWER, ALIKE = 1.25, 1.03


@dataclass(frozen=True)
class Timed:
    """One way to make a step, at one batch size.

    Attributes:
        seconds: of a step, the median over trials; NaN where none could make one.
        memory_bytes: the most that its processes took, all ranks together; on a GPU, there. NaN if not told.
        n: trials.
    """

    seconds: float
    memory_bytes: float
    n: int


@dataclass(frozen=True)
class Line:
    """What a step of B samples takes, as ``a + b B`` seconds.

    Attributes:
        a: seconds of a step whatever its size.
        b: seconds that a sample adds.
        error: the largest difference from what was timed, as a share of it.
        n: batch sizes that were timed.
    """

    a: float
    b: float
    error: float
    n: int


Times = Mapping[tuple[str, int], Timed]


def timed(records: Iterable[Record]) -> Timed:
    """Return what trials of one way and batch size say."""
    records = list(records)
    seconds = [value for value in map(seconds_per_step, records) if value > 0]
    memory = [value for value in map(memory_bytes, records) if value > 0]
    middle = float(np.median(seconds)) if seconds else math.nan
    return Timed(middle, max(memory, default=math.nan), len(records))


def memory_bytes(record: Record) -> float:
    """Return the most that a trial took: resident memory of all its processes; on a GPU, what they had there."""
    return total(record, "peak_device_bytes" if record.device == "cuda" else "peak_rss_bytes")


def compile_seconds(record: Record) -> float:
    """Return what compiling the model took before the first step."""
    return float(np.nan_to_num(or_nan(record.compile_seconds)))


def fastest(times: Times, batch_size: int) -> float:
    """Return the least that a step of that size takes, in any way that was timed there; infinite if none was."""
    known = [one.seconds for (_, size), one in times.items() if size == batch_size and one.seconds > 0]
    return min(known, default=math.inf)


def hopeless(times: Times, way: str, batch_size: int) -> bool:
    """Return whether there is no need to time ``way`` at that size: it was clearly slower at one below, and one above.

    What a way costs more is a step's, or a sample's: it does not come and go in between.
    """
    slow = [
        size for (of, size), one in times.items()
        if of == way and not one.seconds <= SLOWER * fastest(times, size)
    ]  # fmt: skip
    return any(size < batch_size for size in slow) and any(size > batch_size for size in slow)


def contends(times: Times, way: str, batch_size: int, within: float = 1.15) -> bool:
    """Return whether ``way`` may be the fastest at that size: whether to time it again."""
    one = times.get((way, batch_size))
    return one is not None and one.seconds <= within * fastest(times, batch_size)


def seconds_at(times: Times, way: str, batch_size: int) -> float:
    """Return what a step takes in that way: as timed, or on the straight line between two sizes that were.

    Beyond them at most what it may: a smaller batch takes no longer than one that was timed, a larger one no more a
    sample. Infinite where the way was not timed.
    """
    return _between(times, way, batch_size, "seconds")


def memory_at(times: Times, way: str, batch_size: int) -> float:
    """Return the memory of that way in bytes, likewise; infinite where it is not known at any size."""
    return _between(times, way, batch_size, "memory_bytes")


def _between(times: Times, way: str, batch_size: int, what: str) -> float:
    found = sorted((size, float(getattr(one, what))) for (of, size), one in times.items() if of == way)
    known = [(size, value) for size, value in found if value > 0]
    if not known:
        return math.inf
    x, y = (np.array(column, float) for column in zip(*known, strict=True))
    return float(np.interp(batch_size, x, y)) * max(1.0, batch_size / float(x[-1]))


def line(sizes: Sequence[float], seconds: Sequence[float]) -> Line | None:
    """Return the line through what steps take, by least squares of relative differences; None of fewer than two.

    Neither part is below 0.
    """
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    if len(x) < 2:
        return None
    (a, b), _ = nnls(np.column_stack([1 / y, x / y]), np.ones(len(x)))
    return Line(float(a), float(b), float(np.abs((a + b * x) / y - 1).max()), len(x))


def line_of(times: Times, way: str) -> Line | None:
    """Return the line of one way."""
    known = [(size, one.seconds) for (of, size), one in times.items() if of == way and one.seconds > 0]
    return line(*zip(*known, strict=True)) if len(known) > 1 else None
