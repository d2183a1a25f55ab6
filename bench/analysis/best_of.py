"""The best of several cells, by a method that knows that it is the best of several.

The cell that came out best was also lucky, and to compare it with each of the others at 5 % calls one of six that are
in truth equal worse in 30 % of runs, one of nine in 45 %.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from paceline.bench.analysis.cells import Cell
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import RESIDENT, Pair, looked_at_often, pair
from paceline.bench.analysis.seeds import each_once
from paceline.bench.analysis.statistics import ERROR, MARGIN, Comparison, Floats, student, verdict_of

DRAWS = 4000

HALVES = 100


@dataclass(frozen=True)
class BestOf:
    """The best of several cells, and how the others compare with it.

    Attributes:
        cell: with the least of the metric.
        others: every other cell, in the order given, with its comparison; undecided unless the difference stands among
            all that were compared.
        prices: of the others, what each takes over the best, without the luck that made that the best:
            ``over_the_best``.
        chance: probability that a cell is the best, in the order of ``cell`` and the ``others``; NaN if not known.
        regret: what choosing a cell is expected to cost over the best one, as a share: 0.05 is 5 %; likewise.
    """

    cell: Cell
    others: tuple[tuple[Cell, Pair], ...]
    prices: tuple[Pair, ...]
    chance: tuple[float, ...]
    regret: tuple[float, ...]

    @property
    def tied(self) -> list[tuple[Cell, Pair]]:
        """Those of the others that are not resolved to take more."""
        return [(cell, found) for cell, found in self.others if found.verdict not in ("slower", "more")]


def best_of(results: Results, cells: Sequence[Cell], metric: str) -> BestOf:
    """Return the best of ``cells``: the first that none is resolved to beat.

    Another is called worse only if it is by the pair's own t at 5 %, and further off than Tukey's studentized range
    allows among so many cells, in standard errors of the pair or of all pairs, whichever is larger: a pair of few
    seeds may agree by chance, and a noisy pair is noisier than all together. Its price must say so too.

    Played with 6 and 9 equal cells of 3, 6 and 10 seeds, 3 to 4 % of runs call any of them worse; where the noise of
    cells differs six-fold 4 to 8 %. Of a cell that takes twice as much at a noise of 20 % a trial, 9 of 10 are found
    with 6 seeds.

    Source: J. W. Tukey 1949, Biometrics 5 (the range); J. C. Hsu 1996, Multiple Comparisons, chapter 4.

    Args:
        results: that hold their trials.
        cells: of one workload and comparison, at least one, the candidates first.
        metric: of which less is better.
    """
    least = _logs(results, cells, metric)
    for best in cells:
        found = [(cell, pair(results, cell, best, metric)) for cell in cells if cell is not best]
        others = tuple((cell, _among(results, best["comparison"], one, least, len(cells))) for cell, one in found)
        if not any(one.verdict in ("faster", "less") for _, one in others):
            break
    order = [next(i for i, other in enumerate(cells) if other is cell) for cell in (best, *(c for c, _ in others))]
    least = least[:, order]
    often = looked_at_often(results, best["comparison"])
    prices = tuple(
        one if often else _price(one, own, metric)
        for (_, one), own in zip(others, over_the_best(least).T[1:], strict=True)
    )
    others = tuple(
        (cell, one if price.verdict != "undecided" else _undecided(one))
        for (cell, one), price in zip(others, prices, strict=True)
    )
    return BestOf(best, others, prices, *_chances(least))


def over_the_best(logs: Floats) -> Floats:
    """Return what each cell takes over the best, [..., seeds, cells]: the best of the *other* half of the seeds.

    Where the best is chosen and the others are valued on the same trials, its luck is counted as their price: six equal
    cells of 6 seeds and a noise of 20 % a trial then seem to take 13 % more. Chosen on one half of the seeds and valued
    on the other, as a mean over all halves, they take 2 % more, and the interval covers that they are equal in 95 %
    (instead of 91 %). It is the price over the cell that so many seeds choose, which where others are close is a little
    less than that over the best: with five that are worse by 10 %, 6 % (instead of 16 %).

    Source: V. Chernozhukov et al. 2018, Econometrics Journal 21 (cross-fitting).

    Args:
        logs: of what was measured, [..., seeds, cells].
    """
    seeds = logs.shape[-2]
    if seeds < 2:
        return np.full_like(logs, np.nan)
    total, count = np.zeros_like(logs), np.zeros((seeds, 1))
    for half in _halves(seeds):
        other = np.setdiff1d(np.arange(seeds), half)
        for own, chosen_on in ((half, other), (other, half)):
            best = logs[..., chosen_on, :].mean(axis=-2).argmin(axis=-1)
            mine = logs[..., own, :]
            total[..., own, :] += mine - np.take_along_axis(mine, best[..., np.newaxis, np.newaxis], axis=-1)
            count[own] += 1
    return np.asarray(total / count)


def shares_of_best(results: Results, cells: Sequence[Cell], metric: str) -> list[Comparison]:
    """Return what each of ``cells`` has of a metric of which more is better, over the best: see ``over_the_best``.

    Where fewer than three seeds know all cells, or blocks were added until verdicts fell, over the best of the same
    trials.
    """
    logs = _logs(results, cells, metric)
    if len(logs) < 3 or looked_at_often(results, cells[0]["comparison"]):
        best = max(cells, key=lambda cell: float(cell[metric]))
        return [pair(results, cell, best, metric).comparison for cell in cells]
    found = []
    for own in -over_the_best(-logs).T:
        ratio, low, high = (float(np.exp(log)) for log in (own.mean(), *student(own)))
        found.append(Comparison(ratio, low, high, verdict_of(low, high, MARGIN, metric), len(own), len(own)))
    return found


@cache
def _halves(seeds: int) -> list[npt.NDArray[np.int64]]:
    """Return the halves of so many seeds, all of them or so many at random that it does not matter which."""
    if math.comb(seeds, seeds // 2) <= HALVES:
        return [np.array(half) for half in itertools.combinations(range(seeds), seeds // 2)]
    random = np.random.default_rng(0)
    return [random.permutation(seeds)[: seeds // 2] for _ in range(HALVES)]


def _price(found: Pair, logs: Floats, metric: str) -> Pair:
    """Return ``found`` as the price that ``logs`` [seeds] over the best say; as it is where they cannot.

    What is equivalent has no price, bounds have no mean, and what is off in memory is off in every block: no luck.
    """
    one = found.comparison
    if len(logs) < 3 or math.isnan(one.spread) or one.verdict == "equivalent" or metric in RESIDENT:
        return found
    ratio, low, high = (float(np.exp(log)) for log in (logs.mean(), *student(logs)))
    verdict = verdict_of(low, high, MARGIN, metric)
    return replace(found, comparison=replace(one, ratio=ratio, low=low, high=high, verdict=verdict, n=len(logs)))


def _logs(results: Results, cells: Sequence[Cell], metric: str) -> Floats:
    """Return the logarithms [seeds, cells] of every seed of which all cells have a value."""
    trials = results.trials[results.trials["comparison"] == cells[0]["comparison"]]
    wide = trials[trials["search"] == ""].pivot_table(metric, ["seed", "block"], "cell", observed=True)
    wide = wide.reindex(columns=[cell["cell"] for cell in cells]).dropna()
    wide = wide[(wide > 0).all(axis=1)]
    if wide.empty:
        return np.empty((0, len(cells)))
    seeds = wide.index.get_level_values("seed").tolist()
    return np.stack(each_once(seeds, *np.log(wide.to_numpy(float)).T), axis=1)


def pooled_spread(logs: Floats) -> float:
    """Return the standard deviation of a pair's log ratio from all cells together: what blocks share is taken out."""
    n, k = logs.shape
    if n < 2 or k < 2:
        return math.nan
    rest = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
    return float(np.sqrt(2 * (rest**2).sum() / ((n - 1) * (k - 1))))


