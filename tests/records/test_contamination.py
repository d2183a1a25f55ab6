"""What surroundings took of a trial is told from what it did itself, and contaminates it from a tenth on."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.frames import trials_frame
from paceline.bench.records.contamination import probe_seconds, slow_limits, slowed
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


class TestSlowMachine:
    """The probe of the machine's speed took some 1 ms around each of a run's trials."""

    def probed(self, *milliseconds, **changes):
        rank = lambda seconds: {"probe_before_seconds": seconds, "probe_after_seconds": seconds}  # noqa: E731
        return [
            a_record(trial=f"{i}", block=i, ranks=[rank(value / 1e3)] * changes.get("world_size", 1), **changes)
            for i, value in enumerate(milliseconds)
        ]

    def test_it_is_the_mean_of_before_and_after_of_the_slowest_rank(self):
        ranks = [{"probe_before_seconds": b, "probe_after_seconds": a} for b, a in ((1.0, 2.0), (3.0, 1.0))]
        assert probe_seconds(a_record(ranks=ranks, world_size=2)) == 2.5
        assert math.isnan(probe_seconds(a_record(ranks=[{}])))

    def test_one_that_ran_while_the_machine_was_a_third_slower_is_contaminated_though_it_waited_for_nothing(self):
        found = trials_frame(tuple(self.probed(1.0, 1.01, 1.02, 1.0, 0.99, 1.33, 1.0, 1.01, 0.98)))
        assert found["slowed"].tolist() == found["contaminated"].tolist() == [i == 5 for i in range(9)]

    def test_what_half_of_the_trials_suffered_is_the_rule(self):
        assert not trials_frame(tuple(self.probed(*[1.0, 1.5] * 8)))["slowed"].any()

    def test_up_to_a_tenth_is_no_more_than_a_trial_may_wait(self):
        assert not trials_frame(tuple(self.probed(*[1.0] * 10, 1.09)))["slowed"].any()
        assert trials_frame(tuple(self.probed(*[1.0] * 10, 1.11)))["slowed"].tolist() == [False] * 10 + [True]

    def test_fewer_than_eight_tell_nothing(self):
        assert not slow_limits(self.probed(*[1.0] * 7))
        assert slowed(self.probed(1.2)[0], slow_limits(self.probed(*[1.0] * 8)))

    def test_ranks_that_share_a_core_are_compared_with_their_like(self):
        alone, together = self.probed(*[1.0] * 10), self.probed(*[1.6] * 10, world_size=2)
        assert not trials_frame((*alone, *together))["slowed"].any()

    @pytest.mark.parametrize("noise", [0.01, 0.05, 0.15])
    def test_of_trials_on_a_steady_machine_one_in_fifty_is_called_slowed_at_most(self, noise):
        """However noisy its probe, and from the eighth trial on, as it is decided along a run: 1 in 143 at most."""
        random = np.random.default_rng(0)
        called = []
        for _ in range(60):
            records = self.probed(*np.exp(random.normal(0, noise, 40)))
            called += [slowed(record, slow_limits(records[:i])) for i, record in enumerate(records) if i >= 8]
        assert np.mean(called) <= 0.02
