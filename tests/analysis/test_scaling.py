"""Ranks against one rank: speed-up and efficiency are the planted ones, and none is given to ranks that share cores."""

import pytest

from paceline.bench.analysis.scaling import scalings
from tests.synthetic import ranks, results


def test_speed_up_and_efficiency_are_as_planted() -> None:
    one, *more = scalings(results(ranks({1: 1.0, 2: 1.8, 4: 2.0})))
    assert (one.kind, one.speedup, one.efficiency) == ("one", None, None)
    strong = {s.cell["world_size"]: s for s in more if s.kind == "strong"}
    assert strong[2].speedup is not None
    assert strong[2].speedup.ratio == pytest.approx(1.8, rel=0.01)
    assert strong[4].efficiency is not None
    assert strong[4].efficiency.ratio == pytest.approx(0.5, rel=0.01)
    assert strong[4].efficiency.low < 0.5 < strong[4].efficiency.high
    assert {s.cell["world_size"] for s in more if s.kind == "weak"} == {2, 4}


def test_ranks_that_share_cores_have_no_speed_up() -> None:
    found = {(s.kind, s.cell["world_size"]): s for s in scalings(results(ranks({1: 1.0, 2: 1.8, 4: 3.0}, cores=2)))}
    assert found["strong", 2].speedup is not None
    assert found["strong", 4].speedup is None
    assert found["strong", 4].efficiency is None


def test_without_one_rank_there_is_nothing_to_compare_with() -> None:
    assert scalings(results([r for r in ranks({1: 1.0, 2: 1.8}) if r.world_size > 1])) == []
