"""Which strategy a run of ``bench_strategies.py`` supports: fastest, leanest, under a memory limit, from a stream."""

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from paceline.bench.analysis.best_of import BestOf, best_of
from paceline.bench.analysis.cells import Cell, by_workload, cells_of, find, in_order, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair
from paceline.bench.analysis.power import seeds_wanted
from paceline.bench.analysis.run_costs import search_of
from paceline.bench.analysis.scaling import workers
from paceline.bench.analysis.statistics import SPENT, log_ratios
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.cores_used import worker
from paceline.bench.report.doubts import doubts
from paceline.bench.report.equivalence import reservations
from paceline.bench.report.metrics import in_its_unit, median_in_words, median_of
from paceline.bench.report.wording import listed, more_seeds, number, number_of, percent, times

# Strategies that learn from each sample as it comes, and can do without the rest.
STREAMING = "Online"

# What stands for all that take its steps.
PLAIN = "MiniBatch"


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
        rows += [
            _least(results, f"{workload}: {constraint}", eligible, metric, excluded)
            for constraint, metric in (
                ("fastest to target", "seconds_to_target"),
                ("fewest samples to target", "samples_to_target"),
                ("least training memory", "training_memory_bytes"),
            )
        ]
        rows.append(_under_a_memory_limit(results, workload, eligible))
        rows.append(_from_a_stream(results, workload, cells, eligible))
    return rows or not_run("which strategy", "bench_strategies.py")


def _with_reservations(results: Results, row: Decision, cells: Iterable[Cell], of_target: bool = True) -> Decision:
    """Say first of every strategy that the row rests on what speaks against a plain choice of it.

    That it solves another problem; and, where the row is about reaching the target, that it may have done so by luck.
    """
    named = [c for c in cells if re.search(rf"(?<![\w-]){re.escape(name_of(c))}(?![\w-])", f"{row.choice} {row.why}")]
    default = [name_of(c) for c in named if not math.isnan(c["lr"]) and not len(search_of(results, c))]
    unequal = f"The rate of {listed(default)} was not searched." if default else ""
    luck = doubts(results, named) if of_target else ""
    parts = (reservations(results, *named), luck, row.why, unequal, _unlike(named))
    return replace(row, why=" ".join(filter(None, parts)))


def _unlike(cells: list[Cell]) -> str:
    """Return on how many GPUs (cores) each of ``cells`` runs, where that is not the same."""
    if len({workers(cell) for cell in cells}) < 2:
        return ""
    each = listed(f"{name_of(cell)} {workers(cell)}" for cell in cells)
    return f"Not on the same number of {worker(cells[0])}s: {each}."


def _excluded(cells: Iterable[Cell]) -> str:
    """Return which strategies are out, for they did not reach the target in every trial."""
    out = [f"{name_of(c)} (reached {c['n_reached']} of {c['n']})" for c in cells if c["n_reached"] < c["n"]]
    return f"Excluded, for the target was not reached in every trial: {listed(out)}." if out else ""


def _least(results: Results, constraint: str, cells: list[Cell], metric: str, excluded: str) -> Decision:
    """Choose the cell with the least ``metric``, and all that are not resolved to be worse than it."""
    measured = in_order([cell for cell in cells if not math.isnan(cell[metric])], metric)
    if not measured:
        return Decision(constraint, NOT_DECIDED, f"{SHOWN[metric].heading.capitalize()} was not measured.")
    apart, same = _of_different_steps(results, measured) if metric == "samples_to_target" else (measured, "")
    found = best_of(results, apart, metric)
    best = found.cell
    others = [(name_of(cell), one, price) for (cell, one), price in zip(found.others, found.prices, strict=True)]
    by_ratio = sorted(others, key=lambda other: other[2].comparison.ratio)
    tied = [other for other in by_ratio if other[1].verdict not in ("slower", "more")]
    worse = [other for other in by_ratio if other[1].verdict in ("slower", "more")]
    reached = f", target reached in {best['n_reached']} of {best['n']} trials" if metric in SPENT else ""
    sentences = [f"{name_of(best)}: median {median_in_words(best, metric)}{reached}."]
    sentences += [_tie(*other, len(apart)) for other in tied]
    if worse:
        rest = f"; {listed(name for name, *_ in worse[1:])} still more" if len(worse) > 1 else ""
        sentences.append(f"{worse[0][0]} takes {times(worse[0][2])} as much{rest}.")
    if not found.others:
        sentences.append("No other strategy qualifies." if not same else "")
    priced = "What they take is over the best of other seeds." if metric in SPENT and found.others else ""
    sentences += [same, priced, _regrets(found) if tied and metric in SPENT else "", _family(len(apart)), excluded]
    resolvable = all(one.comparison.n >= 3 for _, one, _ in tied)
    choice = listed([name_of(best), *(name for name, *_ in tied)], "or") if resolvable else NOT_DECIDED
    row = Decision(constraint, choice, " ".join(filter(None, sentences)))
    return _with_reservations(results, row, cells, metric in SPENT)


