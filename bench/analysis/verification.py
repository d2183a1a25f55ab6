"""The last word of an advised run: the best candidates and the user's default, paired on fresh seeds."""

import math
from collections.abc import Collection, Mapping, Sequence
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

# Blocks below which nothing is said.
FEWEST = 3


@dataclass(frozen=True)
class Verified:
    """What the paired trials say.

    Attributes:
        winner: the candidate that reached the target most often, and of those the one of least price; "" if none did.
        others: every other one's price over the winner's, by name, with intervals and verdicts that hold at every look,
            of all of them together.
        reached: the share of trials that reached the target, by name.
        blocks: that all candidates have run.
    """

    winner: str
    others: Mapping[str, Comparison]
    reached: Mapping[str, float]
    blocks: int

    @property
    def decided(self) -> bool:
        """Whether more blocks would change nothing that is said."""
        enough = bool(self.winner) and self.blocks >= FEWEST
        return enough and all(found.verdict != "undecided" for found in self.others.values())

    @property
    def tied(self) -> list[str]:
        """Those that are not known to be dearer than the winner."""
        return [name for name, found in self.others.items() if found.verdict in ("equivalent", "undecided")]


def verified(
    records: Mapping[str, Sequence[Record]], devices: Mapping[str, int], barred: Collection[str] = ()
) -> Verified:
    """Return what the trials of each candidate say.

    Args:
        records: of each, by its name, which is that of its cell.
        devices: what a second of each is multiplied by: 1 where the price is seconds.
        barred: those that must not win, for they break a constraint.
    """
    prices = priced(records, devices)
    common = set.intersection(*({record.block for record in own} for own in records.values())) if records else set()
    prices = prices[prices["block"].isin(common)] if len(prices) else prices
    if not len(prices):
        return Verified("", {}, dict.fromkeys(records, math.nan), 0)
    of = {name: prices[prices["cell"] == name] for name in records}
    reached = {name: float(own["seconds_to_target"].notna().mean()) for name, own in of.items()}
    logs = {name: float(np.log(own["seconds_to_target"]).mean()) for name, own in of.items()}
    eligible = [name for name in records if reached[name] > 0 and name not in barred]
    if not eligible:
        return Verified("", {}, reached, len(common))
    winner = min(eligible, key=lambda name: (-reached[name], logs[name]))
    error = ERROR / max(1, len(records) - 1)
    others = {
        name: at_error(compare_anytime(prices, {"cell": name}, {"cell": winner}), error)
        for name in records
        if name != winner
    }
    return Verified(winner, others, reached, len(common))


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
    NaN where trials missed the target, or there are too few.
    """
    if found.n < FEWEST or math.isnan(found.spread):
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
