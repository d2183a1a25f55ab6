"""Looking after every block, and stopping at the first verdict, errs no more often than it says."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from paceline.bench.analysis.sequential import PRECISION, anytime_interval, compare_anytime, partners, verdicts
from paceline.bench.analysis.statistics import student
from paceline.bench.records.record import Record
from tests.synthetic import null_test, precisions, raced, ranks, results

SEQUENCES, LOOKS = 1000, 40

SEQUENCES, LOOKS = 1000, 40


def ever(interval, values: np.ndarray) -> float:
    """Return the share of sequences in which 0 was outside the interval at some look, from three values on."""
    outside = np.zeros(len(values), dtype=bool)
    for n in range(3, values.shape[1] + 1):
        low, high = interval(values[:, :n])
        outside |= (low > 0) | (high < 0)
    return float(outside.mean())


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_at_every_look_together_it_errs_in_at_most_5_percent_of_sequences(scale):
    """The same strategy under two names, a look after each block; Student's interval, looked at so often, fails."""
    values = scale * np.random.default_rng(0).standard_normal((SEQUENCES, LOOKS))
    assert ever(anytime_interval, values) <= 0.05
    assert ever(student, values) > 0.2


def test_a_difference_is_found_in_not_many_more_blocks_than_one_look_needs():
    """5 % at a noise of 3 %: one look needs 6 blocks for 80 % power, looking always 12."""
    values = math.log(1.05) + 0.03 * np.random.default_rng(1).standard_normal((SEQUENCES, 12))
    assert ever(anytime_interval, values) > 0.8


@pytest.mark.parametrize("n", [4, 9])
def test_at_its_ends_the_mixture_likelihood_ratio_is_20(n):
    """Integrated numerically: noncentral t over central t, mixed over the normal prior of the effect."""
    values = np.random.default_rng(n).standard_normal(n) + 0.5
    for end in anytime_interval(values):
        t = (values.mean() - float(end)) / (values.std(ddof=1) / math.sqrt(n))

        def weighted(effect: float, t: float = t) -> float:
            return stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) * stats.norm.pdf(effect, scale=PRECISION**-0.5)

        mixed = integrate.quad(weighted, -8, 8, limit=200, points=[t / math.sqrt(n)])[0]
        assert mixed / stats.t.pdf(t, n - 1) == pytest.approx(20, rel=0.01)


def test_it_moves_and_stretches_with_the_values():
    values = np.random.default_rng(0).standard_normal(8)
    low, high = anytime_interval(values)
    assert anytime_interval(3 + 2 * values) == (pytest.approx(3 + 2 * low), pytest.approx(3 + 2 * high))


def test_few_values_say_nothing():
    for n in range(3):
        low, high = anytime_interval(np.zeros(n))
        assert (low, high) == (-math.inf, math.inf)


def test_an_unknown_bound_leaves_its_end_open():
    """Online missed in every block, after 10 times what mini-batch needed."""
    run = results(raced("MiniBatch", seconds=1.0), raced("Online", seconds=10.0, missed=tuple(range(6))))
    found = compare_anytime(run.trials, "Online", "MiniBatch")
    assert (found.verdict, found.high, found.n) == ("slower", math.inf, 6)
    assert 8 < found.low < 10


def in_order(*records: list[Record]) -> dict[str, list[Record]]:
    cells: dict[str, list[Record]] = {}
    for record in (record for group in records for record in group):
        cells.setdefault(record.cell, []).append(record)
    return cells


def names(*records: list[Record]) -> dict[str, str]:
    return partners({cell: trials[0] for cell, trials in in_order(*records).items()})


def test_partners_are_what_a_reader_would_compare():
    raced_cells = names(raced("FullBatch", seconds=1), raced("MiniBatch", seconds=1), raced("Amp", seconds=1))
    assert raced_cells == {"digits-FullBatch": "digits-MiniBatch", "digits-Amp": "digits-MiniBatch"}
    assert names(precisions({(64, 32): 1.0, (64, 512): 1.0})) == {
        "digits-64-Amp-B32": "digits-64-MiniBatch-B32",
        "digits-64-Amp-B512": "digits-64-MiniBatch-B512",
    }
    assert names(null_test([0.0])) == {"digits-B": "digits-A"}
    assert names(raced("Amp", seconds=1), raced("Online", seconds=1)) == {"digits-Online": "digits-Amp"}
    assert set(names(ranks({1: 1.0, 2: 1.9})).values()) == {"digits-Ddp-one-x1"}


def test_workloads_are_kept_apart():
    both = in_order(*(raced(n, seconds=1.0 + (n == "Amp"), workload=w) for w in "ab" for n in ("MiniBatch", "Amp")))
    found = verdicts(both)
    assert list(found) == [("a-Amp", "a-MiniBatch"), ("b-Amp", "b-MiniBatch")]
    assert {pair.verdict for pair in found.values()} == {"slower"}
