"""The sweep over batch sizes, each at its own best learning rate: where a larger batch stops paying.

Samples and steps to target over batch size follow a hyperbola (``analysis.critical_batch_fit``), seconds do not: they
add what a step costs on this machine. So three batch sizes are best, one for each, and what a wrong one costs can be
read off.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from paceline.bench.analysis.critical_batch_fit import CriticalBatch, fit
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.leave_one_out import LeaveOneOut, leave_one_out
from paceline.bench.analysis.statistics import CONFIDENCE, Floats
from paceline.bench.report.tables import (
    MISSING,
    Cell,
    Pair,
    cells_of,
    in_order,
    listed,
    median_of,
    number,
    number_of,
    pair,
)

COMPARISON = "critical_batch"
BENCHMARK = "bench_critical_batch.py"

# Below this share of B_crit a step saves steps almost in proportion (20 % more samples than the least); from its
# inverse on it saves almost none (steps within 20 % of the least). Source: H. Zhang et al. 2024, arXiv 2410.21676, for
# the 20 %; C. J. Shallue et al. 2019, JMLR 20(112), for the three regimes.
PERFECT = 0.2

# The batch size of many a tutorial, where it was measured.
COMMON = 32.0

METRICS = {
    "samples_to_target": ("samples", ""),
    "steps_to_target": ("steps", ""),
    "seconds_to_target": ("seconds", "s"),
}


# The best learning rate of each batch size


@dataclass(frozen=True)
class Rate:
    """The best of the learning rates that a search tried at one batch size.

    Attributes:
        best: what was then measured, on other seeds than the search's.
        tried: all of them, ascending.
        trials: number of trials of the search.
        failed: how many of them did not reach the target.
    """

    best: float
    tried: tuple[float, ...]
    trials: int
    failed: int

    @property
    def at_edge(self) -> bool:
        """Whether no larger one, or no smaller one, was tried."""
        return not self.tried or self.best in (self.tried[0], self.tried[-1])

    @property
    def step(self) -> float:
        """Mean logarithm of the ratios to the rates next to the best: as well as that it is known; NaN at the edge."""
        if self.at_edge:
            return np.nan
        i = self.tried.index(self.best)
        return math.log(self.tried[i + 1] / self.tried[i - 1]) / 2


# One sweep


@dataclass(frozen=True)
class Sweep:
    """One strategy on one workload over batch sizes.

    Attributes:
        workload: its name.
        trainer: the strategy.
        searched: the trials of its searches, at every rate that was tried.
        measured: results whose trials are those at the best rate of each batch size, a cell each.
        cells: the summary of ``measured``, batch sizes ascending.
        rates: the best rate by batch size.
        fit: samples to target over batch size.
        left_out: how well it predicts.
    """

    workload: str
    trainer: str
    searched: pd.DataFrame
    measured: Results
    cells: list[Cell]
    rates: dict[float, Rate]
    fit: CriticalBatch
    left_out: LeaveOneOut


def sweeps(results: Results) -> list[Sweep]:
    """Return every strategy's sweep, in the order of workloads and strategies; only of what was measured already."""
    trials = results.trials[results.trials["comparison"] == COMPARISON]
    trials = trials[(trials["batch_size"] > 0) & trials["lr"].notna() & ~trials["superseded"].astype(bool)]
    series = trials.groupby(["workload", "trainer", "environment"])
    return [
        _sweep(results, str(workload), str(trainer), own)
        for (workload, trainer, _), own in series
        if (own["search"] == "").any()
    ]


def _sweep(results: Results, workload: str, trainer: str, trials: pd.DataFrame) -> Sweep:
    searched, measured = trials[trials["search"] != ""], trials[trials["search"] == ""]
    rates = {}
    for size, own in measured.groupby("batch_size"):
        tried = searched[searched["search"] == own["cell"].iloc[0]]
        rates[float(size)] = Rate(  # type: ignore[arg-type]
            float(own["lr"].iloc[0]),
            tuple(float(rate) for rate in sorted(tried["lr"].unique())),
            len(tried),
            int(tried["samples_to_target"].isna().sum()),
        )
    own_results = replace(results, trials=measured)
    sizes, samples = measured["batch_size"].tolist(), measured["samples_to_target"].tolist()
    cells = in_order(cells_of(own_results, COMPARISON), "batch_size")
    hyperbola, left_out = fit(sizes, samples), leave_one_out(sizes, samples)
    return Sweep(workload, trainer, searched, own_results, list(cells), rates, hyperbola, left_out)


