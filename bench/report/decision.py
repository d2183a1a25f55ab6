"""The decision a run supports: for each constraint a choice, and the numbers it rests on.

Ties are called ties, and where the data do not decide, the choice says so. Medians choose the candidate;
paired comparisons within blocks say whether another is really worse.
"""

import math
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from paceline.bench.analysis import batch_size_sweep
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.null_test import headline
from paceline.bench.analysis.statistics import SPENT, Comparison
from paceline.bench.report.tables import (
    Cell,
    Pair,
    Scaling,
    by_workload,
    cells_of,
    find,
    in_order,
    listed,
    median_of,
    name_of,
    number,
    number_of,
    pair,
    precision_pairs,
    reservations,
    scalings,
    speedup,
    times,
)

NOT_DECIDED = "not decided"

# A batch size saturates the machine when its throughput is within this share of the best.
SATURATED = 0.9

# Strategies that learn from each sample as it comes, and can do without the rest.
STREAMING = "Online"

METRIC_NAMES = {
    "seconds_to_target": "Time to target",
    "samples_to_target": "Samples to target",
    "training_memory_bytes": "Training memory",
}

UNITS = {
    "seconds_to_target": ("s", 1.0),
    "samples_to_target": ("samples", 1.0),
    "training_memory_bytes": ("MB", 1e-6),
}


@dataclass(frozen=True)
class Decision:
    """One row of the decision table: under this constraint, this choice, for this reason."""

    constraint: str
    choice: str
    why: str


def decide(results: Results) -> pd.DataFrame:
    """Return the decision table: columns ``constraint``, ``choice`` and ``why``, a row a constraint.

    A comparison that was not run gives a row that says so.
    """
    rows = [
        *_of_strategies(results),
        *_of_batch_sizes(results),
        *_of_sweeps(results),
        *_of_workers(results),
        *_of_precision(results),
    ]
    return pd.DataFrame(rows, columns=["constraint", "choice", "why"])


