"""Labels move as little as they can."""

import numpy as np
import pytest

from paceline.bench.report.plots.labels import spread


def test_spread_moves_as_little_as_it_can() -> None:
    assert spread([5, 0], gap=1) == [5, 0]
    assert spread([1, 1], gap=1) == [0.5, 1.5]
    assert spread([0, 0.2, 10], gap=1) == pytest.approx([-0.4, 0.6, 10])
    positions = spread([3, 1, 2, 2, 2.5], gap=1)
    assert np.diff(sorted(positions)).min() >= 1 - 1e-12
    assert np.argsort(positions, kind="stable").tolist() == [1, 2, 3, 4, 0]
