"""The planted growth of the best rate is found, and where it ends."""

import numpy as np
import pytest

from paceline.bench.analysis.batch_size_sweep import sweeps
from paceline.bench.analysis.rate_exponent import exponent
from paceline.bench.report import critical_batch
from tests.synthetic import results, swept

FINE = tuple(float(rate) for rate in np.geomspace(0.01, 2, 20).round(4))


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_planted_power_of_the_best_rate_is_found(power: float) -> None:
    found = exponent(sweeps(results(swept((4, 8, 16, 32, 64), FINE, power=power)))[0])
    assert found.low <= power <= found.high
    assert found.high - found.low < 0.5
    assert np.isinf(found.ends)


def test_where_the_growth_ends_is_found() -> None:
    found = exponent(sweeps(results(swept(rates=FINE, power=1.0, ends=64)))[0])
    assert found.ends == 64
    assert found.low <= 1 <= found.high
    assert found.at(512) == pytest.approx(found.at(64))


def test_a_best_rate_at_the_edge_is_no_evidence() -> None:
    run = results(swept(rates=(0.01, 0.02, 0.04)))
    assert "at least 3 are needed" in exponent(sweeps(run)[0]).reason
    assert "at the edge" in critical_batch.table(run)["best learning rate"].iloc[-1]