def _of_different_steps(results: Results, cells: list[Cell]) -> tuple[list[Cell], str]:
    """Return the cells of which no two take the same samples in every seed, and a sentence on those that do.

    Accumulated or distributed, the same steps are no other choice: by construction they need as many samples.
    """
    kept: list[Cell] = []
    sentences = []
    for cell in sorted(cells, key=lambda cell: name_of(cell) != PLAIN):  # stable: the plain one stands for its like
        like = next((other for other in kept if _takes_the_same(results, cell, other)), None)
        if like is None:
            kept.append(cell)
        else:
            sentences.append(f"{name_of(cell)} takes the samples of {name_of(like)} in every seed: no other choice.")
    return in_order(kept, "samples_to_target"), " ".join(sentences)


def _takes_the_same(results: Results, a: Cell, b: Cell) -> bool:
    one, other = ({"comparison": cell["comparison"], "cell": cell["cell"]} for cell in (a, b))
    lows, highs = log_ratios(results.trials, one, other, "samples_to_target")
    return len(lows) >= 3 and bool((lows == 0).all() and (highs == 0).all())


def _regrets(found: BestOf) -> str:
    """Return what choosing each of those that are tied is expected to cost."""
    if math.isnan(found.chance[0]):
        return ""
    names = [found.cell, *(cell for cell, _ in found.others)]
    open_ = {cell["cell"] for cell, _ in found.tied} | {found.cell["cell"]}
    parts = [
        f"{name_of(cell)} {percent(regret, 1)} (the best with a chance of {percent(chance)})"
        for cell, chance, regret in zip(names, found.chance, found.regret, strict=True)
        if cell["cell"] in open_
    ]
    return f"Expected to cost over the best: {listed(parts)}."


def _family(k: int) -> str:
    return f"The best of {k}, compared with all others at once: in 5 % of runs any verdict here errs." if k > 2 else ""


def _tie(name: str, found: Pair, price: Pair, k: int) -> str:
    if found.verdict == "equivalent":
        return f"{name} is equivalent: {times(found)} as much."
    one = found.comparison
    if one.n < 3:
        return f"{name} takes {times(price)} as much: their difference is not resolved; at least 3 seeds are needed."
    if found.floored:
        return f"{name} takes {times(price)} as much: below what the measurement can tell, so not resolved."
    if one.low > 1 or one.high < 1:
        return f"{name} takes {times(price)} as much: apart by itself, but not resolved among {k}."
    return f"{name} takes {times(price)} as much: their difference is not resolved{more_seeds(seeds_wanted(one))}."


