"""Who is first at any target: known where the curves are."""

import numpy as np
import pytest

from paceline.bench.analysis.any_target import any_targets, chances
from tests.synthetic import raced, results


def test_a_strategy_that_starts_fast_and_ends_slow_is_first_at_easy_targets_only() -> None:
    # Both score 0.8 at half of their way. One is there first, the other is first at 0.9.
    early = raced("Early", seconds=4.0)
    for record in early:
        record.curve["seconds"][0] /= 10
    (found,) = any_targets(results(early, raced("Late", seconds=1.0)))
    assert found.strategies == ("Early", "Late")
    assert found.targets[-1] == pytest.approx(0.9)
    easy, hard = 0, len(found.targets) - 1
    assert found.targets[easy] == pytest.approx(0.85)  # half of the way from 0.8
    assert found.chance[:, hard].tolist() == [0.0, 1.0]
    assert found.seconds[1][hard].median == pytest.approx(1.15, rel=0.1)  # the median of the machine's drift
    assert found.reached.min() == 1.0


def test_the_chance_to_be_the_best_is_the_share_of_resampled_blocks() -> None:
    # Of three blocks one cell wins two: the median of three drawn is its own in 20 of 27 draws.
    times = np.array([[1.0, 1.0, 3.0], [2.0, 2.0, 2.0]])[:, :, np.newaxis]
    assert chances(times)[0, 0] == pytest.approx(20 / 27, abs=0.03)
    assert chances(times).sum() == pytest.approx(1.0)


def test_where_none_gets_there_nobody_is_the_best() -> None:
    never = np.full((2, 6, 1), np.inf)
    assert chances(never).sum() == 0.0
    (found,) = any_targets(results(raced("MiniBatch", seconds=1.0, missed=(0, 1, 2, 3, 4, 5))))
    assert found.reached[0, -1] == 0.0
    assert np.isinf(found.seconds[0][-1].median)