def decision_text(results: Results) -> str:
    """Return the decision table as plain text for a terminal, after which differences the run does not resolve."""
    lines = [textwrap.fill(headline(results), 100), "\nDecision"]
    for row in decide(results).itertuples():
        lines.append(f"\n{row.constraint}: {row.choice}")
        lines.append(textwrap.fill(str(row.why), 100, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)


def _not_run(constraint: str, benchmark: str) -> list[Decision]:
    return [Decision(constraint, "not measured", f"not measured: run {benchmark}")]


# Which strategy


def _of_strategies(results: Results) -> list[Decision]:
    rows = []
    cells_in_order = in_order(cells_of(results, "strategies"), "workload", "cell")
    for workload, cells in by_workload(cells_in_order).items():
        eligible = [cell for cell in cells if cell["n_reached"] == cell["n"]]
        excluded = _excluded(cells)
        if not eligible:
            why = f"No strategy reached the target in every trial. {excluded}"
            rows.append(Decision(f"{workload}: which strategy", NOT_DECIDED, why.strip()))
            continue
        found = []
        for constraint, metric in (
            ("fastest to target", "seconds_to_target"),
            ("fewest samples to target", "samples_to_target"),
            ("least training memory", "training_memory_bytes"),
        ):
            found.append(_least(results, f"{workload}: {constraint}", eligible, metric, excluded))
        found.append(_under_a_memory_limit(results, workload, eligible))
        found.append(_from_a_stream(results, workload, cells, eligible))
        rows += [_with_reservations(results, row, cells) for row in found]
    return rows or _not_run("which strategy", "bench_strategies.py")


def _with_reservations(results: Results, row: Decision, cells: Iterable[Cell]) -> Decision:
    """Say first of every strategy that the row rests on if it solves another problem: it is no plain choice."""
    named = [c for c in cells if re.search(rf"(?<![\w-]){re.escape(name_of(c))}(?![\w-])", f"{row.choice} {row.why}")]
    return replace(row, why=f"{reservations(results, *named)} {row.why}".strip())


def _excluded(cells: Iterable[Cell]) -> str:
    """Return which strategies are out, for they did not reach the target in every trial."""
    out = [f"{name_of(c)} (reached {c['n_reached']} of {c['n']})" for c in cells if c["n_reached"] < c["n"]]
    return f"Excluded, for the target was not reached in every trial: {listed(out)}." if out else ""


def _least(results: Results, constraint: str, cells: list[Cell], metric: str, excluded: str) -> Decision:
    """Choose the cell with the least ``metric``, and all that are not resolved to be worse than it."""
    measured = in_order([cell for cell in cells if not math.isnan(cell[metric])], metric)
    if not measured:
        return Decision(constraint, NOT_DECIDED, f"{METRIC_NAMES[metric]} was not measured.")
    best, others = _best(results, measured, metric)
    tied = {name: found for name, found in others.items() if found.verdict not in ("slower", "more")}
    worse = [(name, found) for name, found in others.items() if name not in tied]
    reached = f", target reached in {best['n_reached']} of {best['n']} trials" if metric in SPENT else ""
    sentences = [f"{name_of(best)}: median {median_of(best, metric, *UNITS[metric])}{reached}."]
    sentences += [_tie(name, found) for name, found in tied.items()]
    if worse:
        rest = f"; {listed(name for name, _ in worse[1:])} still more" if len(worse) > 1 else ""
        sentences.append(f"{worse[0][0]} takes {worse[0][1].times} as much{rest}.")
    if not others:
        sentences.append("No other strategy qualifies.")
    sentences.append(excluded)
    resolvable = all(found.comparison.n >= 3 for found in tied.values())
    choice = listed([name_of(best), *tied], "or") if resolvable else NOT_DECIDED
    return Decision(constraint, choice, " ".join(filter(None, sentences)))


def _best(results: Results, cells: list[Cell], metric: str) -> tuple[Cell, dict[str, Pair]]:
    """Return the first of ``cells`` that none is resolved to beat, and the others against it by ratio."""
    for best in cells:
        others = {name_of(cell): pair(results, cell, best, metric) for cell in cells if cell is not best}
        if not any(found.verdict in ("faster", "less") for found in others.values()):
            break
    return best, dict(sorted(others.items(), key=lambda item: item[1].comparison.ratio))


def _tie(name: str, found: Pair) -> str:
    if found.verdict == "equivalent":
        return f"{name} is equivalent: {found.times} as much."
    more = "; at least 3 seeds are needed" if found.comparison.n < 3 else ""
    return f"{name} takes {found.times} as much: their difference is not resolved{more}."


def _under_a_memory_limit(results: Results, workload: str, cells: list[Cell]) -> Decision:
    """Walk up in memory, and keep every strategy that is resolved to be faster than the one before."""
    constraint = f"{workload}: fastest under a memory limit"
    measured = [cell for cell in cells if not math.isnan(cell["training_memory_bytes"])]
    if not measured:
        return Decision(constraint, NOT_DECIDED, "Training memory was not measured.")
    smallest, *larger = in_order(measured, "training_memory_bytes", "seconds_to_target")
    front, sentences, no_gain = [smallest], [f"{_memory_and_seconds(smallest)}."], []
    for cell in larger:
        gain = pair(results, cell, front[-1], "seconds_to_target")
        if cell["seconds_to_target"] >= front[-1]["seconds_to_target"]:
            no_gain.append(name_of(cell))
        elif gain.verdict == "faster":
            sentences.append(f"{_memory_and_seconds(cell)}, {gain.times} {name_of(front[-1])}.")
            front.append(cell)
        else:
            open_end = f"but {gain.times} {name_of(front[-1])} is not resolved to be faster"
            sentences.append(f"{_memory_and_seconds(cell)}, {open_end}.")
    if no_gain:
        sentences.append(f"Larger and in the median no faster: {listed(no_gain)}.")
    if all(cell["n"] < 3 for cell in measured):
        few = max(cell["n"] for cell in measured)
        return Decision(constraint, NOT_DECIDED, " ".join([*sentences, f"No interval at n={few}."]))
    steps = [f"{name_of(cell)} from {number(cell['training_memory_bytes'] * 1e-6)} MB" for cell in front]
    return Decision(constraint, ", ".join(steps), " ".join(sentences))


def _memory_and_seconds(cell: Cell) -> str:
    memory = median_of(cell, "training_memory_bytes", "MB", 1e-6)
    return f"{name_of(cell)} adds {memory} and takes {median_of(cell, 'seconds_to_target', 's')} to the target"


def _from_a_stream(results: Results, workload: str, cells: list[Cell], eligible: list[Cell]) -> Decision:
    constraint = f"{workload}: samples come as a stream"
    online = find(cells, STREAMING)
    if online is None:
        return Decision(constraint, "not measured", f"not measured: run bench_strategies.py with {STREAMING}")
    if online not in eligible:
        reached = f"{STREAMING} reached the target in {online['n_reached']} of {online['n']} trials"
        return Decision(constraint, NOT_DECIDED, f"{reached}; no other strategy here learns sample by sample.")
    why = "The only strategy here that learns sample by sample: "
    why += f"{median_of(online, 'seconds_to_target', 's')} to the target"
    fastest, _ = _best(results, in_order(eligible, "seconds_to_target"), "seconds_to_target")
    if fastest is online:
        return Decision(constraint, STREAMING, f"{why}, and none is resolved to be faster.")
    cost, samples = (pair(results, online, fastest, f"{what}_to_target") for what in ("seconds", "samples"))
    return Decision(constraint, STREAMING, f"{why}, {cost.times} {name_of(fastest)}, in {samples.times} its samples.")


# Which batch size


def _of_batch_sizes(results: Results) -> list[Decision]:
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
    return rows or _not_run(constraint, benchmark)


def _saturating(results: Results, constraint: str, cells: list[Cell]) -> Decision:
    """Choose the smallest batch within ``SATURATED`` of the best throughput, if one can be told."""
    best = max(cells, key=lambda cell: float(cell["samples_per_second"]))
    top = f"Best at B={_b(best)}: {median_of(best, 'samples_per_second', 'samples/s')}."
    smaller = [cell for cell in cells if cell["batch_size"] <= best["batch_size"]]
    shares = {_b(cell): _share(results, cell, best) for cell in smaller}
    fewest = min(share.n for share in shares.values())
    if fewest < 3:
        return Decision(constraint, NOT_DECIDED, f"No interval at n={fewest}: run at least 3 seeds. {top}")
    surely = next(cell for cell in smaller if shares[_b(cell)].low >= SATURATED)
    perhaps = next(cell for cell in smaller if shares[_b(cell)].high >= SATURATED)
    memory = f"adds {median_of(surely, 'training_memory_bytes', 'MB', 1e-6)} of memory."
    gives = f"B={_b(surely)} gives {times(shares[_b(surely)])} that and {memory}"
    sentences = [top, f"It {memory}" if surely is best else gives]
    choice = f"B={_b(surely)}"
    if perhaps is not surely:
        choice = f"between B={_b(perhaps)} and B={_b(surely)}"
        sentences.append(f"B={_b(perhaps)} may do as well: {times(shares[_b(perhaps)])} that throughput.")
    sentences.append(f"Throughput only: {_time_to_target(results, best)}.")
    return Decision(constraint, choice, " ".join(sentences))


def _time_to_target(results: Results, cell: Cell) -> str:
    """Return where to read how long the target takes at each batch size."""
    if any(swept["workload"] == cell["workload"] for swept in cells_of(results, batch_size_sweep.COMPARISON)):
        return f'the time to the target is another matter: see "{cell["workload"]}: batch size fastest to target"'
    return f"run {batch_size_sweep.BENCHMARK} for the samples and seconds that the target takes at each batch size"


def _of_sweeps(results: Results) -> list[Decision]:
    rows = [Decision(*row) for row in batch_size_sweep.decisions(results)]
    return rows or _not_run("batch size at its own best learning rate", batch_size_sweep.BENCHMARK)


def _share(results: Results, cell: Cell, best: Cell) -> Comparison:
    if cell is best:
        return Comparison(1.0, 1.0, 1.0, "equivalent", int(best["n"]))
    return pair(results, cell, best, "samples_per_second").comparison


def _b(cell: Cell) -> str:
    return number_of(cell["batch_size"])


# How many workers


def _of_workers(results: Results) -> list[Decision]:
    rows = [_workers(results, workload) for workload in by_workload(in_order(cells_of(results, "scaling"), "workload"))]
    return rows or _not_run("how many workers", "bench_scaling.py")


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
                f"On the same cores, Ddp's ranks take {seconds.times} the seconds of MiniBatch's threads to the "
                f"target of {workload}. {reservations(results, ddp, mini)}".strip()
            )
    return found


