"""Which strategy a run of ``bench_strategies.py`` supports: fastest, leanest, under a memory limit, from a stream."""

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, find, in_order, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.run_costs import search_of
from paceline.bench.analysis.scaling import workers
from paceline.bench.analysis.statistics import SPENT
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.cores_used import worker
from paceline.bench.report.equivalence import reservations
from paceline.bench.report.metrics import in_its_unit, median_in_words, median_of
from paceline.bench.report.wording import listed, times

# Strategies that learn from each sample as it comes, and can do without the rest.
STREAMING = "Online"


def decisions(results: Results) -> list[Decision]:
    """Return, for each workload, which strategy to choose under each of five constraints."""
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
    return rows or not_run("which strategy", "bench_strategies.py")


def _with_reservations(results: Results, row: Decision, cells: Iterable[Cell]) -> Decision:
    """Say first of every strategy that the row rests on if it solves another problem: it is no plain choice."""
    named = [c for c in cells if re.search(rf"(?<![\w-]){re.escape(name_of(c))}(?![\w-])", f"{row.choice} {row.why}")]
    default = [name_of(c) for c in named if not math.isnan(c["lr"]) and not len(search_of(results, c))]
    unequal = f" The rate of {listed(default)} was not searched." if default else ""
    return replace(row, why=f"{reservations(results, *named)} {row.why}{unequal}{_unlike(named)}".strip())


def _unlike(cells: list[Cell]) -> str:
    """Return on how many GPUs (cores) each of ``cells`` runs, where that is not the same."""
    if len({workers(cell) for cell in cells}) < 2:
        return ""
    each = listed(f"{name_of(cell)} {workers(cell)}" for cell in cells)
    return f" Not on the same number of {worker(cells[0])}s: {each}."


def _excluded(cells: Iterable[Cell]) -> str:
    """Return which strategies are out, for they did not reach the target in every trial."""
    out = [f"{name_of(c)} (reached {c['n_reached']} of {c['n']})" for c in cells if c["n_reached"] < c["n"]]
    return f"Excluded, for the target was not reached in every trial: {listed(out)}." if out else ""


def _least(results: Results, constraint: str, cells: list[Cell], metric: str, excluded: str) -> Decision:
    """Choose the cell with the least ``metric``, and all that are not resolved to be worse than it."""
    measured = in_order([cell for cell in cells if not math.isnan(cell[metric])], metric)
    if not measured:
        return Decision(constraint, NOT_DECIDED, f"{SHOWN[metric].heading.capitalize()} was not measured.")
    best, others = _best(results, measured, metric)
    tied = {name: found for name, found in others.items() if found.verdict not in ("slower", "more")}
    worse = [(name, found) for name, found in others.items() if name not in tied]
    reached = f", target reached in {best['n_reached']} of {best['n']} trials" if metric in SPENT else ""
    sentences = [f"{name_of(best)}: median {median_in_words(best, metric)}{reached}."]
    sentences += [_tie(name, found) for name, found in tied.items()]
    if worse:
        rest = f"; {listed(name for name, _ in worse[1:])} still more" if len(worse) > 1 else ""
        sentences.append(f"{worse[0][0]} takes {times(worse[0][1])} as much{rest}.")
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
        return f"{name} is equivalent: {times(found)} as much."
    more = "; at least 3 seeds are needed" if found.comparison.n < 3 else ""
    return f"{name} takes {times(found)} as much: their difference is not resolved{more}."


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
            sentences.append(f"{_memory_and_seconds(cell)}, {times(gain)} {name_of(front[-1])}.")
            front.append(cell)
        else:
            open_end = f"but {times(gain)} {name_of(front[-1])} is not resolved to be faster"
            sentences.append(f"{_memory_and_seconds(cell)}, {open_end}.")
    if no_gain:
        sentences.append(f"Larger and in the median no faster: {listed(no_gain)}.")
    if all(cell["n"] < 3 for cell in measured):
        few = max(cell["n"] for cell in measured)
        return Decision(constraint, NOT_DECIDED, " ".join([*sentences, f"No interval at n={few}."]))
    steps = [
        f"{name_of(cell)} from {in_its_unit(cell['training_memory_bytes'], 'training_memory_bytes')}" for cell in front
    ]
    return Decision(constraint, ", ".join(steps), " ".join(sentences))


def _memory_and_seconds(cell: Cell) -> str:
    memory = median_of(cell, "training_memory_bytes")
    return f"{name_of(cell)} adds {memory} and takes {median_of(cell, 'seconds_to_target')} to the target"


def _from_a_stream(results: Results, workload: str, cells: list[Cell], eligible: list[Cell]) -> Decision:
    constraint = f"{workload}: samples come as a stream"
    online = find(cells, STREAMING)
    if online is None:
        return Decision(constraint, "not measured", f"not measured: run bench_strategies.py with {STREAMING}")
    if online not in eligible:
        reached = f"{STREAMING} reached the target in {online['n_reached']} of {online['n']} trials"
        return Decision(constraint, NOT_DECIDED, f"{reached}; no other strategy here learns sample by sample.")
    why = "The only strategy here that learns sample by sample: "
    why += f"{median_of(online, 'seconds_to_target')} to the target"
    fastest, _ = _best(results, in_order(eligible, "seconds_to_target"), "seconds_to_target")
    if fastest is online:
        return Decision(constraint, STREAMING, f"{why}, and none is resolved to be faster.")
    cost, samples = (pair(results, online, fastest, f"{what}_to_target") for what in ("seconds", "samples"))
    return Decision(constraint, STREAMING, f"{why}, {times(cost)} {name_of(fastest)}, in {times(samples)} its samples.")
