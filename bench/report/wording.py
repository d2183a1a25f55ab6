"""Numbers in words: to three digits, with their unit and 95 % interval. ``—`` stands for "not measured here"."""

import math
from collections.abc import Iterable

from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.statistics import Comparison, Interval

MISSING = "—"


def number(value: float) -> str:
    """Return ``value`` to three significant digits, thousands separated; ``—`` for NaN."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    rounded = float(f"{value:.2e}")  # first, for 9.999 is 10.0 and not 10.00
    decimals = max(0, 2 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}"


def with_interval(value: float, low: float, high: float, n: int, unit: str = "", scale: float = 1.0) -> str:
    """Return "0.21 s [0.19, 0.24]"; where there is no interval, how many values there were."""
    if math.isnan(value):
        return MISSING
    text = f"{number(value * scale)} {unit}".strip()
    if math.isnan(low):
        return f"{text} (n={n})"
    return f"{text} [{number(low * scale)}, {number(high * scale)}]"


def ratio(found: Comparison | Pair) -> str:
    """Return "0.97 [0.90, 1.05], n=6", as in a table; before it whether it is a bound; or that there is no interval."""
    if isinstance(found, Pair):
        return f"{found.bound} {ratio(found.comparison)}".strip()
    if not found.n:
        return "no pair of trials to compare"
    if math.isnan(found.low) or math.isnan(found.high):
        return f"{number(found.ratio)}, no interval at n={seeds(found)}"
    low, high = number(found.low), number(found.high)
    # Where trials missed the target it is the median and the sign test's interval, not the mean and Student's.
    of = ", median" if found.judged is not None and math.isnan(found.spread) and found.n >= 6 else ""
    return f"{number(found.ratio)} [{low}, {high}], n={seeds(found)}{of}"


def times(found: Comparison | Pair) -> str:
    """Return "0.97 times [0.90, 1.05; n=6]", as it reads within a sentence."""
    if isinstance(found, Pair):
        return f"{found.bound} {times(found.comparison)}".strip()
    if not found.n:
        return "(no pair of trials to compare) times"
    value = number(found.ratio)
    if math.isnan(found.low) or math.isnan(found.high):
        return f"{value} times (no interval at n={seeds(found)})"
    return f"{value} times [{number(found.low)}, {number(found.high)}; n={seeds(found)}]"


def seeds(found: Comparison) -> str:
    """Return n of a comparison: "6"; where seeds were repeated, "6 seeds x 2" or "6 seeds, 10 pairs".

    With what is not in it: blocks in which one of the two ended without a result.
    """
    lost = f", {found.failed} failed" if found.failed else ""
    if found.pairs <= found.n:
        return f"{found.n}{lost}"
    repeats, rest = divmod(found.pairs, found.n)
    return f"{found.n} seeds, {found.pairs} pairs{lost}" if rest else f"{found.n} seeds x {repeats}{lost}"


def more_seeds(count: float) -> str:
    """Return how many more seeds would decide what is undecided: ": about 9 more seeds would decide it"; or ""."""
    if math.isnan(count):
        return ""
    if math.isinf(count):
        return ": more seeds would hardly decide it"
    return f": about {count:,.0f} more seeds would decide it"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return "a, b and c"."""
    words = list(words)
    return f" {last} ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def number_of(count: float) -> str:
    """Return a count in full, thousands separated."""
    return MISSING if math.isnan(count) else f"{int(count):,}"


def percent(share: float, digits: int = 0, sign: bool = False) -> str:
    """Return "12 %", "+3.1 %"; ``—`` where it is not known."""
    return f"{100 * share:{'+' if sign else ''}.{digits}f} %" if math.isfinite(share) else MISSING


def two_digits(share: float) -> str:
    """Return a share to two significant digits: "3.1 %", "12 %" or ``—``."""
    return percent(share) if share >= 0.0995 else MISSING if math.isnan(share) else f"{100 * share:.2g} %"


def in_seconds(value: float) -> str:
    """Return "0.21 s", or ``—``."""
    return MISSING if math.isnan(value) else f"{number(value)} s"


def interval(found: Interval, unit: str = "", scale: float = 1.0) -> str:
    """Return a median with its interval: see ``with_interval``."""
    return with_interval(found.median, found.low, found.high, found.n, unit, scale)


def in_words(name: str) -> str:
    """Return a name of the records without underscores: "seconds to target"."""
    return name.replace("_", " ")
