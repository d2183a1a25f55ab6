"""Which number of workers is enough: planted throughputs are read back, and the fewest that none beats is chosen."""

import pytest

from paceline.bench.analysis.loading import enough, loads
from tests.synthetic import loaded, results


def test_planted_runs_are_read_back():
    found = loads(results(loaded({2: 3000, 0: 1000, 1: 2000}), loaded({0: 500}, 16)))
    assert [(one.cell["batch_size"], one.workers) for one in found] == [(16, 0), (64, 0), (64, 1), (64, 2)]
    _, none, one, two = found
    assert none.gain is None
    assert two.gain is not None
    assert two.gain.comparison.ratio == pytest.approx(3.0, rel=0.03)
    assert two.gain.verdict == "faster"
    assert [each.waiting.median for each in (none, one, two)] == pytest.approx([0.5, 0.25, 0.125])
    assert [each.memory.median for each in (none, one, two)] == pytest.approx([100e6, 200e6, 300e6])


def test_the_fewest_that_none_beats_are_enough():
    (found,) = enough(results(loaded({0: 1000, 1: 2000, 2: 2000}, cores=4)))
    assert (found.workload, found.batch_size, found.fewest.workers) == ("digits", 64, 1)
    assert found.beyond == ()
    (all_alike,) = enough(results(loaded({0: 1000, 1: 1000, 2: 1000})))
    assert all_alike.fewest.workers == 0


def test_more_than_cores_are_shown_and_not_chosen():
    run = results(loaded({0: 1000, 1: 2000, 2: 3000, 4: 9000}, cores=2))
    (found,) = enough(run)
    assert found.fewest.workers == 2
    assert [one.workers for one in found.shared] == [4]
    assert [one.oversubscribed for one in loads(run)] == [False, False, False, True]


def test_what_two_trials_cannot_tell_is_left_open():
    (found,) = enough(results(loaded({0: 1000, 1: 2000, 2: 3000}, blocks=2)))
    assert found.fewest.workers == 0
    assert [one.workers for one in found.beyond] == [1, 2]


def test_one_number_alone_is_no_comparison():
    assert enough(results(loaded({0: 1000}))) == []
    assert loads(results()) == []