@cache
def tukey(k: int, n: int) -> float:
    """Return how many standard errors two of ``k`` equal cells of ``n`` seeds are apart at most in 95 % of runs."""
    return float(stats.studentized_range.isf(ERROR, k, (n - 1) * (k - 1)) / math.sqrt(2))


def _among(results: Results, comparison: str, found: Pair, logs: Floats, k: int) -> Pair:
    """Return ``found``, undecided unless its difference stands among ``k`` cells. What was equivalent stays so."""
    one = found.comparison
    if k <= 2 or one.verdict in ("undecided", "equivalent"):
        return found
    spread = np.fmax(one.spread, pooled_spread(logs))
    if math.isnan(one.spread) or looked_at_often(results, comparison):
        # Bounds, and intervals that hold at every look, have no such range: each pair of all is one of a family.
        stands = one.p <= ERROR / (k * (k - 1) / 2)
    else:
        stands = abs(math.log(one.ratio)) * math.sqrt(one.n) > tukey(k, one.n) * spread
    return found if stands else _undecided(found)


def _undecided(found: Pair) -> Pair:
    return replace(found, comparison=replace(found.comparison, verdict="undecided"))


def _chances(logs: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return each cell's probability of being the least, and the expected cost of choosing it.

    Means are drawn about those observed, with the noise of all cells together, by Student's t: the posterior under a
    flat prior. Fixed draws, so that the same run says the same.
    """
    n, k = logs.shape
    if n < 3 or k < 2:
        return (math.nan,) * k, (math.nan,) * k
    random, degrees = np.random.default_rng(0), (n - 1) * (k - 1)
    scale = pooled_spread(logs) / math.sqrt(2 * n) * np.sqrt(degrees / random.chisquare(degrees, (DRAWS, 1)))
    means = logs.mean(axis=0) + scale * random.standard_normal((DRAWS, k))
    best = means.min(axis=1, keepdims=True)
    chance = (means == best).mean(axis=0)
    return tuple(chance.tolist()), tuple(np.expm1(means - best).mean(axis=0).tolist())
