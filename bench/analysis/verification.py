"""The last word of an advised run: the best candidates and the user's default, paired on fresh seeds."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from paceline.bench.analysis.frames import trials_frame
from paceline.bench.analysis.power import MOST
from paceline.bench.analysis.sequential import anytime_interval, compare_anytime
from paceline.bench.analysis.statistics import ERROR, MARGIN, Comparison, verdict_of
from paceline.bench.analysis.step_times import compile_seconds
from paceline.bench.records.record import Record

# Blocks below which nothing is said, and below which nothing is expected of what a choice costs on average.
FEWEST, FEWEST_FOR_A_LOSS = 3, 8

TIED = ("equivalent", "undecided")


@dataclass(frozen=True)
class Verified:
    """What the paired trials say.

    Attributes:
        winner: of those that run on, the candidate that reached the target most often, and of those the one of least
            price; "" if none reached it.
        others: every other one's price over the winner's, by name, with intervals and verdicts that hold at every look,
            of all pairs together.
        reached: the share of trials that reached the target, by name.
        blocks: that all candidates that run on have run.
        running: those that run on. Who is slower than each of them need not: that verdict stands whoever wins.
    """

    winner: str
    others: Mapping[str, Comparison]
    reached: Mapping[str, float]
    blocks: int
    running: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """Whether more blocks would change nothing that is said: something was compared, and nothing is left open."""
        enough = bool(self.winner) and bool(self.others) and self.blocks >= FEWEST
        return enough and all(self.others[name].verdict != "undecided" for name in self.running if name in self.others)

    @property
    def tied(self) -> list[str]:
        """Those that are not known to be dearer than the winner."""
        return [name for name in self.running if name in self.others and self.others[name].verdict in TIED]


def verified(
    records: Mapping[str, Sequence[Record]], devices: Mapping[str, int], barred: Collection[str] = ()
) -> Verified:
    """Return what the trials of each candidate say.

    Args:
        records: of each, by its name, which is that of its cell.
        devices: what a second of each is multiplied by: 1 where the price is seconds.
        barred: those that must not win, for they break a constraint; they do not run on.
    """
    prices = priced(records, devices)
    if not all(records.values()):  # one has not run yet, so that there is no block
        return Verified("", {}, dict.fromkeys(records, math.nan), 0, tuple(records))
    of = {name: prices[prices["cell"] == name].set_index("block")["seconds_to_target"] for name in records}
    reached = {name: float(own.notna().mean()) for name, own in of.items()}
    error = ERROR / max(1, math.comb(len(records), 2))  # whichever of them wins

    def against(one: str, other: str) -> Comparison:
        return at_error(compare_anytime(prices, {"cell": one}, {"cell": other}), error)

    running = _not_slower([name for name in records if name not in barred], against)
    common = set.intersection(*(set(of[name].index) for name in running)) if running else set()
    logs = {name: float(np.log(of[name][of[name].index.isin(common)]).mean()) for name in running}
    eligible = [name for name in running if reached[name] > 0 and common]
    if not eligible:
        return Verified("", {}, reached, len(common), tuple(running))
    winner = min(eligible, key=lambda name: (-reached[name], logs[name]))
    others = {name: against(name, winner) for name in records if name != winner}
    return Verified(winner, others, reached, len(common), tuple(running))


def _not_slower(names: Sequence[str], against: Callable[[str, str], Comparison]) -> list[str]:
    """Return ``names`` without those that are slower than each that is left."""
    left = list(names)
    while len(left) > 1:
        slow = (one for one in left if all(against(one, other).verdict == "slower" for other in left if other != one))
        out = next(slow, None)
        if out is None:
            break
        left.remove(out)
    return left


def priced(records: Mapping[str, Sequence[Record]], devices: Mapping[str, int]) -> pd.DataFrame:
    """Return the trials with prices in place of seconds: compiling included, times the devices that were kept."""
    flat = tuple(record for own in records.values() for record in own)
    trials = trials_frame(flat)
    if not flat:
        return trials
    compiling = np.array([compile_seconds(record) for record in flat])
    kept = np.array([devices[record.cell] for record in flat], float)
    return trials.assign(
        **{name: (trials[name].astype(float) + compiling) * kept for name in ("seconds_to_target", "train_seconds")}
    )


def at_error(found: Comparison, error: float) -> Comparison:
    """Return ``found`` with the interval and the verdict of another error rate: that of one of a family."""
    if found.ends is None:
        return found
    low, high = found.ends(error)
    return replace(found, low=low, high=high, verdict=verdict_of(low, high, MARGIN, "seconds_to_target"))


def expected_loss(found: Comparison) -> float:
    """Return what taking the other is expected to cost more, as a share of the winner's price.

    The logarithm of the ratio is taken as normal about its mean; where it is cheaper that counts as no loss.
    Of few trials neither its mean nor its deviation is known well enough for that: NaN below eight, and where trials
    missed the target.
    """
    if found.n < FEWEST_FOR_A_LOSS or math.isnan(found.spread):
        return math.nan
    mean, deviation = math.log(found.ratio), found.spread / math.sqrt(found.n)
    if not deviation > 0:
        return max(0.0, found.ratio - 1)
    # E[exp(X); X > 0] - P(X > 0) of a normal X.
    dearer = math.exp(mean + deviation**2 / 2) * stats.norm.cdf(mean / deviation + deviation)
    return float(dearer - stats.norm.cdf(mean / deviation))


def blocks_wanted(found: Comparison, error: float = ERROR, margin: float = MARGIN) -> float:
    """Return how many more blocks would decide an undecided pair, were it as it was observed; NaN if not known.

    So many that the interval is as short as the effect is large, or as there is room to equivalence, whichever is
    easier. Infinite beyond a thousand.
    """
    if found.n < 2 or math.isnan(found.spread):
        return math.nan
    effect = abs(math.log(found.ratio))
    room = max(effect, math.log1p(margin) - effect)
    for n in range(found.n + 1, MOST):
        if half_width(n, error) * found.spread <= room:
            return n - found.n
    return math.inf


def half_width(n: int, error: float = ERROR) -> float:
    """Return the half width of ``anytime_interval`` at n values of standard deviation 1."""
    values = np.linspace(-1, 1, n)
    return float(anytime_interval(values / values.std(ddof=1), error)[1])
