"""The noise scale along a run is that of its observations."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.noise_along_run import over_progress, series, variance_exponent
from tests.planted import a_record
from tests.synthetic import noise_of, noises


class TestAlongARun:
    def test_the_mean_over_a_run_weighs_by_progress(self):
        """The exact noise scales of a published-protocol run on Fashion-MNIST, whose mean over its steps is 193."""
        steps = np.array([0, 2, 5, 10, 20, 40, 80, 120, 180, 260, 340, 430])
        values = np.array([38, 34, 48, 67, 133, 119, 24, 258, 261, 281, 63, 367])
        progress = 1 / (1 + values / 64)
        expected = np.trapezoid(values * progress, steps) / np.trapezoid(progress, steps)
        assert over_progress(steps, values, np.ones(12), 64) == pytest.approx(expected)
        assert expected == pytest.approx(132, abs=0.5)
        assert np.trapezoid(values, steps) / 430 == pytest.approx(193, abs=0.5)

    def test_it_is_the_critical_batch_size_of_a_run_whose_noise_grows(self):
        """Steps and samples to the end by dS = (1 + phi / B) ds, integrated: E_min / S_min, whatever B observed it."""
        progress = np.linspace(0, 1, 20_001)
        phi = 20 * np.exp(3 * progress)
        critical = np.trapezoid(phi, progress)
        assert np.mean([np.trapezoid(phi, progress)]) == pytest.approx(20 * (math.e**3 - 1) / 3, rel=1e-6)
        for batch in (8, 64, 1024):
            steps = np.cumsum(1 + phi / batch)
            assert over_progress(steps, phi, np.ones_like(phi), batch) == pytest.approx(critical, rel=1e-3)

    def test_points_where_the_noise_hides_the_gradient_are_not_dropped(self):
        """They are the noisiest: without them the mean is biased low. Estimates of |G|^2 below 0 average out."""
        random, steps = np.random.default_rng(0), np.arange(1, 401)
        squares = 1 + 0.7 * random.standard_normal((50, 400))
        mean = np.mean([over_progress(steps, np.full(400, 400.0), each, 64) for each in squares])
        dropped = np.mean([over_progress(steps[each > 0], np.full((each > 0).sum(), 400.0), each[each > 0], 64)
                           for each in squares])  # fmt: skip
        assert mean == pytest.approx(400, rel=0.1)
        assert dropped < 0.93 * mean
        big_squares = [*noise_of(40.0, (1, 2, 4))["exact_big_square"], -0.1]
        found = series(noises([40.0], observed={"exact_big_square": big_squares})[0])["samples"]
        assert np.isnan(found.values[-1])
        assert found.average() > over_progress((1, 2, 4), [40, 80, 120], [1, 1, 1], 64)

    def test_a_run_that_mostly_lacks_a_value_has_no_mean(self):
        ones = [1, 1, 1, 1]
        assert math.isfinite(over_progress([1, 2, 4, 8], [math.nan, 10, 20, 30], ones, 64))
        assert math.isnan(over_progress([1, 2, 4, 8], [10, 10, 20, math.nan], ones, 64))

    @pytest.mark.parametrize("method", ["samples", "batch sizes", "parts"])
    def test_every_method_finds_what_was_planted(self, method):
        record = noises([40.0])[0]
        found = series(record)[method]
        assert found.steps == (1, 2, 4, 8)
        assert found.values == pytest.approx([40, 80, 120, 160], rel=1e-6)

    def test_parts_of_unequal_number_count_alike(self):
        """A smaller last batch has fewer micro-batches: its parts are as large as the others'."""
        columns = noise_of(40.0, (1, 2), parts=4)
        fewer = noise_of(40.0, (1, 2), parts=2)
        for name in ("parts", "parts_small_square"):
            columns[name] = [columns[name][0], fewer[name][1]]
        found = series(a_record(noise=columns, train_samples=1000))["parts"]
        assert found.values == pytest.approx([40, 80], rel=1e-6)

    def test_parts_are_averaged_apart_over_the_steps_around_a_point(self):
        """|G|² of the one is 3, of the other -1: their mean has a noise scale, the second alone has none."""
        columns = noise_of(40.0, (1, 100))
        small, big = 64 / 4, 64
        rows = [(100, 3.0), (110, -1.0)]
        law = {b: [g + 40 * (1 / b - 1 / 1000) for _, g in rows] for b in (small, big)}
        columns |= {
            "parts_step": [step for step, _ in rows],
            "parts": [4, 4],
            "parts_batch": [64, 64],
            "parts_small_square": law[small],
            "parts_big_square": law[big],
        }
        found = series(a_record(noise=columns, train_samples=1000))["parts"]
        assert found.steps == (100,)
        assert found.scales[0].value == pytest.approx(40)
        assert found.scales[0].n == 2

    def test_a_trial_that_observed_nothing_has_no_series(self):
        assert series(a_record()) == {}

    @pytest.mark.parametrize("power", [-1.0, -0.5])
    def test_the_exponent_of_the_variance_is_found(self, power):
        variances = [7 * b**power * (1 - b / 1000) for b in (8, 64, 500)]
        record = a_record(noise=noise_of(1.0, (1, 2)) | {"variances": [variances] * 2}, train_samples=1000)
        assert variance_exponent(record) == pytest.approx(power, abs=1e-9)

    def test_the_whole_training_set_has_no_variance_to_fit(self):
        columns = noise_of(1.0, (1,)) | {"batch_sizes": [[10, 100, 1000]], "variances": [[0.99, 0.09, 0.0]]}
        assert variance_exponent(a_record(noise=columns, train_samples=1000)) == pytest.approx(-1, abs=1e-9)
