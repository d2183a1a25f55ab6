"""The noise scale over the critical batch size carries both uncertainties, and predicts the fastest batch size."""

import math
from dataclasses import replace

import pytest

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.noise_along_run import averages
from paceline.bench.analysis.noise_prediction import predictions, ratio_to
from tests.synthetic import batch_sizes, noises, results, swept

SEEDS = [40.0, 42.0, 38.0]

FACTORS = [
    {"16": 1.0, "64": a, "56": b} for a, b in ((1.3, 0.8), (0.8, 1.3), (1.2, 1.1), (0.75, 0.8), (1.25, 1.3), (0.8, 0.8))
]


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
    """Efficiency is φ / (φ + B), φ = 94: throughput that grows in full pays up to the largest batch."""
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


def test_the_interval_of_a_prediction_holds_the_noise_of_throughput():
    """64 and 256 are close in goodput: with throughput known to 1 % it is 64, to some 20 % either may be."""
    sure = batch_sizes({16: 1e4, 64: 4e4, 256: 7e4})
    [found] = predictions(results(noises(SEEDS), sure))
    assert (found.fastest, found.ends) == (64, (64, 64))
    unsure = [replace(r, curve=r.curve | {"seconds": [s * FACTORS[r.block][r.cell[-2:]] for s in r.curve["seconds"]]})
              for r in sure]  # fmt: skip
    [found] = predictions(results(noises(SEEDS), unsure))
    assert found.ends == (64, 256)


def test_a_prediction_says_how_far_its_noise_was_observed():
    to_target, short = noises(SEEDS, status="reached"), noises(SEEDS)
    for records, reached in ((to_target, 3), (short, 0)):
        [found] = predictions(results(records, batch_sizes({16: 1e4, 64: 4e4})))
        assert found.reached == reached
