"""What the report shows of ``bench_critical_batch.py``: each batch size at its own best learning rate."""

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from paceline.bench.analysis.batch_size_sweep import Sweep, regimes, sweeps
from paceline.bench.analysis.best_batch_size import Best, Price, best, prices
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.rate_exponent import Exponent, exponent
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.contention import touched
from paceline.bench.report.judging import Finding, Judged, over_workloads
from paceline.bench.report.metrics import columns, median_of
from paceline.bench.report.plots import critical_batch as plots
from paceline.bench.report.wording import MISSING, listed, number, number_of, percent, ratio, times

BENCHMARK = "bench_critical_batch.py"

PLOTS = {"critical_batch": plots.critical_batch, "best_rate": plots.best_rate}


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
                    **columns(cell, "steps_to_target", "samples_to_target", "seconds_to_target", "samples_per_second"),
                    "regime": listed(regimes(sweep.fit, size), "or") or MISSING,
                    "seconds, over the fastest": _price(fastest, size),
                }
            )
    return pd.DataFrame(rows)


def _rate(sweep: Sweep, size: float) -> str:
    rate = sweep.rates[size]
    notes = []
    if rate.failed == rate.trials:
        return "none reached the target"
    if rate.outermost:
        notes.append("not searched" if not rate.tried else "at the edge of those tried")
    elif rate.beside_failure:
        notes.append("at the edge: the next one tried never reached the target")
    return f"{rate.best:g} ({'; '.join(notes)})" if notes else f"{rate.best:g}"


def _price(fastest: Best, size: float) -> str:
    if fastest.cell is None:
        return MISSING
    if size not in fastest.others:
        return "fastest"
    open_ = size in fastest.tied and fastest.others[size].verdict == "undecided"
    return f"{ratio(fastest.prices[size])}{' (not resolved)' if open_ else ''}"


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
                "rms residual": percent(found.residual, 1),
                "left out: median inside": percent(sweep.left_out.interior, 1),
                "left out: the largest": percent(sweep.left_out.largest, 1, sign=True),
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
    p, off = found.lack_of_fit
    if p < 0.05:
        remarks.append(
            f"the samples lie off the hyperbola by {percent(off, 1)} beyond chance (lack of fit, p = {p:.2g})"
        )
    if found.outliers:
        remarks.append(f"B={_sizes(found.outliers)} lies off the curve through the others")
    told = {size: rate for size, rate in sweep.rates.items() if rate.failed < rate.trials}
    edge = [size for size, rate in told.items() if rate.outermost]
    if edge:
        remarks.append(f"the best rate at B={_sizes(edge)} is at the edge of those tried: a better one may lie beyond")
    beside = [size for size, rate in told.items() if rate.beside_failure]
    if beside:
        remarks.append(
            f"the rate tried next to the best one at B={_sizes(beside)} never reached the target: a better one may lie "
            "between them, and B needs no more samples than were measured"
        )
    return remarks


def _sizes(sizes: Iterable[float]) -> str:
    return ", ".join(f"{size:g}" for size in sizes) or MISSING


def _range(sizes: Sequence[float]) -> str:
    return f"{len(sizes)}: {sizes[0]:g} to {sizes[-1]:g}" if len(sizes) > 1 else _sizes(sizes)


def _with(value: float, low: float, high: float) -> str:
    return MISSING if math.isnan(value) else f"{number(value)} {_ends(low, high)}".replace(f" {MISSING}", "")


def _ends(low: float, high: float) -> str:
    return MISSING if math.isnan(low) else f"[{number(low)}, {number(high)}]"


def _end(power: Exponent) -> str:
    if math.isinf(power.ends):
        return f"no end up to B={power.batch_sizes[-1]:g}"
    return f"up to B={power.ends:g}, then no more"


def best_sizes(results: Results) -> pd.DataFrame:
    """Return the best batch size in samples, in steps and in seconds, and what is not resolved from each."""
    rows = []
    for sweep in sweeps(results):
        row = {"workload": sweep.workload, "strategy": sweep.trainer}
        for counted in ("samples", "steps", "seconds"):
            row[f"fewest {counted}"] = _choice(best(sweep, f"{counted}_to_target"))
        for price in prices(sweep):
            cost = "fastest" if price.seconds is None else f"{ratio(price.seconds)} the seconds"
            cost += " (not resolved)" if price.verdict == "undecided" else ""
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


def decisions(results: Results) -> list[Decision]:
    """Return which batch size is fastest to the target, and which takes the fewest samples, a row each a sweep."""
    found = sweeps(results)
    names = [sweep.workload for sweep in found]
    rows = []
    for sweep in found:
        whose = f" ({sweep.trainer})" if names.count(sweep.workload) > 1 else ""
        for metric, what in (("seconds_to_target", "fastest to target"), ("samples_to_target", "fewest samples")):
            constraint = f"{sweep.workload}: batch size {what}{whose}"
            choice, why = _decision(sweep, best(sweep, metric))
            rows.append(Decision(constraint, choice, f"{touched(results, *sweep.cells)} {why}".strip()))
    return rows or not_run("batch size at its own best learning rate", BENCHMARK)


