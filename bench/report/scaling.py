"""What the report shows of ``bench_scaling.py``: what more workers buy, as ranks and as threads."""

import pandas as pd

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, in_order, strategy_pairs
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.run_costs import search_of
from paceline.bench.analysis.scaling import Scaling, at_equal_cores, cost, scalings, workers
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.cores_used import footing, paid_for, worker
from paceline.bench.report.equivalence import no_equal, reservations
from paceline.bench.report.judging import Judged, Point, over_sweep, provisos, takes_less, takes_more, where
from paceline.bench.report.metrics import columns, median_of
from paceline.bench.report.plots import scaling as plots
from paceline.bench.report.wording import MISSING, listed, number_of, ratio, times

PLOTS = {"scaling": plots.scaling}


def table(results: Results) -> pd.DataFrame:
    """Return speed-up, efficiency and cost over ranks and threads; more than there are cores get none of them."""
    rows = []
    for found in scalings(results):
        cell, over = found.cell, found.cell["oversubscribed"]
        notes = [
            {"threads": "one process, no communication", "one": "where ranks begin"}.get(found.kind, ""),
            f"oversubscribed: {workers(cell)} threads on {int(cell['cores'])} cores" if over else "",
            no_equal(results, cell),
        ]
        rows.append(
            {
                "workload": cell["workload"],
                "scaling": {"one": MISSING, "threads": MISSING}.get(found.kind, found.kind),
                "ranks x threads": f"{cell['world_size']} x {cell['threads']}",
                "batch size": number_of(cell["batch_size"]),
                **columns(cell, "seconds_per_step", "samples_per_second"),
                "speed-up over 1 rank": ratio(found.speedup) if found.speedup else MISSING,
                "efficiency": ratio(found.efficiency) if found.efficiency else MISSING,
                f"over 1 process on 1 {worker(cell)}": ratio(found.over_process) if found.over_process else MISSING,
                f"{worker(cell)}-seconds a sample, over its": ratio(found.cost) if found.cost else MISSING,
                "training memory, all ranks": median_of(cell, "training_memory_bytes"),
                "note": "; ".join(filter(None, notes)),
            }
        )
    return pd.DataFrame(rows).fillna(MISSING)


def decisions(results: Results) -> list[Decision]:
    """Return, for each workload, how many workers to take, and of which kind."""
    rows = [_workers(results, workload) for workload in by_workload(in_order(cells_of(results, "scaling"), "workload"))]
    return rows or not_run("how many workers", "bench_scaling.py")


def _workers(results: Results, workload: str) -> Decision:
    """Choose among the layouts of each number of cores, and add cores as long as each addition is resolved to pay."""
    constraint = f"{workload}: how many workers"
    found = scalings(results, workload)
    if not found:
        return Decision(constraint, "not measured", "not measured: no trial on one rank to compare with")
    own = [s for s in found if s.kind != "weak" and not s.cell["oversubscribed"]]
    shared = sorted({int(s.cell["world_size"]) for s in found if s.cell["oversubscribed"]})
    aside = ""
    if shared:
        aside = f" {listed(map(str, shared))} ranks share cores here (oversubscribed): not considered."
    if all(workers(s.cell) == 1 for s in own):
        why = f"No more than one rank, or thread, was measured that has cores of its own.{aside}"
        return Decision(constraint, NOT_DECIDED, why)
    choice, sentences = _choose(results, own)
    weak = [s for s in found if s.kind == "weak" and s.efficiency is not None]
    sentences += [
        f"With each rank's batch held, {_layout(s)} keep {times(s.efficiency)} one rank's throughput each."
        for s in weak
        if s.efficiency is not None
    ]
    beware = reservations(results, *(s.cell for s in (*own, *weak)))
    why = " ".join([*sentences, *_against_threads(results)]) + aside
    return Decision(constraint, choice, f"{beware} {why}".strip())


def _choose(results: Results, own: list[Scaling]) -> tuple[str, list[str]]:
    levels: dict[int, list[Scaling]] = {}
    for layout in own:  # the process on threads comes first
        levels.setdefault(workers(layout.cell), []).append(layout)
    equal = {workers(ranks.cell): (ranks, threads, versus) for ranks, threads, versus in at_equal_cores(results, own)}
    chosen, also, sentences = levels[min(levels)][0], "", []
    for cores in sorted(levels)[1:]:
        best, tied = levels[cores][0], ""
        if cores in equal:
            ranks, threads, versus = equal[cores]
            sentences.append(f"On {cores} cores, {_layout(ranks)} have {times(versus)} the throughput of "
                             f"{_layout(threads)}.")  # fmt: skip
            best = ranks if versus.verdict == "more" else threads
            tied = f" or {_layout(ranks)}" if versus.verdict in ("undecided", "equivalent") else ""
        gain = pair(results, best.cell, chosen.cell, "samples_per_second")
        sentences.append(_step_up(chosen, best, gain))
        if gain.verdict == "undecided":
            return f"{NOT_DECIDED} between {_layout(chosen)}{also} and {_layout(best)}{tied}", sentences
        if gain.verdict != "more":
            break
        chosen, also = best, tied
    cores = workers(chosen.cell)
    if cores > 1 and cores not in equal and chosen.cell["device"] != "cuda":
        sentences.append(
            f"That is against {cores - 1} idle core{'s' * (cores > 2)}: 1 process on {cores} threads was not measured, "
            "and may be faster."
        )
        return NOT_DECIDED, sentences
    return f"{_layout(chosen)}{also}", sentences


