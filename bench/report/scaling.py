"""What the report shows of ``bench_scaling.py``: what more ranks buy."""

import pandas as pd

from paceline.bench.analysis.cells import by_workload, cells_of, find, in_order, strategy_pairs
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.scaling import Scaling, scalings
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.equivalence import no_equal, reservations
from paceline.bench.report.judging import Judged, Point, over_sweep, provisos, takes_more, where
from paceline.bench.report.metrics import columns, median_of
from paceline.bench.report.plots import scaling as plots
from paceline.bench.report.wording import MISSING, listed, number_of, ratio, times

PLOTS = {"scaling": plots.scaling}


def table(results: Results) -> pd.DataFrame:
    """Return speed-up and efficiency over ranks; more ranks than cores are marked and given neither."""
    rows = []
    for found in scalings(results):
        cell, over = found.cell, found.cell["oversubscribed"]
        wanted = int(cell["world_size"] * cell["threads"])
        notes = [
            {"one": "where both begin"}.get(found.kind, ""),
            f"oversubscribed: {wanted} threads on {int(cell['cores'])} cores" if over else "",
            no_equal(results, cell),
        ]
        rows.append(
            {
                "workload": cell["workload"],
                "scaling": {"one": MISSING}.get(found.kind, found.kind),
                "ranks x threads": f"{cell['world_size']} x {cell['threads']}",
                "batch size": number_of(cell["batch_size"]),
                **columns(cell, "seconds_per_step", "samples_per_second"),
                "speed-up": ratio(found.speedup) if found.speedup else MISSING,
                "efficiency": ratio(found.efficiency) if found.efficiency else MISSING,
                "training memory, all ranks": median_of(cell, "training_memory_bytes"),
                "note": "; ".join(filter(None, notes)),
            }
        )
    return pd.DataFrame(rows)


def decisions(results: Results) -> list[Decision]:
    """Return, for each workload, how many workers to take."""
    rows = [_workers(results, workload) for workload in by_workload(in_order(cells_of(results, "scaling"), "workload"))]
    return rows or not_run("how many workers", "bench_scaling.py")


def _workers(results: Results, workload: str) -> Decision:
    """Add ranks as long as each addition is resolved to pay."""
    constraint = f"{workload}: how many workers"
    found = scalings(results, workload)
    if not found:
        return Decision(constraint, "not measured", "not measured: no trial on one rank to compare with")
    ranks = [s for s in found if s.kind in ("one", "strong") and not s.cell["oversubscribed"]]
    shared = sorted({int(s.cell["world_size"]) for s in found if s.cell["oversubscribed"]})
    aside = ""
    if shared:
        aside = f" {listed(map(str, shared))} ranks share cores here (oversubscribed): not considered."
    if len(ranks) == 1:
        why = f"No more than one rank was measured that has cores of its own.{aside}"
        return Decision(constraint, NOT_DECIDED, why)
    chosen, verdict, sentences = ranks[0], "", []
    for more in ranks[1:]:
        gain = pair(results, more.cell, chosen.cell, "samples_per_second")
        verdict = gain.verdict
        sentences.append(_step_up(chosen, more, gain))
        if verdict != "more":
            break
        chosen = more
    if verdict == "undecided":
        up_to = next(s for s in ranks if s.cell["world_size"] > chosen.cell["world_size"])
        choice = f"{NOT_DECIDED} between {_ranks(chosen)} and {_ranks(up_to)}"
    else:
        choice = _ranks(chosen)
    weak = [s for s in found if s.kind == "weak" and s.efficiency is not None]
    sentences += [
        f"With each rank's batch held, {_ranks(s)} keep {times(s.efficiency)} one rank's throughput each."
        for s in weak
        if s.efficiency is not None
    ]
    beware = reservations(results, *(s.cell for s in (*ranks, *weak)))
    why = " ".join([*sentences, *_against_threads(results)]) + aside
    return Decision(constraint, choice, f"{beware} {why}".strip())


def _against_threads(results: Results) -> list[str]:
    """Return what ranks cost or save against threads, where both trained to the target on the same cores."""
    found = []
    for workload, cells in by_workload(in_order(cells_of(results, "strategies"), "workload")).items():
        ddp, mini = find(cells, "Ddp"), find(cells, "MiniBatch")
        if ddp is not None and mini is not None:
            seconds = pair(results, ddp, mini, "seconds_to_target")
            found.append(
                f"On the same cores, Ddp's ranks take {times(seconds)} the seconds of MiniBatch's threads to the "
                f"target of {workload}. {reservations(results, ddp, mini)}".strip()
            )
    return found


def _step_up(fewer: Scaling, more: Scaling, gain: Pair) -> str:
    ends = {"more": "it pays", "less": "it costs", "equivalent": "it buys nothing"}
    end = ends.get(gain.verdict, "whether it pays is not resolved")
    return (
        f"From {_ranks(fewer)} to {_ranks(more)} at B={number_of(more.cell['batch_size'])} the throughput becomes "
        f"{times(gain)} what it was: {end}."
    )


def _ranks(found: Scaling) -> str:
    count = int(found.cell["world_size"])
    return f"{count} rank{'s' if count > 1 else ''}"


def more_workers_are_faster(results: Results) -> Judged:
    """Judge the claim by throughput at the same batch, ranks with cores of their own against one."""
    measured = [found for found in scalings(results) if found.kind != "weak" and not found.cell["oversubscribed"]]
    points = [
        Point(
            f"{where(found.cell)} on {found.cell['world_size']} ranks",
            takes_more(found.speedup),
            f"speed-up {ratio(found.speedup)}",
        )
        for found in measured
        if found.speedup is not None
    ]
    shared = any(cell["oversubscribed"] for cell in cells_of(results, "scaling"))
    measure = "Throughput against one rank at the same batch, which takes the same steps: the hardware's part"
    if shared:
        measure += "; more ranks than cores are left out"
    needs = "bench_scaling.py on a machine with room for more than one rank"
    beware = reservations(results, *(found.cell for found in measured))
    verdict, why = over_sweep(points, "the number of ranks", measure, needs, beware)
    statistical = [
        f"On {workload} at equal cores and batch, ranks take "
        f"{times(pair(results, ddp, mini, 'samples_to_target'))} the samples of one process and "
        f"{times(pair(results, ddp, mini, 'seconds_to_target'))} its seconds to target, each at the learning "
        f"rate found for it.{provisos(results, ddp, mini)}"
        for workload, ddp, mini in strategy_pairs(results, "Ddp", "MiniBatch")
        if ddp["batch_size"] == mini["batch_size"]
    ]
    return verdict, " ".join([why, *statistical])