def _decision(sweep: Sweep, found: Best) -> tuple[str, str]:
    excluded = _excluded(sweep, found)
    if found.cell is None:
        return NOT_DECIDED, f"No batch size reached the target in every trial. {excluded}".strip()
    size = float(found.cell["batch_size"])
    spent = f"{median_of(found.cell, found.metric)}{' samples' if found.metric == 'samples_to_target' else ''}"
    sentences = [f"B={size:g}, at a learning rate of {sweep.rates[size].best:g}: median {spent}."]
    ties = {tied: found.prices[tied] for tied in found.tied}
    sentences += [_tie(tied, found.others[tied], price) for tied, price in sorted(ties.items(), key=_distance)]
    worse = {s: p for s, p in found.prices.items() if s not in found.tied and s not in found.excluded}
    warned = _warnings(sweep) if found.metric == "seconds_to_target" else {}
    if worse:
        nearest = min(worse.items(), key=_distance)
        sentences.append("" if nearest[0] in warned else f"B={nearest[0]:g} takes {times(nearest[1])} as much.")
    sentences += warned.values()
    default = [size for size, rate in sweep.rates.items() if not rate.tried]
    unequal = f" No rate was searched for B={_sizes(default)}." if default else ""
    sentences.append(f"Each batch size at the learning rate found for it, on other seeds.{unequal}")
    sizes = sorted([size, *found.tied])
    sentences.append(_next_to(sweep, sizes))
    choice = listed([f"B={s:g}" for s in sizes], "or") if found.decided else NOT_DECIDED
    return choice, " ".join(filter(None, [*sentences, excluded, _critical(sweep)]))


def _distance(item: tuple[float, Pair]) -> float:
    return item[1].comparison.ratio


def _tie(size: float, found: Pair, price: Pair) -> str:
    if found.verdict == "equivalent":
        return f"B={size:g} is equivalent: {times(found)} as much."
    more = "; at least 3 seeds are needed" if found.comparison.n < 3 else ""
    return f"B={size:g} takes {times(price)} as much: not resolved{more}."


def _next_to(sweep: Sweep, sizes: Sequence[float]) -> str:
    """Return which batch sizes were tried next to those chosen: the best may lie anywhere up to there."""
    tried = sorted(float(cell["batch_size"]) for cell in sweep.cells)
    below, above = [s for s in tried if s < min(sizes)], [s for s in tried if s > max(sizes)]
    ends = [*below[-1:], *above[:1]]
    return f"Tried next to {'it' if len(sizes) == 1 else 'these'}: {listed(f'B={s:g}' for s in ends)}." if ends else ""


def _warnings(sweep: Sweep) -> dict[float, str]:
    """Return what the rules cost that are resolved not to be the fastest, by batch size."""
    by_size: dict[float, list[Price]] = {}
    for price in prices(sweep):
        if price.seconds is not None and price.verdict == "slower":
            by_size.setdefault(price.batch_size, []).append(price)
    return {
        size: f"B={size:g} ({listed(price.rule for price in same)}) would take {times(same[0].seconds)} the seconds."
        for size, same in by_size.items()
        if same[0].seconds is not None
    }


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


def rate_should_grow(results: Results) -> Judged:
    """Judge that the best rate grows with the batch size: linearly, as its root, or neither."""
    findings = []
    for sweep in sweeps(results):
        power, where = exponent(sweep), f"On {sweep.workload} ({sweep.trainer})"
        if power.reason:
            findings.append(Finding(None, f"{where} no exponent is known: {power.reason}."))
            continue
        rules = [name for name, rule in (("linear", 1.0), ("root", 0.5)) if power.low <= rule <= power.high]
        fits = {
            (): "neither the linear nor the root rule agrees",
            ("linear",): "the linear rule agrees, the root rule does not",
            ("root",): "the root rule agrees, the linear rule does not",
            ("linear", "root"): "between the linear and the root rule it is undecided",
        }[tuple(rules)]
        grown = f"{number(power.value)} [{number(power.low)}, {number(power.high)}]"
        ended = power.ends < power.batch_sizes[-1]
        end = f"and no more from B={number_of(power.ends)} on" if ended else "and no end of it was seen"
        text = f"{where} the best rate grows as the batch size to the power of {grown}: {fits}, {end}."
        if power.high < 0.5 or power.low > 1:
            findings.append(Finding("fails", text))
        elif power.low <= 0 or len(rules) == 2:
            findings.append(Finding(None, text))
        elif ended or not rules:
            findings.append(Finding("depends", f"It depends on the batch size. {text}" if ended else text))
        else:
            findings.append(Finding("holds", text))
    return over_workloads(findings, BENCHMARK)
