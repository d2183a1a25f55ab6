"""What steps alone say of precision and of workers, on whatever they were timed: rows of a card."""

import math
from dataclasses import replace

from paceline.bench.analysis.card import Alternative, Pays, Row, layout
from paceline.bench.analysis.cells import cells_of
from paceline.bench.analysis.families import together
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.precision import precision_pairs
from paceline.bench.analysis.scaling import scalings, workers

STEP = "seconds_per_step"


def precisions(results: Results) -> list[Row]:
    """Return mixed precision against float32 over models and batch sizes, in seconds a step."""
    pairs = precision_pairs(results)
    speed = together([pair(results, amp, full, "samples_per_second") for amp, full in pairs])
    others = tuple(
        Alternative(f"{amp['dtype']}, {amp['workload']} B={amp['batch_size']:,.0f}", _over(one), _pays_by_speed(one))
        for (amp, _), one in zip(pairs, speed, strict=True)
    )
    return [Row("precision", str(pairs[0][1]["dtype"]), STEP, others, "precision")] if pairs else []


def layouts(results: Results) -> list[Row]:
    """Return, for each workload, the layout of workers that none is resolved to out-run, and all others."""
    rows = []
    for workload in dict.fromkeys(str(cell["workload"]) for cell in cells_of(results, "scaling")):
        own = [s.cell for s in scalings(results, workload) if s.kind != "weak" and not s.cell["oversubscribed"]]
        by_size = sorted(own, key=workers)  # stable: threads before ranks
        if len(by_size) < 2:
            continue
        chosen = by_size[0]
        for cell in by_size[1:]:
            chosen = cell if pair(results, cell, chosen, "samples_per_second").verdict == "more" else chosen
        rest = [cell for cell in by_size if cell is not chosen]
        speed = together([pair(results, cell, chosen, "samples_per_second") for cell in rest])
        others = tuple(
            Alternative(f"{layout(cell)}, {workload}", _over(one), _pays_by_speed(one))
            for cell, one in zip(rest, speed, strict=True)
        )
        rows.append(Row("workers", layout(chosen), STEP, others, "scaling"))
    return rows


def _over(speed: Pair) -> Pair:
    """Return a ratio of throughput as one of seconds."""
    one = speed.comparison
    low, high = (1 / end if end else math.inf for end in (one.high, one.low))
    return Pair(replace(one, ratio=1 / one.ratio, low=low, high=high))


def _pays_by_speed(speed: Pair) -> Pays:
    found: dict[str, Pays] = {"more": "yes", "less": "no", "equivalent": "same"}
    return found.get(speed.verdict, "undecided")
