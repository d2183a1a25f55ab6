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
from paceline.bench.analysis.sequential import RACED, TIMED, partners
from paceline.bench.analysis.statistics import CONFIDENCE, Comparison, Floats, log_ratios
from paceline.bench.records.record import Record

# In the order in which a run is judged by them: decisions are made on the first.
METRICS = (RACED, TIMED)


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
    """Return what the null test found, one a workload; nothing where fewer than three blocks have both.

    In the first metric that both have: A and B take the same steps, so that the other would say the same again.
    """
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
            break
    return found


def blocks_of(results: Results) -> dict[tuple[str, str], int]:
    """Return how many blocks each (comparison, workload) ran; the null test's own are not among them."""
    found: dict[tuple[str, str], set[int]] = {}
    for record in results.records:
        if record.comparison != "null" and not record.search:
            found.setdefault((record.comparison, record.workload), set()).add(record.block)
    return {key: len(blocks) for key, blocks in found.items()}


@dataclass(frozen=True)
class Resolution:
    """Which differences one comparison cannot see, by the noise of its own pairs.

    The null test's is the floor: two trials of one strategy, back to back, differ least.

    Attributes:
        comparison: its name.
        workload: what its cells trained on.
        metric: that its pairs are compared in: seconds to target where trials race to it, else seconds per step.
        noise: by pair of cells, the standard deviation of the log ratio, and of how many seeds.
    """

    comparison: str
    workload: str
    metric: str
    noise: dict[tuple[str, str], tuple[float, int]]

    def smallest(self) -> list[tuple[float, tuple[str, str], int]]:
        """Return the smallest difference that each pair shows at 80 % power, ascending; the pair; its seeds."""
        found = [(math.expm1(noise * smallest_effect(n)), cells, n) for cells, (noise, n) in self.noise.items()]
        return sorted(found)


def resolutions(results: Results) -> list[Resolution]:
    """Return what each comparison of a workload resolves, its cells against mini-batch or their first."""
    cells: dict[tuple[str, str], dict[str, Record]] = {}
    for record in results.records:
        if record.comparison != "null" and not record.search:
            cells.setdefault((record.comparison, record.workload), {}).setdefault(record.cell, record)
    found = []
    for (comparison, workload), own in cells.items():
        metric = RACED if all(record.stop_at_target for record in own.values()) else TIMED
        noise = {}
        for a, b in partners(dict(sorted(own.items()))).items():
            one, other = ({"comparison": comparison, "cell": cell} for cell in (a, b))
            comparison_found = compared(results, one, other, metric)
            if comparison_found.n >= 3 and not math.isnan(comparison_found.spread):
                noise[a, b] = comparison_found.spread, comparison_found.n
        found.append(Resolution(comparison, workload, metric, noise))
    return found
