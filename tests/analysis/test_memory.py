"""Growth of memory is read back as planted, against what the samples themselves take."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.memory import out_of_core, private_at, slope
from tests.synthetic import limited, results


@pytest.mark.parametrize(("grows", "verdict"), [(0.0, "flat"), (5.0, "flat"), (15.0, "grows"), (200.0, "grows")])
def test_a_planted_slope_is_found_and_judged_by_5_percent_of_a_sample(grows, verdict):
    (found,) = out_of_core(results(limited("Online", grows)))
    assert found.slope.median == pytest.approx(grows, abs=0.1)
    assert found.floor == pytest.approx(10.0)
    assert found.verdict == verdict
    assert found.at[100_000].median == pytest.approx(200.1e6 + 1e5 * grows, rel=0.01)


def test_two_seeds_decide_nothing():
    (found,) = out_of_core(results(limited("Online", blocks=2)))
    assert found.verdict == "undecided"
    assert found.p == 1


def test_noise_as_large_as_the_floor_decides_nothing():
    noisy = [
        record
        for each, block in zip((0.0, 30.0, 5.0), range(3), strict=True)
        for record in limited("Online", each)[block : block + 1]
    ]
    (found,) = out_of_core(results(noisy))
    assert found.verdict == "undecided"


def test_who_ended_is_a_row_with_its_reason_and_no_slope():
    (found,) = out_of_core(results(limited("FullBatch", ended="can't allocate memory")))
    assert (found.went_on, found.trials) == (0, 3)
    assert found.reason == "out_of_memory: can't allocate memory"
    assert math.isnan(found.slope.median)
    assert found.verdict == "undecided"


def test_memory_at_so_many_samples_is_the_most_until_then_and_unknown_where_fewer_were_seen():
    (record, *_) = limited("Online", 1.0, samples=50_000)
    assert private_at(record, 10_000) == pytest.approx(200.11e6, rel=1e-3)
    assert math.isnan(private_at(record, 100_000))
    record.memory["private_bytes"][3] = 500_000_000
    assert private_at(record, 10_000) == 5e8
    assert np.isfinite(slope(record))
