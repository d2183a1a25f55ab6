"""Whether compiling pays: what it costs before the first step, what it saves at each, and when that is even."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from paceline.bench.analysis.cells import Cell, by_workload, cells_of, find, in_order, name_of
from paceline.bench.analysis.families import together
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, speedup
from paceline.bench.analysis.seeds import each_once
from paceline.bench.analysis.statistics import ERROR, Floats, Interval, median_interval

COMPILED, PLAIN = "compiled-", "plain-"


@dataclass(frozen=True)
class Payoff:
    """What compiling a model costs and brings.

    Attributes:
        compiled: the cell whose model is compiled.
        plain: the same with the model as it was written.
        batches: of what kind: "even", "ragged", "growing".
        speedup: how many times as fast its steps are, the seconds in which it was compiled left out.
        compile_seconds: by the compiler's own account, in the warm-up and while training.
        recompilations: times the compiler began anew.
        started_seconds: what set-up and warm-up take as it was written.
        later_seconds: what it takes longer until the first step and in steps that compile, all included: the compiler
            has to be loaded as well.
        even_after: steps after which it has paid, as far as they are known; infinite where it never does.
    """

    compiled: Cell
    plain: Cell
    batches: str
    speedup: Pair
    compile_seconds: Interval
    recompilations: Interval
    started_seconds: Interval
    later_seconds: Interval
    even_after: Interval


def payoffs(results: Results) -> list[Payoff]:
    """Return, for each cell whose model was compiled and the same one that was not, what that cost and brought.

    The verdicts are those that stand among all of them.
    """
    steady = _without_compiling(results)
    found = []
    cells = in_order(cells_of(steady, "compile"), "workload", "cell")
    for of_workload in by_workload(cells).values():
        for compiled in of_workload:
            batches = name_of(compiled).removeprefix(COMPILED)
            plain = find(of_workload, f"{PLAIN}{batches}")
            if name_of(compiled).startswith(COMPILED) and plain is not None:
                found.append(_payoff(steady, compiled, plain, batches))
    verdicts = together([payoff.speedup for payoff in found])
    return [replace(payoff, speedup=verdict) for payoff, verdict in zip(found, verdicts, strict=True)]


def _without_compiling(results: Results) -> Results:
    """Return ``results`` with the time of a step, and the throughput, as they are between compilations."""
    trials = results.trials
    seconds = trials["train_seconds"] - trials["recompile_seconds"].fillna(0.0)
    steady = {"seconds_per_step": seconds / trials["steps"], "samples_per_second": trials["samples"] / seconds}
    return replace(results, trials=trials.assign(**steady))


def _payoff(results: Results, compiled: Cell, plain: Cell, batches: str) -> Payoff:
    trials = results.trials[(results.trials["comparison"] == "compile") & (results.trials["steps"] > 0)]
    own, other = (trials[trials["cell"] == cell["cell"]] for cell in (compiled, plain))
    both = own.merge(other, on=["seed", "block"], suffixes=("", "_plain"))
    seeds, step = both["seed"].tolist(), both["seconds_per_step_plain"]
    recompiling = both["recompile_seconds"].fillna(0.0)
    started = both["setup_seconds_plain"] + both["warmup_seconds_plain"]
    later = both["setup_seconds"] + both["warmup_seconds"] + recompiling - started
    # In units of a plain step of the same block, so that what slowed a whole block cancels.
    cost, saved = each_once(seeds, later / step, 1 - both["seconds_per_step"] / step)
    return Payoff(
        compiled,
        plain,
        batches,
        speedup(results, compiled, plain),
        median_interval((both["compile_seconds"] + recompiling).tolist(), seeds=seeds),
        median_interval(both["recompilations"].tolist(), False, seeds),
        median_interval(started.tolist(), seeds=seeds),
        median_interval(later.tolist(), False, seeds),
        even_after(cost, saved),
    )


def even_after(cost: Sequence[float] | Floats, saved: Sequence[float] | Floats, error: float = ERROR) -> Interval:
    """Return after how many steps a ``cost`` paid once is won back by what is ``saved`` at each, both in one unit.

    That is the ratio of two means, whose interval is Fieller's: all N for which cost - N saved does not differ from 0
    by Student's t. Where the saving is not told from none its upper end is infinite; where steps are told to take
    longer, all is. Below three pairs there is no interval.

    Source: E. C. Fieller 1954, J. R. Statist. Soc. B 16, 175-185.

    Args:
        cost: of each pair of trials; NaN is left out.
        saved: of the same.
        error: how often the interval may miss.
    """
    x, y = np.asarray(cost, float), np.asarray(saved, float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[known], y[known], int(known.sum())
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    steps = max(0.0, float(x.mean() / y.mean())) if y.mean() > 0 else math.inf
    if n < 3:
        return Interval(steps, math.nan, math.nan, n)
    t = float(stats.t.isf(error / 2, n - 1)) ** 2 / n
    covariance = np.cov(x, y)
    # a N^2 - 2 b N + c <= 0 holds for the N of the interval.
    a = y.mean() ** 2 - t * covariance[1, 1]
    b = x.mean() * y.mean() - t * covariance[0, 1]
    c = x.mean() ** 2 - t * covariance[0, 0]
    if a > 0 and y.mean() < 0:
        return Interval(math.inf, math.inf, math.inf, n)
    root = math.sqrt(max(0.0, b * b - a * c))
    if a > 0:
        return Interval(steps, max(0.0, (b - root) / a), max(0.0, (b + root) / a), n)
    # Some saving, or none: what is left is the least number of steps. If the cost is not told from none, that is 0.
    low = (b - root) / a if c > 0 and a < 0 else 0.0
    return Interval(steps, low, math.inf, n)
