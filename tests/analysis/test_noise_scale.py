"""A known noise is found without bias, and where it hides the gradient there is no value."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.noise_scale import exact, noise_scale, two_batch_sizes, unbiased

D = 20  # features of the streaming problem


def gradients(rng: np.random.Generator, batch: int, draws: int, sigma: float, error: float) -> np.ndarray:
    """Gradients [draws, D] of ½ r² over fresh batches of y = xᵀw* + σε, at a distance ``error`` from w*."""
    x = rng.standard_normal((draws, batch, D))
    residual = error * x[:, :, 0] - sigma * rng.standard_normal((draws, batch))
    return np.einsum("mb,mbd->md", residual, x) / batch


def squares(rng: np.random.Generator, batch: int, draws: int, sigma: float, error: float) -> np.ndarray:
    return (gradients(rng, batch, draws, sigma, error) ** 2).sum(axis=1)


class TestKnownNoise:
    @pytest.mark.parametrize(("sigma", "error", "expected"), [(0, 1, 21), (0.5, 1, 26), (0.5, 0.1, 521)])
    def test_two_batch_sizes_find_the_noise_scale_of_streaming_least_squares(self, sigma, error, expected):
        """It is d + 1 + d s²/|e|², whatever the batches; tr Σ = (d + 1)|e|² + d s² and |G|² = |e|²."""
        assert expected == pytest.approx(D + 1 + D * sigma**2 / error**2)
        rng = np.random.default_rng(1)
        draws = 8000 if expected > 100 else 4000
        small, big = squares(rng, 4, draws, sigma, error), squares(rng, 64, draws, sigma, error)
        found = two_batch_sizes(4, small.tolist(), 64, big.tolist())
        assert found.value == pytest.approx(expected, rel=0.05)
        assert found.low < expected < found.high
        assert found.trace == pytest.approx((D + 1) * error**2 + D * sigma**2, rel=0.03)

    def test_the_interval_covers_as_often_as_it_says(self):
        """The truth is 26, of 8 draws of each size: 1000 intervals."""
        rng = np.random.default_rng(2)
        small, big = (squares(rng, b, 8000, 0.5, 1).reshape(1000, 8) for b in (8, 256))
        found = [two_batch_sizes(8, s.tolist(), 256, b.tolist()) for s, b in zip(small, big, strict=True)]
        assert np.mean([scale.low <= 26 <= scale.high for scale in found]) == pytest.approx(0.95, abs=0.02)

    def test_it_covers_where_the_noise_scale_is_too_large_to_be_seen(self):
        """The truth is 521, from batches of at most 64: |G|² is estimated below 0 in many tries."""
        rng = np.random.default_rng(3)
        small, big = (squares(rng, b, 6400, 0.5, 0.1).reshape(800, 8) for b in (4, 64))
        found = [two_batch_sizes(4, s.tolist(), 64, b.tolist()) for s, b in zip(small, big, strict=True)]
        unseen = [scale for scale in found if math.isnan(scale.value)]
        assert 0.05 < len(unseen) / len(found) < 0.5
        assert all(math.isinf(scale.high) for scale in unseen)
        assert np.mean([not (scale.low > 521 or scale.high < 521) for scale in found]) > 0.92

    def test_a_ratio_of_means_is_not_biased_as_a_mean_of_ratios_is(self):
        rng = np.random.default_rng(9)
        traces, parts = unbiased(4, squares(rng, 4, 4000, 0.5, 1), 64, squares(rng, 64, 4000, 0.5, 1))
        assert noise_scale(traces, parts).value == pytest.approx(26, rel=0.05)
        assert abs(np.mean(traces / parts) / 26 - 1) > 0.1

    def test_batches_without_replacement_vary_less(self):
        """Of 40 samples: without the correction, |G|² of batches of 30 would come out too small by tr Σ / 40."""
        rng = np.random.default_rng(5)
        each = rng.standard_normal((40, 6)) + 0.3
        mean, centered = each.mean(axis=0), each - each.mean(axis=0)
        trace = (centered**2).sum() / 39
        drawn = {b: [(each[rng.permutation(40)[:b]].mean(axis=0) ** 2).sum() for _ in range(8000)] for b in (5, 30)}
        found = two_batch_sizes(5, drawn[5], 30, drawn[30], population=40)
        assert found.trace == pytest.approx(trace, rel=0.03)
        assert found.squared_gradient == pytest.approx((mean**2).sum(), rel=0.03)
        endless = two_batch_sizes(5, drawn[5], 30, drawn[30])
        assert endless.squared_gradient == pytest.approx((mean**2).sum() - trace / 40, rel=0.05)

    def test_all_samples_one_by_one_are_no_estimate(self):
        rng = np.random.default_rng(6)
        each = rng.standard_normal((50, 6)) + 0.3
        trace = each.var(axis=0, ddof=1).sum()
        found = exact((each**2).sum(axis=1).mean(), 50, (each.mean(axis=0) ** 2).sum(), population=50)
        assert found.trace == pytest.approx(trace, rel=1e-12)
        assert found.value == pytest.approx(trace / (each.mean(axis=0) ** 2).sum(), rel=1e-12)


class TestWithoutAValue:
    def test_a_gradient_hidden_by_noise_has_a_reason_and_a_lower_bound(self):
        found = noise_scale([10.0, 11.0, 10.5, 9.5], [-0.3, 0.2, -0.1, -0.2])
        assert math.isnan(found.value)
        assert found.reason == "|G|² is estimated at -0.1, not above 0: the noise hides the gradient"
        assert 0 < found.low < math.inf == found.high

    def test_no_noise_has_a_reason(self):
        found = two_batch_sizes(1, [4.0], 10, [4.0])
        assert math.isnan(found.value)
        assert found.reason == "tr Σ is estimated at 0: no noise was seen"

    def test_nothing_observed_has_a_reason(self):
        assert noise_scale([], []).reason == "nothing was observed"

    def test_below_three_observations_there_is_no_interval(self):
        found = noise_scale([10.0, 11.0], [1.0, 1.1])
        assert found.value == pytest.approx(10)
        assert math.isnan(found.low)
        assert math.isnan(found.high)

    @pytest.mark.parametrize(("small", "big", "population"), [(8, 8, 100), (0, 8, 100), (8, 128, 100)])
    def test_sizes_out_of_order_are_refused(self, small, big, population):
        with pytest.raises(ValueError, match="need 0 < small < big <= population"):
            unbiased(small, 1.0, big, 1.0, population)