def _against_threads(results: Results) -> list[str]:
    """Return what ranks cost or save against one process, where both trained to the target."""
    return [
        f"{footing(ddp, mini)}, Ddp's ranks take {times(seconds)} the seconds of MiniBatch's one process to the "
        f"target of {workload}{paid_for(seconds, ddp, mini)}. {reservations(results, ddp, mini)}".strip()
        for workload, ddp, mini in strategy_pairs(results, "Ddp", "MiniBatch")
        for seconds in (pair(results, ddp, mini, "seconds_to_target"),)
    ]


def _searched(results: Results, *cells: Cell) -> str:
    """Return that the rates are those found for the cells; "" where one is a default."""
    return ", each at the learning rate found for it" if all(len(search_of(results, cell)) for cell in cells) else ""


def _step_up(fewer: Scaling, more: Scaling, gain: Pair) -> str:
    ends = {"more": "it is faster", "less": "it is slower", "equivalent": "it buys nothing"}
    end = ends.get(gain.verdict, "whether it is faster is not resolved")
    paid = cost(gain.comparison, workers(more.cell) / workers(fewer.cell))
    return (
        f"From {_layout(fewer)} to {_layout(more)} at B={number_of(more.cell['batch_size'])} the throughput becomes "
        f"{times(gain)} what it was, at {times(paid)} the {worker(more.cell)}-seconds a sample: {end}."
    )


def _layout(found: Scaling) -> str:
    """Return "1 process on 2 threads", "2 ranks"; a rank has one thread, or one GPU."""
    count = int(found.cell["world_size"])
    if found.kind != "threads":
        return f"{count} rank{'s' if count > 1 else ''}"
    if found.cell["device"] == "cuda":
        return "1 process on 1 GPU"
    threads = int(found.cell["threads"])
    return f"1 process on {threads} thread{'s' if threads > 1 else ''}"


def more_workers_are_faster(results: Results) -> Judged:
    """Judge the claim by throughput at the same batch: against one process on the same cores, and against idle ones.

    Ranks that are faster than one rank while the other cores stand idle are not yet faster than threads on them: alone,
    that decides nothing. Of GPUs a process takes one, so that more of them are compared with it.
    """
    measured = [s for s in scalings(results) if s.kind != "weak" and not s.cell["oversubscribed"]]
    equal = [
        Point(f"{where(ranks.cell)} on {workers(ranks.cell)} cores, ranks against threads", takes_more(versus),
              f"speed-up {ratio(versus)}")
        for ranks, _, versus in at_equal_cores(results, measured)
    ]  # fmt: skip
    pairs = [
        (workload, ddp, mini)
        for workload, ddp, mini in strategy_pairs(results, "Ddp", "MiniBatch")
        if ddp["batch_size"] == mini["batch_size"]
    ]
    equal += [
        Point(f"{where(ddp)} on {workers(ddp)} cores, ranks against threads", takes_less(versus),
              f"{ratio(versus)} the seconds to target")
        for _, ddp, mini in pairs
        if workers(ddp) == workers(mini) > 1
        for versus in (pair(results, ddp, mini, "seconds_to_target"),)
    ]  # fmt: skip
    idle = []
    for found in measured:
        if found.speedup is None:
            continue
        faster, gpu = takes_more(found.speedup), found.cell["device"] == "cuda"
        against = "against 1 rank" + ("" if gpu else " and idle cores")
        known = None if faster.verdict == "holds" and not (gpu or equal) else faster
        numbers = f"speed-up {ratio(found.speedup)}"
        if found.cost is not None:
            numbers += f", {worker(found.cell)}-seconds a sample {ratio(found.cost)} those of 1 process"
        idle.append(Point(f"{where(found.cell)} on {found.cell['world_size']} ranks {against}", known, numbers))
    shared = any(cell["oversubscribed"] for cell in cells_of(results, "scaling"))
    measure = "Throughput at the same batch, which takes the same steps: the hardware's part"
    if shared:
        measure += "; more ranks than cores are left out"
    needs = "bench_scaling.py on a machine with room for more than one rank"
    beware = reservations(results, *(found.cell for found in measured))
    if not equal and any(point.holds is None for point in idle):
        beware = f"That ranks beat idle cores says nothing of threads on them, which were not measured. {beware}"
    points = [*equal, *idle] if idle else []
    verdict, why = over_sweep(points, "what ranks are compared with, and on how many of them", measure, needs, beware)
    statistical = []
    for workload, ddp, mini in pairs:
        seconds = pair(results, ddp, mini, "seconds_to_target")
        statistical.append(
            f"{footing(ddp, mini)} and at equal batch on {workload}, ranks take "
            f"{times(pair(results, ddp, mini, 'samples_to_target'))} the samples of one process and "
            f"{times(seconds)} its seconds to target{paid_for(seconds, ddp, mini)}{_searched(results, ddp, mini)}."
            f"{provisos(results, ddp, mini)}"
        )
    return verdict, " ".join([why, *statistical])
