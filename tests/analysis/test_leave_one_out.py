"""What the hyperbola predicts of a batch size is compared with what was measured there."""

import numpy as np
import pytest

from paceline.bench.analysis.leave_one_out import leave_one_out

BATCHES = 2.0 ** np.arange(9)


def test_a_hyperbola_predicts_itself() -> None:
    found = leave_one_out(BATCHES, 1000 * (1 + BATCHES / 40))
    assert found.batch_sizes == tuple(BATCHES)
    assert np.abs(found.errors).max() < 1e-6


def test_an_error_is_predicted_over_measured() -> None:
    samples = 1000 * (1 + BATCHES / 40)
    samples[-1] *= 2  # so that the prediction is half
    assert leave_one_out(BATCHES, samples).largest == pytest.approx(-0.5, abs=1e-6)


def test_three_batch_sizes_leave_nothing_to_predict_with() -> None:
    found = leave_one_out(BATCHES[:3], [1.0, 2.0, 3.0])
    assert found.errors == ()
    assert np.isnan(found.interior)
    assert np.isnan(found.largest)
