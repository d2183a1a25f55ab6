"""The noise scale along a run is that of its observations."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.noise_along_run import run_average, series, variance_exponent
from tests.planted import a_record
from tests.synthetic import noise_of, noises


class TestAlongARun:
    def test_the_mean_over_a_run_weighs_by_steps(self):
        """The exact noise scales of a published-protocol run on Fashion-MNIST, whose mean over steps is 193."""
        steps = [0, 2, 5, 10, 20, 40, 80, 120, 180, 260, 340, 430]
        values = [38, 34, 48, 67, 133, 119, 24, 258, 261, 281, 63, 367]
        assert run_average(steps, values) == pytest.approx(np.trapezoid(values, steps) / 430)
        assert run_average(steps, values) == pytest.approx(193, abs=0.5)
        assert np.mean(values) < 0.8 * 193  # a plain mean is of the start, where most points are

    def test_a_run_that_mostly_lacks_a_value_has_no_mean(self):
        assert run_average([1, 2, 4, 8], [math.nan, 10, 20, 30]) == pytest.approx((1.5 * 10 + 3 * 20 + 2 * 30) / 6.5)
        assert math.isnan(run_average([1, 2, 4, 8], [10, 10, 20, math.nan]))

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
