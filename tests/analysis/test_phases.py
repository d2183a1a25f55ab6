"""Shares of a step: planted ones are found, and the largest is named only where it is resolved."""

import pytest

from paceline.bench.analysis.phases import breakdowns
from paceline.bench.records.record import PHASES
from tests.synthetic import profiled, results

SHARES = {"data": 0.1, "forward": 0.3, "backward": 0.4, "optimizer": 0.05}


def test_planted_shares_are_found_and_add_up_to_the_step():
    (found,) = breakdowns(results(profiled("MiniBatch", SHARES, step=2e-3)))
    shares = {phase: found.share(phase) for phase in PHASES}
    assert shares == pytest.approx(dict.fromkeys(PHASES, 0.0) | SHARES | {"rest": 0.15})
    assert sum(shares.values()) == pytest.approx(1)
    assert found.step_seconds.median == pytest.approx(2e-3)
    assert found.lead("backward").median == pytest.approx(0.1)
    assert found.lead("data").median == pytest.approx(-0.3)
    assert found.largest == "backward"


def test_what_trials_do_not_agree_on_is_not_called_the_largest():
    (found,) = breakdowns(results(profiled("MiniBatch", SHARES, spread=0.2)))
    assert found.share("backward") == pytest.approx(0.4)
    assert found.interval("backward").low < 0.3 < 0.5 < found.interval("backward").high
    assert found.largest == ""
    (one,) = breakdowns(results(profiled("MiniBatch", SHARES, blocks=2)))
    assert one.largest == "", "two trials decide nothing"


def test_shares_are_over_all_ranks():
    """One that waits for the other: together they spend half of what the waiting one does."""
    planted = profiled("Ddp", {"communication": 0.6, "forward": 0.4}, ranks=2)
    for record in planted:
        record.ranks[1] = record.ranks[1] | {"phase_seconds": dict.fromkeys(PHASES, 0.0) | {"forward": 0.03}}
    (found,) = breakdowns(results(planted))
    assert found.share("communication") == pytest.approx(0.3)
    assert found.share("forward") == pytest.approx(0.7)


def test_trials_that_were_not_profiled_are_passed_over():
    planted = profiled("MiniBatch", SHARES)
    for record in planted:
        record.ranks[0] = {}
    assert breakdowns(results(planted)) == []
    assert breakdowns(results()) == []
