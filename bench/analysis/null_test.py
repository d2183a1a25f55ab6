"""The null test: what a run shows between two names of the same strategy is noise, and nothing below it is seen.

``bench_null.py`` runs one strategy as cells "A" and "B" in every block, on the same seeds, so that both take the
same steps from the same weights: whatever differs between them is the machine and the clock.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from paceline.bench.analysis.cells import by_workload, cells_of, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import compared
from paceline.bench.analysis.statistics import CONFIDENCE, Comparison, Floats, log_ratios, student

# In the order in which a run is judged by them: decisions are made on the first.
METRICS = ("seconds_to_target", "seconds_per_step")

POWER = 0.8

RELABELLINGS = 4096  # all of them up to 12 blocks


@dataclass(frozen=True)
class Null:
    """What the null test found in one metric of one workload.

    Attributes:
        workload: what A and B trained on.
        metric: a column of ``trials``.
        logs: log(A / B) of each block in which both have a value.
        comparison: A against B, as any two strategies are compared.
        noise: standard deviation of ``logs``: what a single pair differs by.
        noise_low: lower end of its 95 % interval.
        noise_high: upper end.
        false_positives: share of relabellings of A and B that the comparison calls different.
    """

    workload: str
    metric: str
    logs: Floats
    comparison: Comparison
    noise: float
    noise_low: float
    noise_high: float
    false_positives: float

    def smallest(self, n: int) -> float:
        """Return the smallest difference that ``n`` blocks show at 80 % power, as a share: 0.05 is 5 %."""
        return math.expm1(self.noise * smallest_effect(n))


def smallest_effect(n: int) -> float:
    """Return the true difference, in standard deviations of a pair, that ``n`` pairs show at 80 % power.

    Two-sided at 5 %. Infinite below three pairs, for which there is no verdict.

    Source: the noncentral t distribution; J. Cohen 1988, Statistical Power Analysis, chapter 2.
    """
    if n < 3:
        return math.inf
    limit = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)

    # The other tail is left out: at this power it holds less than a millionth.
    shift = optimize.brentq(lambda shift: stats.nct.sf(limit, n - 1, shift) - POWER, 0.5, 8.0)
    return float(shift / math.sqrt(n))


def called_different(logs: Floats) -> float:
    """Return how often the comparison of A with B calls a difference when their names are swapped at random.

    A swap within a block turns the sign of its log ratio. Where A and B are the same, every swap is as likely as
    what was observed, so about one in twenty should be called different, whatever the noise is distributed like.

    Args:
        logs: log(A / B) of each block; all swaps of up to 12 blocks are made, of more blocks 4096 random ones.

    Source: R. A. Fisher 1935, The Design of Experiments, section 21.
    """
    n = len(logs)
    if 2**n <= RELABELLINGS:
        swapped = (np.arange(2**n)[:, np.newaxis] >> np.arange(n)) & 1
    else:
        swapped = np.random.default_rng(0).integers(0, 2, (RELABELLINGS, n))
    low, high = student(np.where(swapped == 1, -logs, logs))
    return float(((low > 0) | (high < 0)).mean())


def nulls(results: Results) -> list[Null]:
    """Return what the null test found, a workload after the other; nothing where fewer than three blocks have both."""
    found = []
    for workload, cells in by_workload(in_order(cells_of(results, "null"), "workload", "cell")).items():
        if len(cells) != 2:
            continue
        a, b = ({"comparison": "null", "cell": cell["cell"]} for cell in cells)
        for metric in METRICS:
            low, high = log_ratios(results.trials, a, b, metric)
            logs = low[low == high]  # a trial that missed the target has no time to compare
            n = len(logs)
            if n < 3:
                continue
            noise = float(logs.std(ddof=1))
            tails = stats.chi2.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], n - 1)
            least, most = (noise * math.sqrt((n - 1) / float(tail)) for tail in tails)
            comparison = compared(results, a, b, metric)
            found.append(Null(workload, metric, logs, comparison, noise, least, most, called_different(logs)))
    return found


def blocks_of(results: Results) -> dict[tuple[str, str], int]:
    """Return how many blocks each (comparison, workload) ran; the null test's own are not among them."""
    found: dict[tuple[str, str], set[int]] = {}
    for record in results.records:
        if record.comparison != "null" and not record.search:
            found.setdefault((record.comparison, record.workload), set()).add(record.block)
    return {key: len(blocks) for key, blocks in found.items()}
