"""Whether the machine, or what is compared on it, changed over the blocks of a comparison.

Blocks in which all cells are slower alike cancel where cells are compared. What does not cancel is a cell that grows
slower while another does not: their ratio is then one of the hour at which it was taken.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from paceline.bench.analysis.anchor import Components, anchors, components, groups_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.statistics import Floats
from paceline.bench.records.anchors import ANCHOR

ERRORS = 0.05  # that one verdict of a family is false

REORDERINGS = 2000  # all of them up to 6 blocks


@dataclass(frozen=True)
class Drift:
    """What the blocks of a comparison tell of the machine.

    Attributes:
        environment: that the comparison ran in.
        comparison: which.
        workloads: that its cells are of.
        blocks: how many hold every cell.
        cells: how many were looked at, the anchor among them.
        spread: standard deviation over the blocks of how slow all cells were.
        change: log of how much slower the last block was than the first, by the line through all.
        uneven: chance of blocks that differ so, if the machine was the same in all.
        trend: chance of a line that steep, if the order of blocks meant nothing.
        apart: chance that cells change so differently over the blocks, if their order meant nothing.

    The three are NaN where there are too few blocks or cells. ``drifts`` corrects each for the number of comparisons.
    """

    environment: str
    comparison: str
    workloads: str
    blocks: int
    cells: int
    spread: float
    change: float
    uneven: float
    trend: float
    apart: float


def tables(results: Results, environment: str, comparison: str) -> dict[str, Floats]:
    """Return the logs of seconds per step [cells, blocks] of a comparison, with those of its anchor where there is one.

    Where runs were merged, cells may share no block with others: there is a table for each set of cells that do, by
    the names of their workloads. Blocks in which one of its cells is missing are left out.
    """
    trials = results.trials
    own = trials[(trials["comparison"] == comparison) & (trials["environment"] == environment)]
    own = own[(own["search"] == "") & (own["seconds_per_step"] > 0)]
    found = anchors(results)
    beside = found[~found["search"].astype(bool) & (found["comparison"] == comparison)]
    seconds = beside[beside["environment"] == environment].set_index("block")["seconds"]
    tables = {}
    for together in _sharing_blocks(own):
        wide = pd.DataFrame({cell: part.set_index("block")["seconds_per_step"] for cell, part in together.items()})
        # A cell that hardly ever ran would leave no block, and one that ran in half of them no more than that.
        counts = wide.count()
        wide = wide.drop(columns=counts.index[counts <= counts.max() / 2])
        if len(seconds):
            wide[ANCHOR] = seconds
        name = ", ".join(dict.fromkeys(str(part["workload"].iloc[0]) for part in together.values()))
        tables[name] = np.asarray(np.log(wide.dropna().to_numpy(float))).T
    return tables


def _sharing_blocks(trials: pd.DataFrame) -> list[dict[str, pd.DataFrame]]:
    """Return the trials of each cell, by its name, in sets of cells that share blocks, directly or by others."""
    sets: list[tuple[set[int], dict[str, pd.DataFrame]]] = []
    for cell, own in trials.groupby("cell", sort=False):
        blocks, together = set(own["block"]), {str(cell): own.drop_duplicates("block", keep="last")}
        for other in [other for other in sets if other[0] & blocks]:
            sets.remove(other)
            blocks, together = other[0] | blocks, other[1] | together
        sets.append((blocks, together))
    return [together for _, together in sets]


def _orders(blocks: int) -> npt.NDArray[np.int64]:
    """Return orders of ``blocks``: all of them, or random ones, of which the first is their own."""
    if math.factorial(blocks) <= REORDERINGS:
        return np.array(list(itertools.permutations(range(blocks))))
    random = np.random.default_rng(0)
    drawn = [random.permutation(blocks) for _ in range(REORDERINGS - 1)]
    return np.array([np.arange(blocks), *drawn])


def _chance(statistics: Floats) -> float:
    """Return how often one of ``statistics`` is as large as the first."""
    return float((statistics >= statistics[0] * (1 - 1e-9)).mean())


def _weights(logs: Floats) -> Floats:
    """Return weights [cells, 1] that give each cell's noise the same say, summing to 1; no order changes them."""
    centred = logs - logs.mean(axis=1, keepdims=True)
    weights = 1 / np.maximum((centred**2).mean(axis=1, keepdims=True), 1e-12)
    return np.asarray(weights / weights.sum())


def uneven(logs: Floats) -> float:
    """Return the chance that blocks differ as they do in ``logs`` [cells, blocks], if the machine was the same in all.

    The blocks of each cell could then stand in any order, whatever the noise of that cell is distributed like: what
    all cells have in common in a block is compared with what it is under other orders, drawn for each cell by itself.

    Source: E. J. G. Pitman 1938, Biometrika 29, 322-335 (the permutation test of a two-way layout).
    """
    cells, blocks = logs.shape
    if cells < 2 or blocks < 3:
        return math.nan
    centred = (logs - logs.mean(axis=1, keepdims=True)) * _weights(logs)
    random = np.random.default_rng(0)
    orders = random.permuted(np.tile(np.arange(blocks), (REORDERINGS, cells, 1)), axis=2)
    orders[0] = np.arange(blocks)
    common = centred[np.arange(cells)[:, np.newaxis], orders].sum(axis=1)  # [orders, blocks]
    return _chance((common**2).sum(axis=1))


