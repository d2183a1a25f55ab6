"""The null test: what a run shows between two names of the same strategy is noise, and nothing below it is seen.

``bench_null.py`` runs one strategy as cells "A" and "B" in every block, on the same seeds, so that both take the
same steps from the same weights: whatever differs between them is the machine and the clock.
"""

import math
from dataclasses import dataclass

from scipy import stats

from paceline.bench.analysis.cells import by_workload, cells_of, in_order
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import compared
from paceline.bench.analysis.power import smallest_effect
from paceline.bench.analysis.statistics import CONFIDENCE, Comparison, Floats, log_ratios

# In the order in which a run is judged by them: decisions are made on the first.
METRICS = ("seconds_to_target", "seconds_per_step")


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
    """

    workload: str
    metric: str
    logs: Floats
    comparison: Comparison
    noise: float
    noise_low: float
    noise_high: float

    def smallest(self, n: int) -> float:
        """Return the smallest difference that ``n`` blocks show at 80 % power, as a share: 0.05 is 5 %."""
        return math.expm1(self.noise * smallest_effect(n))


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
            found.append(Null(workload, metric, logs, comparison, noise, least, most))
    return found


def blocks_of(results: Results) -> dict[tuple[str, str], int]:
    """Return how many blocks each (comparison, workload) ran; the null test's own are not among them."""
    found: dict[tuple[str, str], set[int]] = {}
    for record in results.records:
        if record.comparison != "null" and not record.search:
            found.setdefault((record.comparison, record.workload), set()).add(record.block)
    return {key: len(blocks) for key, blocks in found.items()}
