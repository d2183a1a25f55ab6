"""What fewer tried rates would have been worth, and whether the best search depends on how many are tried.

No rate is valued on the seeds that it was chosen on: each seed is left out in turn, the rate is chosen on the others,
and its trial with that seed counts.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.rate_searches import SCORE, Searched, searches
from paceline.bench.analysis.statistics import Floats, student

# Numbers of tried rates after which the best search is asked for.
EFFORTS = (3, 5, 9)


def chances(rates: int, k: int) -> Floats:
    """Return the chance [rates] that the i-th best of ``rates`` is the best of ``k`` drawn without replacement.

    All k are among the i-th and those behind it, and one of them is the i-th: C(rates - i, k - 1) / C(rates, k).

    Raises:
        ValueError: if ``k`` is not in 1..rates.
    """
    if not 1 <= k <= rates:
        raise ValueError(f"k must be in 1..{rates}, the number of rates tried; got {k}")
    behind = np.arange(rates - 1, -1, -1)
    return np.asarray(special.comb(behind, k - 1) / special.comb(rates, k))


def best_of(found: Searched, k: int) -> Floats:
    """Return the expected cost [seeds] of the best of ``k`` rates of the coarse grid, drawn at random.

    Rates that the search placed around the best of others are no draws: they would make few rates look like many. The
    expectation is exact, over all sets of ``k`` rates. Each seed's is of rates chosen on the other seeds; with one
    seed there is no other, and the choice is optimistic. Times ``found.sign`` it is in the metric's unit.

    Raises:
        ValueError: see ``chances``.

    Source: J. Dodge et al. 2019, "Show Your Work" (EMNLP), equation 5, there with replacement.
    """
    probabilities = chances(len(found.coarse), k)
    return np.array([probabilities @ found.cost[_coarse_first(found, others), s] for s, others in _left_out(found)])


def _coarse_first(found: Searched, seeds: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.intp]:
    """Return the indices of the coarse rates, best first."""
    order = found.order(seeds)
    return np.asarray(order[np.isin(order, found.coarse)])


def _left_out(found: Searched) -> list[tuple[int, npt.NDArray[np.bool_] | None]]:
    """Return each seed's index, and which seeds to choose on when it counts."""
    seeds = np.arange(len(found.seeds))
    return [(int(s), seeds != s if len(seeds) > 1 else None) for s in seeds]


def optimism(found: Searched) -> float:
    """Return how much better the best rate looks on the seeds that chose it than on others; NaN with one seed.

    As a share of what it is worth on the others. Infinite where it failed on all of them.
    """
    if len(found.seeds) < 2:
        return math.nan
    honest = float(np.mean([found.cost[found.order(others)[0], s] for s, others in _left_out(found)]))
    return (honest - float(found.cost[found.best].mean())) / abs(honest) if honest else math.nan


def _by_seed(found: Searched, k: int) -> "pd.Series[float]":
    return pd.Series(best_of(found, k), index=found.seeds)


@dataclass(frozen=True)
class Standing:
    """Which search of a workload is best after how many tried rates.

    Attributes:
        searches: those compared.
        efforts: numbers of tried rates that were asked for.
        best: name of the search with the best expected value, for each effort.
        tied: names of those not resolved from it, for each effort; all others where there are fewer than three seeds.
    """

    searches: tuple[Searched, ...]
    efforts: tuple[int, ...]
    best: tuple[str, ...]
    tied: tuple[tuple[str, ...], ...]

    @property
    def label(self) -> str:
        """Return "stable" where the best search is the same for all efforts, else whether that is resolved.

        "tuning-dependent" where two searches change places, and each is resolved to be worse at the other's effort;
        "not resolved" where they do by what was measured, but trials differ by as much. Empty where there are no two
        searches, or too few rates for two efforts: there is nothing that could change.
        """
        if len(self.searches) < 2 or len(self.efforts) < 2:
            return ""
        if len(set(self.best)) == 1:
            return "stable"
        places = list(zip(self.best, self.tied, strict=True))
        changed = any(a != b and b not in tied and a not in of_b for a, tied in places for b, of_b in places)
        return "tuning-dependent" if changed else "not resolved"

    def turns(self, name: str) -> bool:
        """Return whether this search and the one that is best at the largest effort change places below it."""
        return self.label == "tuning-dependent" and name in self.best


def efforts(found: list[Searched]) -> tuple[int, ...]:
    """Return 3, 5 and 9 rates, as far as all coarse grids hold so many, and all that they hold if fewer."""
    most = min(len(one.coarse) for one in found)
    return tuple(sorted({k for k in EFFORTS if k <= most} | {min(most, EFFORTS[-1])}))


def standings(results: Results, comparison: str, metric: str | None = None) -> list[Standing]:
    """Return which search is best after how many tried rates, for each workload (and environment).

    A search is *tuning-dependent* if it has the best expected value for one number of tried rates out of 3, 5 and 9,
    and another one has it for another number, both resolved: what was concluded would turn on how much was tuned.

    Args:
        results: see ``searches``.
        comparison: see ``searches``.
        metric: see ``searches``.
    """
    groups: dict[tuple[str, str], list[Searched]] = {}
    for one in searches(results, comparison, metric):
        groups.setdefault((one.workload, one.environment), []).append(one)
    return [_standing(group) for group in groups.values()]


def _standing(group: list[Searched]) -> Standing:
    ks, best, tied = efforts(group), [], []
    for k in ks:
        by_seed = {one.name: _by_seed(one, k) for one in group}
        first = min(by_seed, key=lambda name: float(by_seed[name].mean()))
        others = [name for name in by_seed if name != first]
        best.append(first)
        tied.append(tuple(name for name in others if not _worse(by_seed[name], by_seed[first], group[0].metric)))
    return Standing(tuple(group), ks, tuple(best), tuple(tied))


def _worse(a: "pd.Series[float]", b: "pd.Series[float]", metric: str) -> bool:
    """Return whether the costs ``a`` are resolved to exceed ``b``, seed by seed (Student's t)."""
    differences = (a - b).dropna() if metric == SCORE else (a / b).dropna().map(math.log)
    return len(differences) >= 3 and bool(student(np.array(differences))[0] > 0)