def of_mini_batch(results: Results) -> dict[str, Sweep]:
    """Return mini-batch training's sweep by workload: what noise scales and goodput are held against."""
    return {sweep.workload: sweep for sweep in sweeps(results) if sweep.trainer == "MiniBatch"}


def regime(found: CriticalBatch, batch_size: float) -> str:
    """Return where a batch size lies on the hyperbola; both names where B_crit's interval leaves it open.

    "perfect scaling": twice the batch takes almost half the steps. "maximal parallelism": steps are almost at their
    least. "diminishing returns" in between. ``—`` where B_crit is not identifiable.
    """
    if not found.identifiable:
        return MISSING
    names = [_regime(batch_size / critical) for critical in (found.high, found.low)]
    return listed(dict.fromkeys(names), "or")


def _regime(share: float) -> str:
    if share <= PERFECT:
        return "perfect scaling"
    return "maximal parallelism" if share >= 1 / PERFECT else "diminishing returns"


# The best batch size, and the price of another


@dataclass(frozen=True)
class Best:
    """The batch size that takes least of one metric.

    Attributes:
        metric: a key of ``METRICS``.
        cell: the best of those that reached the target in every trial; None if there is none.
        others: every other batch size against it, by batch size: also those that missed the target.
        tied: those of the others that are not resolved to take more, and reached the target in every trial.
        excluded: those that did not reach the target in every trial.
    """

    metric: str
    cell: Cell | None
    others: dict[float, Pair]
    tied: tuple[float, ...]
    excluded: tuple[float, ...]

    @property
    def decided(self) -> bool:
        """Whether there is a best one, and trials enough to tell it from others."""
        return self.cell is not None and all(self.others[size].comparison.n >= 3 for size in self.tied)


def best(sweep: Sweep, metric: str) -> Best:
    """Return the batch size with the least ``metric``, and which are not resolved from it, paired within blocks.

    The least median, unless another batch size is resolved to beat it. Each batch size is compared with it alone: of
    twenty that are in truth equal, one may be said to be worse.
    """
    eligible = [cell for cell in sweep.cells if cell["n_reached"] == cell["n"]]
    excluded = tuple(float(cell["batch_size"]) for cell in sweep.cells if cell not in eligible)
    chosen, others = None, {}
    for chosen in in_order(eligible, metric):
        others = {
            float(cell["batch_size"]): pair(sweep.measured, cell, chosen, metric)
            for cell in sweep.cells
            if cell is not chosen
        }
        if not any(found.verdict in ("faster", "less") for size, found in others.items() if size not in excluded):
            break
    tied = [size for size, found in others.items() if found.verdict not in ("slower", "more") and size not in excluded]
    return Best(metric, chosen, others, tuple(tied), excluded)


@dataclass(frozen=True)
class Price:
    """What it costs to take the batch size that a rule of thumb names.

    Attributes:
        rule: in words.
        batch_size: that it names here.
        seconds: its seconds to target over those of the fastest batch size; None if it is the fastest.
    """

    rule: str
    batch_size: float
    seconds: Pair | None


def prices(sweep: Sweep) -> list[Price]:
    """Return what common rules cost in seconds to target; none if no batch size reached it in every trial."""
    fastest = best(sweep, "seconds_to_target")
    if fastest.cell is None:
        return []
    rules = {}
    for metric, rule in (("samples_to_target", "fewest samples"), ("steps_to_target", "fewest steps")):
        least = best(sweep, metric).cell
        if least is not None:
            rules[rule] = float(least["batch_size"])
    rules["the largest that fits"] = max(float(c["batch_size"]) for c in sweep.cells if c["samples_per_second"] > 0)
    if COMMON in sweep.rates:
        rules["a common default"] = COMMON
    return [Price(rule, size, fastest.others.get(size)) for rule, size in rules.items()]


