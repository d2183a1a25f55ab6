"""The sweep finds the planted batch sizes and rates, measured on other seeds than those of the search."""

import pytest

from paceline.bench.analysis.batch_size_sweep import Sweep, regimes, sweeps
from tests.synthetic import results, swept


@pytest.fixture(scope="module")
def usual() -> Sweep:
    return sweeps(results(swept()))[0]


def test_what_is_shown_was_measured_on_other_seeds_than_those_of_the_search(usual: Sweep) -> None:
    """The best of many rates on the seeds that chose it is the lucky one."""
    assert usual.searched["seed"].min() == 1000
    assert sorted(usual.measured.trials["seed"].unique()) == [0, 1, 2]
    assert usual.rates[4].best == 0.04
    assert usual.rates[4].tried == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
    assert [cell["n"] for cell in usual.cells] == [3] * 8


def test_a_sweep_whose_searches_alone_have_run_is_none_yet() -> None:
    assert sweeps(results([record for record in swept() if record.search])) == []


def test_the_planted_critical_batch_size_is_found(usual: Sweep) -> None:
    assert usual.fit.identifiable
    assert usual.fit.low <= 64 <= usual.fit.high
    assert usual.fit.samples_min == pytest.approx(10_000, rel=0.05)
    assert abs(usual.left_out.largest) < 0.1


def test_the_regimes_follow_the_hyperbola(usual: Sweep) -> None:
    names = {size: regimes(usual.fit, size) for size in (4, 64, 512)}
    assert names == {4: ("perfect scaling",), 64: ("diminishing returns",), 512: ("maximal parallelism",)}
    assert len(regimes(usual.fit, 0.2 * usual.fit.critical_batch_size)) == 2
