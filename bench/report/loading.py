"""What the report shows of ``bench_loading.py``: what workers bring, what they take, and how many are enough."""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.loading import Enough, Loaded, enough, loads
from paceline.bench.analysis.statistics import Interval
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.metrics import columns, median_in_words
from paceline.bench.report.plots import loading as plots
from paceline.bench.report.wording import MISSING, interval, listed, number_of, percent, ratio, times

PLOTS = {"loading": plots.loading}

BENCHMARK = "bench_loading.py"


def table(results: Results) -> pd.DataFrame:
    """Return throughput, waiting and memory over batch size and workers."""
    memory = SHOWN["family_bytes"]
    return pd.DataFrame(
        [
            {
                "workload": one.cell["workload"],
                "batch size": number_of(one.cell["batch_size"]),
                "workers": str(one.workers),
                **columns(one.cell, "samples_per_second"),
                "over no workers": MISSING if one.gain is None else ratio(one.gain),
                "of a step, waiting": _share(one.waiting),
                memory.heading: interval(one.memory, memory.unit, memory.scale),
                "note": f"oversubscribed: {one.workers} workers on {int(one.cell['cores'])} cores" * one.oversubscribed,
            }
            for one in loads(results)
        ]
    )


def _share(found: Interval) -> str:
    """Return "31 % [28, 34]"."""
    ends = "" if found.n < 3 else f" [{100 * max(0.0, found.low):.0f}, {100 * min(1.0, found.high):.0f}]"
    return percent(found.median) + ends


def decisions(results: Results) -> list[Decision]:
    """Return, for each workload and batch size, how many workers are enough."""
    return [_decision(found) for found in enough(results)] or not_run("how many loading workers", BENCHMARK)


def _decision(found: Enough) -> Decision:
    constraint = f"{found.workload}: how many loading workers at B={number_of(found.batch_size)}"
    fewest = found.fewest
    why = [f"{_workers(fewest)}: {median_in_words(fewest.cell, 'samples_per_second')}, {_waits(fewest)}."]
    for cell, versus in found.best.others:
        name = _named(cell["cell"])
        why.append(f"A step takes {times(versus)} as long with {name}: {versus.verdict}.")
    if found.shared:
        shared = listed(str(one.workers) for one in found.shared)
        why.append(f"{shared} workers share cores here (oversubscribed): not considered.")
    if fewest.cell["n"] < 3:
        return Decision(constraint, NOT_DECIDED, " ".join(["Run at least 3 seeds.", *why]))
    if found.beyond:
        others = listed((str(one.workers) for one in found.beyond), "or")
        return Decision(constraint, f"{NOT_DECIDED} between {fewest.workers} and {others}", " ".join(why))
    return Decision(constraint, _workers(fewest), " ".join(why))


def _workers(found: Loaded) -> str:
    return f"{found.workers} worker{'s' * (found.workers != 1)}"


def _named(cell: str) -> str:
    return cell.rpartition("-workers")[2].partition("-")[0]


def _waits(found: Loaded) -> str:
    return f"{percent(found.waiting.median)} of it waiting"
