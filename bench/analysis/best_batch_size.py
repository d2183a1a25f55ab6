"""The best batch size of a sweep, in samples, in steps or in seconds, and the price of another.

Three batch sizes are best, one for each, and what a wrong one costs can be read off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from paceline.bench.analysis.batch_size_sweep import Sweep
from paceline.bench.analysis.best_of import best_of
from paceline.bench.analysis.cells import Cell, in_order
from paceline.bench.analysis.paired import Pair, pair

# The batch size of many a tutorial, where it was measured.
COMMON = 32.0


@dataclass(frozen=True)
class Best:
    """The batch size that takes least of one metric.

    Attributes:
        metric: "seconds_to_target", "steps_to_target" or "samples_to_target".
        cell: the best of those that reached the target in every trial; None if there is none.
        others: every other batch size against it, by batch size: also those that missed the target. Undecided unless
            the difference stands among all: see ``best_of``.
        prices: what each of the others takes over the best, by batch size, without the luck that made it the best.
        tied: those of the others that are not resolved to take more, and reached the target in every trial.
        excluded: those that did not reach the target in every trial.
    """

    metric: str
    cell: Cell | None
    others: dict[float, Pair]
    tied: tuple[float, ...]
    excluded: tuple[float, ...]
    prices: Mapping[float, Pair] = field(default_factory=dict)

    @property
    def decided(self) -> bool:
        """Whether there is a best one, and trials enough to tell it from others."""
        return self.cell is not None and all(self.others[size].comparison.n >= 3 for size in self.tied)


def best(sweep: Sweep, metric: str) -> Best:
    """Return the batch size with the least ``metric``, and which are not resolved from it: see ``best_of``.

    The least median of those that reached the target in every trial, unless another is resolved to beat it. Those that
    missed are compared with it too, as far as their bounds tell.
    """
    eligible = [cell for cell in sweep.cells if cell["n_reached"] == cell["n"]]
    missed = [cell for cell in sweep.cells if cell["n_reached"] < cell["n"]]
    excluded = tuple(float(cell["batch_size"]) for cell in missed)
    if not eligible:
        return Best(metric, None, {}, (), excluded)
    found = best_of(sweep.measured, in_order(eligible, metric), metric)
    others = {float(cell["batch_size"]): one for cell, one in found.others}
    prices = {float(cell["batch_size"]): price for (cell, _), price in zip(found.others, found.prices, strict=True)}
    late = {float(cell["batch_size"]): pair(sweep.measured, cell, found.cell, metric) for cell in missed}
    others, prices = others | late, prices | late
    tied = tuple(sorted(float(cell["batch_size"]) for cell, _ in found.tied))
    return Best(metric, found.cell, dict(sorted(others.items())), tied, excluded, dict(sorted(prices.items())))


@dataclass(frozen=True)
class Price:
    """What it costs to take the batch size that a rule of thumb names.

    Attributes:
        rule: in words.
        batch_size: that it names here.
        seconds: its seconds to target over those of the fastest batch size; None if it is the fastest.
        verdict: whether it is resolved to take more than the fastest, among all.
    """

    rule: str
    batch_size: float
    seconds: Pair | None
    verdict: str = ""


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
    rules["the largest that was run"] = max(float(c["batch_size"]) for c in sweep.cells if c["samples_per_second"] > 0)
    if COMMON in sweep.rates:
        rules["a common default"] = COMMON
    return [
        Price(rule, size, fastest.prices[size], fastest.others[size].verdict) if size in fastest.prices
        else Price(rule, size, None)
        for rule, size in rules.items()
    ]  # fmt: skip
