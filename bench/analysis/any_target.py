"""Time to any target up to the run's own, from the curves that were stored: who is first may turn on it."""

from dataclasses import dataclass

import numpy as np

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import Floats, Interval, median_interval
from paceline.bench.analysis.time_to_target import scored
from paceline.bench.records.record import Record

TARGETS, DRAWS = 25, 2000

# The lowest target, as a share of the way from the first scores to the run's target: before it, curves say little.
LOWEST = 0.5


@dataclass(frozen=True)
class AnyTarget:
    """When the strategies of one workload first reached each of several targets.

    Attributes:
        workload: its name.
        targets: scores, up to the run's target, the easiest first.
        strategies: the names of the cells.
        seconds: of training, [strategies][targets]: the median with its interval; infinite where half of the trials
            did not get there.
        reached: [strategies][targets], the share of trials that got there.
        chance: [strategies, targets], the share of resampled blocks in which it has the least median: the probability
            that it is the best, as far as the blocks tell; it may sum to less than 1, where none gets there.
    """

    workload: str
    targets: Floats
    strategies: tuple[str, ...]
    seconds: tuple[tuple[Interval, ...], ...]
    reached: Floats
    chance: Floats


def any_targets(results: Results) -> list[AnyTarget]:
    """Return the time to any target of the strategies on each workload on which they raced to one."""
    own = [r for r in results.records if r.comparison == "strategies" and not r.search and r.score_along]
    return [
        found
        for workload in dict.fromkeys(record.workload for record in own)
        if (found := _of_workload([record for record in own if record.workload == workload])) is not None
    ]


def _of_workload(records: list[Record]) -> AnyTarget | None:
    workload, target = records[0].workload, records[0].target
    paths = {(r.cell, r.block): scored(r) for r in records}
    first = [better[0] for _, better in paths.values() if len(better)]
    start = float(np.median(first)) if first else 0.0
    if not start < 0:  # the very first scores are at the target: there is nothing on the way to it
        return None
    short = np.linspace((1 - LOWEST) * start, 0.0, TARGETS)  # by how much a score may miss the run's target
    cells, blocks = sorted({r.cell for r in records}), sorted({r.block for r in records})
    times = np.full((len(cells), len(blocks), TARGETS), np.inf)
    for (cell, block), (seconds, better) in paths.items():
        for k, miss in enumerate(short):
            hits = np.flatnonzero(better >= miss)
            if len(hits):
                times[cells.index(cell), blocks.index(block), k] = seconds[hits[0]]
    intervals = tuple(tuple(median_interval(own[:, k].tolist()) for k in range(TARGETS)) for own in times)
    sign = 1 if records[0].higher_is_better else -1
    return AnyTarget(
        workload,
        target + sign * short,
        tuple(cell.removeprefix(f"{workload}-") for cell in cells),
        intervals,
        np.isfinite(times).mean(axis=1),
        chances(times),
    )


def chances(times: Floats) -> Floats:
    """Return the share of resampled blocks in which each cell has the least median, [cells, targets].

    Args:
        times: [cells, blocks, targets], infinite where a trial did not get there.

    Source: B. Efron 1979, Annals of Statistics 7 (the bootstrap), by blocks: what they share stays shared.
    """
    random, (cells, blocks, targets) = np.random.default_rng(0), times.shape
    wins = np.zeros((cells, targets))
    for _ in range(DRAWS):
        medians = np.median(times[:, random.integers(0, blocks, blocks)], axis=1)
        least = medians.min(axis=0)
        first = (medians == least) & np.isfinite(least)
        wins += first / np.maximum(first.sum(axis=0), 1)
    return wins / DRAWS
