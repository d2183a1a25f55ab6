"""Planted effects of regularization are found."""

from dataclasses import replace

import pytest

from paceline.bench.analysis.regularization import effects
from tests.synthetic import regularized_every_way, results


def test_the_gap_and_its_difference_are_those_planted() -> None:
    by_kind = {effect.kind: effect for effect in effects(regularized_every_way())}
    assert by_kind["none"].interval("gap").median == pytest.approx(0.5, abs=0.01)
    assert by_kind["dropout"].interval("wider").median == pytest.approx(-0.2, abs=0.01)
    assert by_kind["dropout"].interval("better").median == pytest.approx(0.05, abs=0.003)


def test_a_lower_score_is_the_better_one_where_the_workload_says_so() -> None:
    turned = results([replace(record, higher_is_better=False) for record in regularized_every_way().records])
    by_kind = {effect.kind: effect for effect in effects(turned)}
    assert by_kind["dropout"].interval("better").median == pytest.approx(-0.05, abs=0.003)
    assert by_kind["early-stopping"].interval("best_score").median == pytest.approx(0.86, abs=0.003)
