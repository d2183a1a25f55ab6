"""What the report shows of ``bench_batch_size.py``: throughput and memory over batch size."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from paceline.bench.analysis.best_of import shares_of_best
from paceline.bench.analysis.cells import Cell, cells_of, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.metrics import columns, median_of
from paceline.bench.report.plots import batch_size as plots
from paceline.bench.report.wording import number_of, percent, times

# A batch size saturates the machine when its throughput is within this share of the best.
SATURATED = 0.9


PLOTS = {"batch_size": plots.batch_size}


def table(results: Results) -> pd.DataFrame:
    """Return throughput and memory over batch size."""
    cells = in_order(cells_of(results, "batch_size"), "workload", "trainer", "batch_size")
    best: dict[tuple[str, str], float] = {}
    for cell in cells:
        key = cell["workload"], cell["trainer"]
        best[key] = np.fmax(best.get(key, np.nan), cell["samples_per_second"])
    return pd.DataFrame(
        [
            {
                "workload": cell["workload"],
                "strategy": cell["trainer"],
                "batch size": number_of(cell["batch_size"]),
                **columns(cell, "samples_per_second"),
                "of the best": percent(cell["samples_per_second"] / best[cell["workload"], cell["trainer"]]),
                **columns(cell, "seconds_per_step", "training_memory_bytes", "peak_rss_bytes"),
            }
            for cell in cells
        ]
    )


def decisions(results: Results) -> list[Decision]:
    """Return, for each sweep of batch sizes, the smallest that saturates throughput."""
    series: dict[tuple[str, str], list[Cell]] = {}
    for cell in in_order(cells_of(results, "batch_size"), "workload", "trainer", "batch_size"):
        if not math.isnan(cell["samples_per_second"]):
            series.setdefault((cell["workload"], cell["trainer"]), []).append(cell)
    rows = [
        _saturating(results, f"{workload}: batch size that saturates throughput ({trainer})", cells)
        for (workload, trainer), cells in series.items()
    ]
    constraint, benchmark = "batch size that saturates throughput", "bench_batch_size.py"
    if not rows and cells_of(results, "batch_size"):
        return [Decision(constraint, NOT_DECIDED, f"Every trial of {benchmark} ended without a result.")]
    return rows or not_run(constraint, benchmark)


def _saturating(results: Results, constraint: str, cells: list[Cell]) -> Decision:
    """Choose the smallest batch within ``SATURATED`` of the best throughput, if one can be told.

    The best of many was lucky too: shares are of the best of other seeds.
    """
    best = max(cells, key=lambda cell: float(cell["samples_per_second"]))
    top = f"Best at B={_b(best)}: {median_of(best, 'samples_per_second')}."
    smaller = [cell for cell in cells if cell["batch_size"] <= best["batch_size"]]
    of_best = shares_of_best(results, cells, "samples_per_second")
    shares = {_b(cell): share for cell, share in zip(cells, of_best, strict=True) if cell in smaller}
    shares[_b(best)] = replace(shares[_b(best)], ratio=1.0, low=1.0, high=1.0)
    fewest = min(share.n for share in shares.values())
    if fewest < 3:
        return Decision(constraint, NOT_DECIDED, f"No interval at n={fewest}: run at least 3 seeds. {top}")
    surely = next(cell for cell in smaller if shares[_b(cell)].low >= SATURATED)
    # What the upper end of an interval alone would allow is no recommendation: three seeds allow much.
    perhaps = next(cell for cell in smaller if shares[_b(cell)].ratio >= SATURATED)
    memory = f"adds {median_of(surely, 'training_memory_bytes')} of memory."
    gives = f"B={_b(surely)} gives {times(shares[_b(surely)])} that and {memory}"
    sentences = [top, f"It {memory}" if surely is best else gives]
    choice = f"B={_b(surely)}"
    if perhaps is not surely:
        choice = f"between B={_b(perhaps)} and B={_b(surely)}"
        known = f"B={_b(perhaps)} gives {times(shares[_b(perhaps)])} that throughput"
        sentences.append(f"{known}: whether it is {percent(SATURATED)} of it is not resolved.")
    allowed = [
        cell for cell in smaller if cell["batch_size"] < perhaps["batch_size"] and shares[_b(cell)].high >= SATURATED
    ]
    if allowed:
        least = shares[_b(allowed[0])]
        sentences.append(f"Not ruled out, though less in the mean, from B={_b(allowed[0])} on: {times(least)} that.")
    sentences.append(f"Throughput only: {_time_to_target(results, best)}.")
    return Decision(constraint, choice, " ".join(sentences))


def _time_to_target(results: Results, cell: Cell) -> str:
    """Return where to read how long the target takes at each batch size."""
    if any(swept["workload"] == cell["workload"] for swept in cells_of(results, "critical_batch")):
        return f'the time to the target is another matter: see "{cell["workload"]}: batch size fastest to target"'
    return "run bench_critical_batch.py for the samples and seconds that the target takes at each batch size"


def _b(cell: Cell) -> str:
    return number_of(cell["batch_size"])
