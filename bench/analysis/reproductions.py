"""Published and earlier results, and what a run found of them: expected against measured.

What is expected, and which range counts as agreement, was fixed before the run. A number agrees where its whole
interval lies in that range, and disagrees where all of it lies outside: noise alone makes nothing agree.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from paceline.bench.analysis.batch_size_sweep import Sweep, of_mini_batch
from paceline.bench.analysis.cells import cells_of, find
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.noise_along_run import averages, observed, optimizer_of
from paceline.bench.analysis.noise_prediction import ratio_to
from paceline.bench.analysis.scores import ScoreGap, score_gap
from paceline.bench.analysis.statistics import Interval

COMPARISON = "reproductions"

FASHION = "fashion-mnist-validation"

LANGUAGE = "characters"

MNIST1D = ("mnist1d-linear", "mnist1d-mlp", "mnist1d-cnn", "mnist1d-gru")

# The batch size that batch size 1 is compared with.
LARGER = {"mnist5k": 64, LANGUAGE: 16}

# Trials below which there is no interval, and so no verdict.
FEWEST = 3

NOTHING = Interval(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Reproduction:
    """One result that is held against an earlier one.

    Attributes:
        what: in words.
        expected: the earlier number, in ``unit``.
        low: lower end of what counts as agreement.
        high: upper end.
        unit: of all these.
        source: who published it; for what has no publication, what it was measured with before.
        measured: what a run found; NaN where it did not look.
        published: whether others did; else it is an earlier run of this project.
    """

    what: str
    expected: float
    low: float
    high: float
    unit: str
    source: str
    measured: Callable[[Results], Interval]
    published: bool = True

    def verdict(self, found: Interval) -> str:
        """Return "agrees", "disagrees", "not resolved", "no verdict at n=2" or "not measured"."""
        if math.isnan(found.median):
            return "not measured"
        if found.n < FEWEST or math.isnan(found.low):
            return f"no verdict at n={found.n}"
        if self.low <= found.low and found.high <= self.high:
            return "agrees"
        return "disagrees" if found.high < self.low or found.low > self.high else "not resolved"


def _accuracy(workload: str) -> Callable[[Results], Interval]:
    def measured(results: Results) -> Interval:
        for cell in cells_of(results, COMPARISON):
            if cell["workload"] == workload:
                median, low, high = (100 * float(cell[f"final_score{end}"]) for end in ("", "_low", "_high"))
                return Interval(median, low, high, int(cell["final_score_n"]))
        return NOTHING

    return measured


def _sweep(results: Results) -> Sweep | None:
    return of_mini_batch(results).get(FASHION)


def _steps_min(results: Results) -> Interval:
    sweep = _sweep(results)
    if sweep is None or not sweep.fit.identifiable:
        return NOTHING
    # What the hyperbola gives at a batch that is far larger than all others, in steps.
    far = 1e6 * max(sweep.fit.batch_sizes)
    low, high = (float(end[0]) / far for end in sweep.fit.band([far]))
    return Interval(sweep.fit.steps_min, low, high, len(sweep.measured.trials))


def _critical(results: Results) -> Interval:
    sweep = _sweep(results)
    if sweep is None or not sweep.fit.identifiable:
        return NOTHING
    found = sweep.fit
    return Interval(found.critical_batch_size, found.low, found.high, len(sweep.measured.trials))


def _noise(results: Results) -> Interval:
    own = [r for r in observed(results).values() if r[0].workload == FASHION and optimizer_of(r[0]) == "Sgd"]
    # Where mini-batch training was observed itself, it: its rate is the one that the sweep begins from.
    own.sort(key=lambda records: records[0].trainer != "MiniBatch")
    return averages(own[0]) if own else NOTHING


def _noise_over_critical(results: Results) -> Interval:
    noise, sweep = _noise(results), _sweep(results)
    if sweep is None or not sweep.fit.identifiable or math.isnan(noise.median):
        return NOTHING
    return Interval(*ratio_to(noise, sweep.fit), noise.n)


GREYDANUS = "Greydanus & Kobak 2024, arXiv 2011.14439; range from 2 to 10 seeds of the same recipe"

REPLICA = "an earlier run of this recipe: 2 seeds, batch sizes 16 to 55,000, two cores"

NUMBERS = (
    Reproduction("MNIST-1D, linear: accuracy", 32, 31, 32, "%", GREYDANUS, _accuracy("mnist1d-linear")),
    Reproduction("MNIST-1D, MLP: accuracy", 65, 61.3, 67.3, "%", GREYDANUS, _accuracy("mnist1d-mlp")),
    Reproduction("MNIST-1D, CNN: accuracy", 94, 91.8, 95.8, "%", GREYDANUS, _accuracy("mnist1d-cnn")),
    Reproduction("MNIST-1D, GRU: accuracy", 91, 88.7, 93.1, "%", GREYDANUS, _accuracy("mnist1d-gru")),
    Reproduction(
        "Fashion-MNIST to 14.5 % error: fewest steps, S_min",
        213,
        170,
        256,
        "steps",
        REPLICA,
        _steps_min,
        published=False,
    ),
    Reproduction(
        "Fashion-MNIST: critical batch size, B_crit", 166, 100, 350, "samples", REPLICA, _critical, published=False
    ),
    Reproduction(
        "Fashion-MNIST: noise scale, mean over its progress", 132, 68, 273, "samples", REPLICA, _noise, published=False
    ),
    Reproduction(
        "Fashion-MNIST: noise scale over B_crit", 0.79, 1 / 3, 3, "", REPLICA, _noise_over_critical, published=False
    ),
)


@dataclass(frozen=True)
class Statement:
    """A published comparison: ``a`` scores no worse than ``b``, or better.

    Attributes:
        what: in words; {larger} is the larger batch size.
        a: label of a cell of the benchmark.
        b: label of the one it is held against.
        better: whether it says better; else no worse.
    """

    what: str
    a: str
    b: str
    better: bool


MAREK = "Marek et al. 2025, arXiv 2507.07101"

# How each workload's rates were found: see ``bench_reproductions``. A published claim is not refuted by a few rates
# of one seed, tried in unequal numbers.
RATES = {"mnist5k": "4 or 5 rates, 3 seeds each", LANGUAGE: "2 or 3 rates, 1 seed each: too few to refute"}
TOO_FEW_RATES = (LANGUAGE,)

STATEMENTS = (
    Statement(
        "batch size 1, with beta2 scaled, is no worse than {larger}, sample for sample",
        "Adam-B1-scaled",
        "Adam-B",
        better=False,
    ),
    Statement(
        "at batch size 1, Adam is better with beta2 scaled than without", "Adam-B1-scaled", "Adam-B1", better=True
    ),
    Statement(
        "at batch size 1, plain SGD is no worse than Adam with beta2 scaled", "Sgd-B1", "Adam-B1-scaled", better=False
    ),
)


@dataclass(frozen=True)
class Judged:
    """What a run says of a statement on one workload.

    Attributes:
        workload: its name.
        what: the statement.
        difference: by how much ``a`` scored better than ``b`` on the same seed, with interval.
        score: the median score of ``b``.
        verdict: "holds", "fails", "equivalent" (that it is better, where no difference is as large as the margin), "not
            resolved", or "no verdict at n=2".
    """

    workload: str
    what: str
    difference: Interval
    score: float
    verdict: str


def statements(results: Results) -> list[Judged]:
    """Return what the run says of each statement, on each workload on which both sides ran."""
    found = []
    for workload, larger in LARGER.items():
        cells = [cell for cell in cells_of(results, COMPARISON) if cell["workload"] == workload]
        for statement in STATEMENTS:
            labels = {"Adam-B": f"Adam-B{larger}"}
            a, b = (find(cells, labels.get(label, label)) for label in (statement.a, statement.b))
            if a is None or b is None:
                continue
            gap = score_gap(results, a, b)
            verdict = _verdict(statement, gap)
            if verdict == "fails" and workload in TOO_FEW_RATES:
                verdict = "not resolved"
            found.append(
                Judged(workload, statement.what.format(larger=larger), gap.interval, float(b["final_score"]), verdict)
            )
    return found


def _verdict(statement: Statement, gap: ScoreGap) -> str:
    """Return what a difference says of a statement; first whether it is one at all."""
    difference = gap.interval
    if difference.n < FEWEST or math.isnan(difference.low):
        return f"no verdict at n={difference.n}"
    if not statement.better:
        worse, no_worse = difference.high < -gap.margin, difference.low > -gap.margin
        return "holds" if no_worse else "fails" if worse else "not resolved"
    words = {"equivalent": "equivalent", "better": "holds", "worse": "fails"}
    return words.get(gap.verdict, "not resolved")