# The best rate over batch size


@dataclass(frozen=True)
class Exponent:
    """How the best learning rate grows with the batch size: as its power ``value`` up to ``ends``, then no more.

    Attributes:
        value: the exponent: 1 is the linear rule, 0.5 the square root's; NaN where there is none.
        low: lower end of its 95 % interval.
        high: upper end.
        ends: the batch size from which on the rate no longer grows; infinite where no end was seen.
        batch_sizes: that it was fitted to.
        level: logarithm of the rate at batch size 1.
        reason: why there is no exponent, or empty.
    """

    value: float
    low: float
    high: float
    ends: float
    batch_sizes: tuple[float, ...]
    level: float = np.nan
    reason: str = ""

    def at(self, batch_sizes: npt.ArrayLike) -> Floats:
        """Return the fitted rate at ``batch_sizes``."""
        size = np.minimum(np.asarray(batch_sizes, float), self.ends)
        return np.asarray(np.exp(self.level) * size**self.value)


def exponent(sweep: Sweep) -> Exponent:
    """Fit the best rate to a power of the batch size, which may end within what was measured.

    Least squares of logarithms, a point a batch size, with Student's interval. A rate is known no better than the
    step between the rates that were tried, so that the scatter is taken to be at least that of the rounding to it. An
    end is claimed where the scatter with it is smaller, by an F test at 5 % over all ends that were tried; the interval
    takes it as given. A best rate at the edge of those tried may lie beyond them, and is left out.

    Source: M. L. Goyal et al. 2017, arXiv 1706.02677 (linear); S. Malladi et al. 2022, arXiv 2205.10287 (square root).
    """
    reached = {float(cell["batch_size"]) for cell in sweep.cells if cell["n_reached"]}
    used = {size: rate for size, rate in sweep.rates.items() if size in reached and not rate.at_edge}
    sizes = tuple(sorted(used))
    if len(sizes) < 3:
        why = f"a best rate within those tried is known at {len(sizes)} batch sizes: at least 3 are needed"
        return Exponent(np.nan, np.nan, np.nan, np.nan, sizes, reason=why)
    x, y = np.log(sizes), np.log([used[size].best for size in sizes])
    rounding = float(np.mean([used[size].step ** 2 for size in sizes])) / 12
    least, squares, ends = 2, _scatter(x, y), math.inf
    candidates = x[2:-1]  # so that two stand before it and one behind
    found = [_scatter(np.minimum(x, end), y) for end in candidates] if len(x) >= 5 else []
    if found:
        with_end = max(min(found), (len(x) - 3) * rounding)
        f = (squares - with_end) / (with_end / (len(x) - 3))
        if stats.f.sf(f, 1, len(x) - 3) < (1 - CONFIDENCE) / len(found):
            which = int(np.argmin(found))
            least, squares, ends = 3, found[which], sizes[2 + which]
            x = np.minimum(x, candidates[which])
    slope, level = (float(v) for v in np.polyfit(x, y, 1))
    degrees = len(x) - least
    spread = math.sqrt(max(squares / degrees, rounding) / float(((x - x.mean()) ** 2).sum()))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * spread
    return Exponent(slope, slope - half, slope + half, ends, sizes, level)