def slopes(logs: Floats, orders: npt.NDArray[np.int64] | None = None) -> Floats:
    """Return how much each row of ``logs`` [..., blocks] rises from the first block to the last, by its line.

    With ``orders`` [orders, blocks], of the blocks in each of these orders: [orders, ...].
    """
    blocks = logs.shape[-1]
    place = np.arange(blocks) - (blocks - 1) / 2
    line = place * (blocks - 1) / (place**2).sum()
    reordered = logs if orders is None else np.moveaxis(logs[..., orders], -2, 0)
    return np.asarray(reordered @ line)


def trend(logs: Floats) -> float:
    """Return the chance of a line that steep through what all cells of ``logs`` [cells, blocks] have in common.

    Blocks that differ at random could stand in any order: below five blocks no line is steep enough to be told.
    """
    if logs.shape[1] < 5 or not len(logs):
        return math.nan
    common = ((logs - logs.mean(axis=1, keepdims=True)) * _weights(logs)).sum(axis=0)
    return _chance(np.abs(slopes(common, _orders(logs.shape[1]))))


def apart(logs: Floats) -> float:
    """Return the chance that the lines through cells differ as they do in ``logs`` [cells, blocks].

    What a whole block suffers is in all of them, and leaves their differences as they are.
    """
    cells, blocks = logs.shape
    if cells < 2 or blocks < 5:
        return math.nan
    free = logs - logs.mean(axis=1, keepdims=True)
    free = free - free.mean(axis=0)
    lines = slopes(free, _orders(blocks))  # [orders, cells]
    return _chance((lines**2 / np.maximum((free**2).mean(axis=1), 1e-12)).sum(axis=1))


def drifts(results: Results) -> list[Drift]:
    """Return what each comparison's blocks tell, in the order in which they ran.

    The chances of each of the three kinds are corrected for how many comparisons were looked at, so that in a run on
    a steady machine at most one of them in twenty calls anything.

    Source: S. Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70.
    """
    trials = results.trials[results.trials["search"] == ""]
    found = []
    for environment, comparison in dict.fromkeys(zip(trials["environment"], trials["comparison"], strict=True)):
        for workloads, logs in tables(results, str(environment), str(comparison)).items():
            if logs.size:
                common = logs.mean(axis=0)
                several = len(common) > 1
                spread, change = (float(common.std(ddof=1)), float(slopes(common))) if several else (math.nan, math.nan)
                found.append(
                    Drift(
                        str(environment), str(comparison), workloads, logs.shape[1], logs.shape[0],
                        spread, change, uneven(logs), trend(logs), apart(logs),
                    )
                )  # fmt: skip
    kinds = [holm(list(chances)) for chances in zip(*((d.uneven, d.trend, d.apart) for d in found), strict=True)]
    return [
        replace(drift, uneven=chances[0], trend=chances[1], apart=chances[2])
        for drift, chances in zip(found, zip(*kinds, strict=True), strict=True)
    ]


def holm(chances: list[float]) -> list[float]:
    """Return ``chances`` corrected for their number: each below 0.05 is a verdict, and none of them false in 95 %."""
    corrected = np.full(len(chances), np.nan)
    known = [i for i, chance in enumerate(chances) if not math.isnan(chance)]
    most = 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: chances[i])):
        most = max(most, min(1.0, (len(known) - rank) * chances[i]))
        corrected[i] = most
    return [float(chance) for chance in corrected]


def within_blocks(tables: Iterable[Floats]) -> float:
    """Return the variance within blocks: what is left of logs [cells, blocks] where cell and block are allowed for.

    NaN where no table has two cells and two blocks.
    """
    squares, freedom = 0.0, 0
    for logs in tables:
        if min(logs.shape) >= 2:
            left = logs - logs.mean(axis=1, keepdims=True) - logs.mean(axis=0) + logs.mean()
            squares += float((left**2).sum())
            freedom += (logs.shape[0] - 1) * (logs.shape[1] - 1)
    return squares / freedom if freedom else math.nan


def varies_by(results: Results, environment: str = "") -> Components:
    """Return what an anchor varies by within blocks, between blocks and between comparisons of one environment.

    Within blocks it is told by how far anchors and cells of one block fail to move together.
    """
    groups = {comparison: logs for (of, comparison), logs in groups_of(results).items() if of == environment}
    found = [logs for comparison in groups for logs in tables(results, environment, comparison).values()]
    return components(groups.values(), within_blocks(found))
