"""Where a step's time goes, in words, and the claim that synchronization is what costs."""

import pytest

from paceline.bench.report import phases
from tests.synthetic import profiled, results

PLAIN = {"data": 0.1, "forward": 0.3, "backward": 0.4, "optimizer": 0.1}


def test_the_table_has_a_column_for_each_phase_that_any_cell_has():
    table = phases.table(results(profiled("MiniBatch", PLAIN), profiled("Ddp", {"communication": 1.0}, ranks=2)))
    assert list(table["strategy"]) == ["Ddp", "MiniBatch"]
    assert "host to device" not in table
    assert list(table["communication"]) == ["100 % [100, 100]", "0 % [0, 0]"]
    assert table["backward"].iloc[1].startswith("40 % [40, 40]")
    assert list(table["most of it"]) == ["communication", "backward"]
    assert table["time per step, profiled"].iloc[1].startswith("1.00 ms")
    assert phases.table(results()).empty


@pytest.mark.parametrize(("share", "verdict"), [(0.6, "holds"), (0.1, "fails")])
def test_synchronization_is_what_costs_where_it_is_the_largest_part(share: float, verdict: str) -> None:
    planted = profiled("Ddp", {"communication": share, "backward": 0.3}, ranks=2)
    found, why = phases.synchronization_is_what_costs(results(planted, profiled("MiniBatch", PLAIN)))
    assert found == verdict
    assert f"{100 * share:.0f} % [{100 * share:.0f}, {100 * share:.0f}] of a step" in why
    assert "MiniBatch" not in why


def test_it_depends_where_networks_differ_and_is_open_where_trials_do() -> None:
    much = profiled("Ddp", {"communication": 0.6, "backward": 0.3}, ranks=2)
    little = profiled("Ddp", {"communication": 0.1, "backward": 0.8}, ranks=2, workload="wide")
    assert phases.synchronization_is_what_costs(results(much, little))[0] == "depends"
    open_ = profiled("Ddp", {"communication": 0.4, "backward": 0.3}, ranks=2, spread=0.3)
    assert phases.synchronization_is_what_costs(results(open_))[0] == "undecided"
    assert phases.synchronization_is_what_costs(results(profiled("MiniBatch", PLAIN)))[0] == "not measured"