def _scatter(x: Floats, y: Floats) -> float:
    """Return the sum of squares about the straight line."""
    return float(((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2).sum())


# The tables


def table(results: Results) -> pd.DataFrame:
    """Return the sweep to read: a row a batch size, each at the learning rate found for it."""
    rows = []
    for sweep in sweeps(results):
        fastest = best(sweep, "seconds_to_target")
        for cell in sweep.cells:
            size = float(cell["batch_size"])
            rows.append(
                {
                    "workload": sweep.workload,
                    "strategy": sweep.trainer,
                    "batch size": number_of(size),
                    "best learning rate": _rate(sweep, size),
                    "reached": f"{cell['n_reached']} of {cell['n']}",
                    "steps to target": median_of(cell, "steps_to_target"),
                    "samples to target": median_of(cell, "samples_to_target"),
                    "seconds to target": median_of(cell, "seconds_to_target", "s"),
                    "throughput": median_of(cell, "samples_per_second", "samples/s"),
                    "regime": regime(sweep.fit, size),
                    "seconds, over the fastest": _price(fastest, size),
                }
            )
    return pd.DataFrame(rows)


def _rate(sweep: Sweep, size: float) -> str:
    rate = sweep.rates[size]
    notes = []
    if rate.failed == rate.trials:
        return "none reached the target"
    if rate.at_edge:
        notes.append("not searched" if not rate.tried else "at the edge of those tried")
    return f"{rate.best:g} ({'; '.join(notes)})" if notes else f"{rate.best:g}"


def _price(fastest: Best, size: float) -> str:
    if fastest.cell is None:
        return MISSING
    if size not in fastest.others:
        return "fastest"
    found = fastest.others[size]
    return f"{found.ratio}{' (not resolved)' if size in fastest.tied and found.verdict == 'undecided' else ''}"


def fits(results: Results) -> pd.DataFrame:
    """Return what was fitted to each sweep, also where it decides nothing: then it says why."""
    rows = []
    for sweep in sweeps(results):
        found, power = sweep.fit, exponent(sweep)
        rows.append(
            {
                "workload": sweep.workload,
                "strategy": sweep.trainer,
                "batch sizes": _range(found.batch_sizes),
                "S_min (steps)": number(found.steps_min),
                "E_min (samples)": number(found.samples_min),
                "B_crit (samples)": _with(found.critical_batch_size, found.low, found.high),
                "from seeds alone": _ends(*found.seeds),
                "rms residual": _percent(found.residual),
                "left out: median inside": _percent(sweep.left_out.interior),
                "left out: the largest": _percent(sweep.left_out.largest, sign=True),
                "identifiable": "yes" if found.identifiable else f"no: {found.reason}",
                "best rate grows as": power.reason or f"B^{_with(power.value, power.low, power.high)}, {_end(power)}",
                "remarks": "; ".join(_remarks(sweep)) or MISSING,
            }
        )
    return pd.DataFrame(rows)


def _remarks(sweep: Sweep) -> list[str]:
    found, remarks = sweep.fit, []
    if found.left_out:
        remarks.append(f"B={_sizes(found.left_out)} left out, for too many trials missed the target")
    if found.falls:
        falls = listed(f"from B={a:g} to {b:g}" for a, b in found.falls)
        remarks.append(f"samples fall {falls}, which no hyperbola does")
    if found.outliers:
        remarks.append(f"B={_sizes(found.outliers)} lies off the curve through the others")
    edge = [size for size, rate in sweep.rates.items() if rate.at_edge and rate.failed < rate.trials]
    if edge:
        remarks.append(f"the best rate at B={_sizes(edge)} is at the edge of those tried: a better one may lie beyond")
    return remarks


def _sizes(sizes: Iterable[float]) -> str:
    return ", ".join(f"{size:g}" for size in sizes) or MISSING


def _range(sizes: Sequence[float]) -> str:
    return f"{len(sizes)}: {sizes[0]:g} to {sizes[-1]:g}" if len(sizes) > 1 else _sizes(sizes)


def _with(value: float, low: float, high: float) -> str:
    return MISSING if math.isnan(value) else f"{number(value)} {_ends(low, high)}".replace(f" {MISSING}", "")


def _ends(low: float, high: float) -> str:
    return MISSING if math.isnan(low) else f"[{number(low)}, {number(high)}]"


def _percent(share: float, sign: bool = False) -> str:
    return MISSING if math.isnan(share) else f"{100 * share:{'+' if sign else ''}.1f} %"


def _end(power: Exponent) -> str:
    if math.isinf(power.ends):
        return f"no end up to B={power.batch_sizes[-1]:g}"
    return f"up to B={power.ends:g}, then no more"


def best_table(results: Results) -> pd.DataFrame:
    """Return the best batch size in samples, in steps and in seconds, and what is not resolved from each."""
    rows = []
    for sweep in sweeps(results):
        row = {"workload": sweep.workload, "strategy": sweep.trainer}
        for metric, (name, _) in METRICS.items():
            found = best(sweep, metric)
            row[f"fewest {name}"] = _choice(found)
        for price in prices(sweep):
            cost = "fastest" if price.seconds is None else f"{price.seconds.ratio} the seconds"
            row[f"price of {price.rule}"] = f"B={price.batch_size:g}: {cost}"
        rows.append(row)
    return pd.DataFrame(rows).fillna(MISSING)


def _choice(found: Best) -> str:
    if found.cell is None:
        return "not decided: no batch size reached the target in every trial"
    if not found.decided:
        return "not decided: at least 3 seeds are needed"
    also = f" (not resolved from it: {_sizes(found.tied)})" if found.tied else ""
    return f"B={number_of(found.cell['batch_size'])}{also}"


# The decision


def decisions(results: Results) -> list[tuple[str, str, str]]:
    """Return the rows of the decision table: constraint, choice, why."""
    found = sweeps(results)
    names = [sweep.workload for sweep in found]
    rows = []
    for sweep in found:
        whose = f" ({sweep.trainer})" if names.count(sweep.workload) > 1 else ""
        for metric, what in (("seconds_to_target", "fastest to target"), ("samples_to_target", "fewest samples")):
            rows.append((f"{sweep.workload}: batch size {what}{whose}", *_decision(sweep, best(sweep, metric))))
    return rows


def _decision(sweep: Sweep, found: Best) -> tuple[str, str]:
    excluded = _excluded(sweep, found)
    if found.cell is None:
        return "not decided", f"No batch size reached the target in every trial. {excluded}".strip()
    size, unit = float(found.cell["batch_size"]), METRICS[found.metric][1]
    spent = f"{median_of(found.cell, found.metric, unit)}{'' if unit else ' samples'}"
    sentences = [f"B={size:g}, at a learning rate of {sweep.rates[size].best:g}: median {spent}."]
    ties = {tied: found.others[tied] for tied in found.tied}
    sentences += [_tie(tied, pair_) for tied, pair_ in sorted(ties.items(), key=_distance)]
    worse = {s: p for s, p in found.others.items() if s not in found.tied and s not in found.excluded}
    if worse:
        nearest = min(worse.items(), key=_distance)
        sentences.append(f"B={nearest[0]:g} takes {nearest[1].times} as much.")
    if found.metric == "seconds_to_target":
        sentences += _warnings(sweep)
    sentences.append("Each batch size at the learning rate found for it, on other seeds.")
    sizes = sorted([size, *found.tied])
    choice = listed([f"B={s:g}" for s in sizes], "or") if found.decided else "not decided"
    return choice, " ".join(filter(None, [*sentences, excluded, _critical(sweep)]))


def _distance(item: tuple[float, Pair]) -> float:
    return item[1].comparison.ratio


def _tie(size: float, found: Pair) -> str:
    if found.verdict == "equivalent":
        return f"B={size:g} is equivalent: {found.times} as much."
    more = "; at least 3 seeds are needed" if found.comparison.n < 3 else ""
    return f"B={size:g} takes {found.times} as much: not resolved{more}."


def _warnings(sweep: Sweep) -> list[str]:
    """Return what the rules cost that are not the fastest, each batch size once."""
    by_size: dict[float, list[Price]] = {}
    for price in prices(sweep):
        if price.seconds is not None:
            by_size.setdefault(price.batch_size, []).append(price)
    return [
        f"B={size:g} ({listed(price.rule for price in same)}) would take {same[0].seconds.times} the seconds."
        for size, same in by_size.items()
        if same[0].seconds is not None
    ]


def _excluded(sweep: Sweep, found: Best) -> str:
    out = [c for c in sweep.cells if float(c["batch_size"]) in found.excluded]
    if not out:
        return ""
    named = listed(f"B={number_of(c['batch_size'])} (reached {c['n_reached']} of {c['n']})" for c in out)
    return f"Excluded, for the target was not reached in every trial: {named}."


def _critical(sweep: Sweep) -> str:
    found = sweep.fit
    if not found.identifiable:
        return f"The critical batch size is not identifiable: {found.reason}."
    return f"The critical batch size is {_with(found.critical_batch_size, found.low, found.high)}."
