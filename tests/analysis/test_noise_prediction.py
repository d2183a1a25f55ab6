"""The noise scale over the critical batch size carries both uncertainties, and predicts the fastest batch size."""

import math

import pytest

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.noise_along_run import averages
from paceline.bench.analysis.noise_prediction import predictions, ratio_to
from tests.synthetic import batch_sizes, noises, results, swept

SEEDS = [40.0, 42.0, 38.0]


def test_the_ratio_to_the_sweep_carries_both_uncertainties():
    run = results(noises(SEEDS), swept(critical=64.0))
    noise = averages([record for record in run.records if record.comparison == "noise_scale"])
    sweep = of_mini_batch(run)["digits"].fit
    assert sweep.low <= 64 <= sweep.high
    ratio, low, high = ratio_to(noise, sweep)
    assert ratio == pytest.approx(noise.median / sweep.critical_batch_size)
    of_sweep = math.log(sweep.critical_batch_size / sweep.low), math.log(sweep.high / sweep.critical_batch_size)
    up, down = math.log(noise.high / noise.median), math.log(noise.median / noise.low)
    assert math.log(high / ratio) == pytest.approx(math.hypot(of_sweep[0], up))
    assert math.log(ratio / low) == pytest.approx(math.hypot(of_sweep[1], down))


def test_where_throughput_no_longer_grows_the_noise_scale_decides():
    """Efficiency is φ / (φ + B), φ = 107: throughput that grows in full pays up to the largest batch."""
    growing, stopped = {16: 1e4, 64: 4e4, 256: 16e4}, {16: 1e4, 64: 4e4, 256: 5e4}
    for rates, fastest in ((growing, 256), (stopped, 64)):
        [found] = predictions(results(noises(SEEDS), batch_sizes(rates)))
        assert (found.batch_sizes, found.fastest, found.ends) == ((16, 64, 256), fastest, (fastest, fastest))
        assert found.measured is None
    [found] = predictions(results(noises(SEEDS), batch_sizes(stopped), swept()))
    assert found.measured is not None
    assert found.measured.cell is not None


def test_nothing_is_predicted_under_an_adaptive_optimizer_or_without_throughput():
    assert predictions(results(noises(SEEDS, "Adam", "Adam"), batch_sizes({16: 1e4, 64: 4e4}))) == []
    assert predictions(results(noises(SEEDS))) == []
