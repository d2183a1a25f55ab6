"""What surroundings took of a trial is told from what it did itself, and contaminates it from a tenth on."""

import math

import pytest

from paceline.bench.analysis.frames import trials_frame
from tests.planted import a_record


def row(**changes):
    return trials_frame((a_record(**changes),)).iloc[0]


class TestContention:
    """A trial of two ranks that trained for 2 s each: 4 s in all, of which 10 % is 0.4 s."""

    def found(self, *waits, steal=0.0, throttled=0.0, **changes):
        ranks = [
            {"train_seconds": 2.0, "runqueue_wait_seconds": wait, "cpu_seconds": 1.5, "steal_seconds": steal}
            | {"throttled_seconds": throttled}
            for wait in waits
        ]
        return row(ranks=ranks, world_size=2, threads=1, **changes)

    def test_columns_are_sums_over_ranks_but_steal_is_the_machines(self):
        found = self.found(0.1, 0.2, steal=0.25)
        assert (found.runqueue_wait_seconds, found.cpu_seconds, found.steal_seconds) == (pytest.approx(0.3), 3.0, 0.25)

    def test_waiting_or_steal_beyond_a_tenth_contaminates(self):
        assert not self.found(0.19, 0.2).contaminated
        assert self.found(0.21, 0.2).contaminated
        assert not self.found(0.0, 0.0, steal=0.39).contaminated
        assert self.found(0.0, 0.0, steal=0.41).contaminated

    @pytest.mark.parametrize(("others", "contaminated"), [(0.0, False), (0.39, False), (0.41, True), (5.0, True)])
    def test_others_kept_it_waiting_for_no_longer_than_they_ran(self, others, contaminated):
        """Two ranks of 2 s waited for 2 s in all, for their own threads or for others. 10 % of 4 s is 0.4 s."""
        seen = {"train_seconds": 2.0, "runqueue_wait_seconds": 1.0, "busy_seconds": 3.0 + others, "own_seconds": 1.5}
        found = row(ranks=[seen, seen], world_size=2, threads=1)
        assert found.others_seconds == pytest.approx(others)
        assert found.contaminated == contaminated

    def test_a_quota_that_holds_the_container_back_contaminates_and_is_no_sum_over_ranks(self):
        assert not self.found(0.0, 0.0, throttled=0.39).contaminated
        held_back = self.found(0.0, 0.0, throttled=0.41)
        assert (held_back.throttled_seconds, held_back.contaminated) == (0.41, True)
        assert not held_back.throttled  # that is of GPUs

    def test_an_oversubscribed_trial_waits_for_itself(self):
        assert not self.found(2.0, 2.0, cores=1).contaminated

    def test_a_gpu_that_was_slowed_down_contaminates_but_a_power_limit_does_not(self):
        found = [row(ranks=[{"clock_event_reasons": bits}]) for bits in (0x4 | 0x1, 0x4 | 0x40, None)]
        assert [each.throttled for each in found] == [each.contaminated for each in found] == [False, True, False]

    def test_what_was_not_measured_contaminates_nothing(self):
        found = row(ranks=[{}])
        assert not found.contaminated
        assert math.isnan(found.steal_seconds)
        assert math.isnan(found.throttled_seconds)
        assert math.isnan(found.others_seconds)


@pytest.mark.parametrize(
    ("others", "share", "contaminated"),
    [(0, 0.0, False), (1, 0.0, False), (1, 0.09, False), (1, 0.11, True), (2, None, True), (None, None, False)],
)
def test_a_neighbour_on_the_gpu_contaminates_if_it_used_it_or_may_have(others, share, contaminated):
    alone = {"gpu_other_processes": 0, "gpu_others_share": 0.0}
    seen = {"gpu_other_processes": others, "gpu_others_share": share}
    found = row(device="cuda", world_size=2, ranks=[alone, seen])
    assert found.contaminated == contaminated
    assert found.gpu_neighbours == others or (others is None and math.isnan(found.gpu_neighbours))
