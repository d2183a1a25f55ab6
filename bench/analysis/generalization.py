"""Large batches against the smallest: what the final score owes to the batch size, at equal steps, samples and seconds.

Each batch size has its own learning rate, searched at equal effort for the best validation score at the end of its
budget. At equal steps and at equal samples the score is that on test samples. At equal seconds it is read from the
curves, on validation samples: of the run at equal steps, at the time when that of the smallest batch was at its end. It
was tuned for a longer run than that, which is to be said beside it.
"""

from dataclasses import dataclass, field

import pandas as pd

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, in_order, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.scores import ScoreVerdict, grain_of, margin_of, no_finer, score_gap, score_verdict
from paceline.bench.analysis.statistics import ERROR, Interval, mean_interval, p_value
from paceline.bench.analysis.time_to_target import scored
from paceline.bench.records.record import Record

COMPARISON = "generalization"

# What is held equal; the first two are in the names of cells: "mnist5k-B256-steps".
HELD = ("steps", "samples", "seconds")


@dataclass(frozen=True)
class Large:
    """How a larger batch size came out against the smallest, at an equal budget.

    Attributes:
        workload: on which.
        batch_size: the larger one.
        held: what is equal: one of ``HELD``.
        cell: its trials; at equal seconds those at equal steps, which were cut off.
        better: how much better it scored, the mean of paired differences; negative where it is worse.
        verdict: on that: see ``scores.score_verdict``.
        p: the smallest error rate at which the verdict falls; 1 if undecided.
        converged: whether both had reached the target by then, in the median.
    """

    workload: str
    batch_size: int
    held: str
    cell: Cell
    better: Interval
    verdict: ScoreVerdict
    p: float = field(compare=False)
    converged: bool


@dataclass(frozen=True)
class Sizes:
    """What was measured on one workload.

    Attributes:
        workload: on which.
        smallest: the cell that all others are held against.
        larger: by rising batch size, then as in ``HELD``.
    """

    workload: str
    smallest: Cell
    larger: tuple[Large, ...]


def sizes(results: Results) -> list[Sizes]:
    """Return what was measured, by workload; none where the smallest batch size has nothing beside it."""
    found = []
    for workload, cells in by_workload(in_order(cells_of(results, COMPARISON), "batch_size")).items():
        smallest = next((cell for cell in cells if not name_of(cell).endswith(HELD)), None)
        if smallest is not None and len(cells) > 1:
            larger = [one for cell in cells if cell is not smallest for one in _against(results, cell, smallest)]
            larger.sort(key=lambda one: (one.batch_size, HELD.index(one.held)))
            found.append(Sizes(workload, smallest, tuple(larger)))
    return found


def _against(results: Results, cell: Cell, smallest: Cell) -> list[Large]:
    held, gap = name_of(cell).rpartition("-")[2], score_gap(results, cell, smallest)
    where = str(cell["workload"]), int(cell["batch_size"])
    found = [Large(*where, held, cell, gap.interval, gap.verdict, gap.p, gap.converged)]
    if held == "steps":
        found.append(_at_equal_seconds(results, cell, smallest))
    return found


def _at_equal_seconds(results: Results, cell: Cell, smallest: Cell) -> Large:
    """Return how ``cell`` stood, block by block, when the ``smallest`` was at its end; or that when it was itself."""
    by_block: list[dict[tuple[int, int], Record]] = [
        {(r.seed, r.block): r for r in results.records if _counts(r, each)} for each in (cell, smallest)
    ]
    rows = []
    for place in sorted(by_block[0].keys() & by_block[1].keys()):
        large, small = (_curve(records[place]) for records in by_block)
        if len(large) and len(small):
            until = min(large.index[-1], small.index[-1])
            rows.append((place[0], _last(large, until), _last(small, until)))
    record = next(iter(by_block[0].values()))
    known = pd.DataFrame(rows, columns=["seed", "large", "small"]).dropna()
    differences = (known["large"] - known["small"]).tolist()
    sign = 1 if record.higher_is_better else -1
    margin = margin_of(record.target + sign * float(known["small"].median()), record.higher_is_better)
    grain = grain_of(results, str(cell["workload"]))

    def interval(error: float) -> Interval:
        return no_finer(mean_interval(differences, known["seed"].tolist(), error), grain)

    def judged(error: float) -> ScoreVerdict:
        found = interval(error)
        return score_verdict(found.low, found.high, margin)

    converged = bool((known[["large", "small"]].median() >= 0).all())
    where = str(cell["workload"]), int(cell["batch_size"])
    return Large(*where, "seconds", cell, interval(ERROR), judged(ERROR), p_value(judged), converged)


def _counts(record: Record, cell: Cell) -> bool:
    return (record.comparison, record.cell, record.search) == (COMPARISON, cell["cell"], "")


def _curve(record: Record) -> "pd.Series[float]":
    """Return by how much the score was better than the target, by training seconds."""
    seconds, better = scored(record)
    return pd.Series(better, index=seconds)


def _last(better: "pd.Series[float]", until: float) -> float:
    known = better[better.index <= until]
    return float(known.iloc[-1]) if len(known) else float("nan")