def _step_up(fewer: Scaling, more: Scaling, gain: Pair) -> str:
    ends = {"more": "it pays", "less": "it costs", "equivalent": "it buys nothing"}
    end = ends.get(gain.verdict, "whether it pays is not resolved")
    return (
        f"From {_ranks(fewer)} to {_ranks(more)} at B={_b(more.cell)} the throughput becomes "
        f"{gain.times} what it was: {end}."
    )


def _ranks(found: Scaling) -> str:
    count = int(found.cell["world_size"])
    return f"{count} rank{'s' if count > 1 else ''}"


# Which precision


def _of_precision(results: Results) -> list[Decision]:
    pairs = precision_pairs(results)
    if not pairs:
        return _not_run("precision", "bench_precision.py")
    groups: dict[str, list[str]] = {"faster": [], "slower": [], "equivalent": [], "undecided": []}
    for amp, full in pairs:
        found = speedup(results, amp, full)
        groups[found.verdict].append(f"{amp['workload']} B={_b(amp)} ({found.ratio})")
    low = listed(dict.fromkeys(str(amp["dtype"]) for amp, _ in pairs if amp["dtype"]), "or") or "mixed precision"
    heads = {
        "faster": f"{low} is faster at",
        "slower": "slower at",
        "equivalent": "equivalent at",
        "undecided": "not resolved at",
    }
    why = "; ".join(f"{heads[verdict]} {', '.join(where)}" for verdict, where in groups.items() if where)
    why = f"Speed-up of {low} over float32, in throughput: {why}."
    faster, resolved = len(groups["faster"]), len(pairs) - len(groups["undecided"])
    elsewhere = "float32 or not resolved" if groups["undecided"] else "float32"
    if not resolved:
        choice = NOT_DECIDED
    elif not faster:
        choice = "float32" if resolved == len(pairs) else "float32 where it is resolved"
    elif faster == len(pairs):
        choice = low
    else:
        choice = f"{low} at {listed(where.split(' (')[0] for where in groups['faster'])}; elsewhere {elsewhere}"
    return [Decision("precision", choice, f"{reservations(results, *(amp for amp, _ in pairs))} {why}".strip())]
