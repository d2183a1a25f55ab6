"""Goodput peaks where its formula says, and its efficiency is the hyperbola of the noise scale."""

import numpy as np
import pytest

from paceline.bench.analysis.critical_batch_fit import fit
from paceline.bench.analysis.goodput import efficiency, predicted_best

BATCHES = 2.0 ** np.arange(9)


def test_efficiency_is_the_hyperbola_of_the_noise_scale() -> None:
    hyperbola = fit(BATCHES, 1000 * (1 + BATCHES / 40))
    assert efficiency(BATCHES, 40) == pytest.approx(1000 / hyperbola.samples_at(BATCHES), rel=1e-6)
    assert efficiency(64, 40, reference=64) == 1
    assert efficiency(1, 40, reference=64) == pytest.approx(104 / 41)


def test_goodput_finds_the_batch_size_in_between() -> None:
    # A step takes 1 + B / 100: goodput B / ((1 + B / 100)(1 + B / phi)) peaks at the root of 100 phi.
    rate = BATCHES / (1 + BATCHES / 100)
    assert predicted_best(BATCHES, rate, noise_scale=10.24).batch_size == 32
    assert predicted_best(BATCHES, rate, noise_scale=0.04).batch_size == 2
    assert predicted_best(BATCHES, BATCHES, noise_scale=5).batch_size == 256  # throughput never saturates
    assert predicted_best(BATCHES, [1.0] * 9, noise_scale=5).batch_size == 1  # nothing is gained


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (([1, 2], [1.0], 5), "one throughput for each"),
        (([1], [0.0], 5), "must be positive"),
        (([1], [1.0], float("nan")), "noise scale must be positive, not nan"),
    ],
)
def test_goodput_of_nonsense_is_an_error(arguments: tuple[object, ...], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        predicted_best(*arguments)