def _under_a_memory_limit(results: Results, workload: str, cells: list[Cell]) -> Decision:
    """Walk up in memory, and keep every strategy that is resolved to be faster than the one before.

    A limit is one of the whole process, or of the GPU, and not of what training adds to it.
    """
    constraint = f"{workload}: fastest under a memory limit"
    limit = "peak_rss_bytes" if all(cell["device"] == "cpu" for cell in cells) else "peak_device_bytes"
    measured = [cell for cell in cells if not math.isnan(cell[limit])]
    if not measured:
        return Decision(constraint, NOT_DECIDED, f"{SHOWN[limit].heading.capitalize()} was not measured.")
    smallest, *larger = in_order(measured, limit, "seconds_to_target")
    front, sentences, no_gain = [smallest], [f"{_memory_and_seconds(smallest, limit)}."], []
    for cell in larger:
        gain = pair(results, cell, front[-1], "seconds_to_target")
        if cell["seconds_to_target"] >= front[-1]["seconds_to_target"]:
            no_gain.append(name_of(cell))
        elif gain.verdict == "faster":
            no_step = pair(results, cell, front[-1], limit).floored
            aside = ", in memory that cannot be told from its" if no_step else ""
            sentences.append(f"{_memory_and_seconds(cell, limit)}, {times(gain)} {name_of(front[-1])}{aside}.")
            front[len(front) - no_step :] = [cell]
        else:
            open_end = f"but {times(gain)} {name_of(front[-1])} is not resolved to be faster"
            sentences.append(f"{_memory_and_seconds(cell, limit)}, {open_end}.")
    if no_gain:
        sentences.append(f"Larger and in the median no faster: {listed(no_gain)}.")
    if all(cell["n"] < 3 for cell in measured):
        few = max(cell["n"] for cell in measured)
        return Decision(constraint, NOT_DECIDED, " ".join([*sentences, f"No interval at n={few}."]))
    steps = [f"{name_of(cell)} from {in_its_unit(cell[limit], limit)}" for cell in front]
    return _with_reservations(results, Decision(constraint, ", ".join(steps), " ".join(sentences)), cells)


def _memory_and_seconds(cell: Cell, limit: str) -> str:
    memory, of = median_of(cell, limit), "process" if limit == "peak_rss_bytes" else "GPU"
    unit = "" if SHOWN[limit].unit in memory else f" {SHOWN[limit].unit}"
    seconds = median_of(cell, "seconds_to_target")
    return f"{name_of(cell)} takes {memory}{unit} of the {of} at its peak, and {seconds} to the target"


def _from_a_stream(results: Results, workload: str, cells: list[Cell], eligible: list[Cell]) -> Decision:
    constraint = f"{workload}: samples come as a stream"
    online = find(cells, STREAMING)
    if online is None:
        return Decision(constraint, "not measured", f"not measured: run bench_strategies.py with {STREAMING}")
    if online not in eligible:
        reached = f"{STREAMING} reached the target in {online['n_reached']} of {online['n']} trials"
        return Decision(constraint, NOT_DECIDED, f"{reached}; no other strategy here learns sample by sample.")
    passes = _passes(results, online)
    if passes and passes[1] > 1:
        why = f"{STREAMING} needed {number(passes[0])} to {number(passes[1])} passes over the {number_of(passes[2])} "
        why += "samples to the target. A stream gives each sample once: what it reaches by then was not measured"
        return Decision(constraint, NOT_DECIDED, f"{why}.")
    why = "The only strategy here that learns sample by sample: "
    why += f"{median_of(online, 'seconds_to_target')} to the target"
    fastest = best_of(results, in_order(eligible, "seconds_to_target"), "seconds_to_target").cell
    if fastest is online:
        why = f"{why}, and none is resolved to be faster."
    else:
        cost, samples = (pair(results, online, fastest, f"{what}_to_target") for what in ("seconds", "samples"))
        why = f"{why}, {times(cost)} {name_of(fastest)}, in {times(samples)} its samples."
    return _with_reservations(results, Decision(constraint, STREAMING, why), cells)


def _passes(results: Results, cell: Cell) -> tuple[float, float, int] | None:
    """Return how many passes over the training set the trials of a cell took, at least and at most, and its size.

    None of a stream, which has none.
    """
    own = [r for r in results.records if (r.cell, r.comparison) == (cell["cell"], cell["comparison"])]
    sizes = {record.train_samples for record in own if record.train_samples}
    samples = results.trials.loc[results.trials["cell"] == cell["cell"], "samples_to_target"].dropna()
    if not sizes or samples.empty:
        return None
    size = max(sizes)
    return float(samples.min() / size), float(samples.max() / size), size
