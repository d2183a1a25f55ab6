"""Prequential scores, baselines, latencies and backlogs, each beside what it is by hand."""

import math

import numpy as np
import pytest

from paceline.bench.analysis.prequential import ALPHA, faded, followed, lead, lead_over, majority, no_change
from paceline.bench.records import streams
from tests.synthetic import results, streamed


def test_a_fading_score_is_the_recursion_of_its_source():
    right = np.random.default_rng(0).integers(0, 2, 50)
    total = count = 0.0
    expected = []
    for each in right:
        total, count = each + 0.9 * total, 1 + 0.9 * count
        expected.append(total / count)
    assert faded(right, 0.9) == pytest.approx(expected)
    assert faded(right, 1.0) == pytest.approx(np.cumsum(right) / np.arange(1, 51))


def test_what_is_constant_does_not_fade_and_a_change_is_followed_as_fast_as_alpha_says():
    assert faded([1] * 300) == pytest.approx([1.0] * 300)
    changed = faded([1] * 10_000 + [0] * 500)
    assert changed[-1] == pytest.approx(ALPHA**500, rel=1e-6)  # the sum is 1 / (1 - alpha) by then


def test_baselines_know_only_what_has_come():
    labels = [3, 3, 1, 1, 1, 3]
    assert no_change(labels).tolist() == [0, 1, 0, 1, 1, 0]
    assert majority(labels).tolist() == [0, 1, 0, 0, 1, 0]  # of equals the smallest: 1, before the fifth
    assert no_change([]).tolist() == majority([]).tolist() == []


def test_planted_shares_latencies_and_backlogs_are_read_back():
    run = results(streamed("Online", 0.8), streamed("Online", 0.8, kind="flooded", behind=1.0))
    asked, flooded = followed(run)
    assert (asked.kind, flooded.kind) == ("asked", "flooded")
    assert asked.score.median == pytest.approx(0.8, abs=0.02)
    assert asked.at_end.median == pytest.approx(0.8, abs=0.08)
    assert math.isnan(asked.p50.median)
    assert math.isnan(asked.behind.median)
    assert asked.learned.median == 1
    # The i-th of 10,000 a second is learned 1 ms + i / 10,000 s after it came: the middle one at 51 ms.
    assert flooded.p50.median == pytest.approx(0.051, abs=2e-4)
    assert flooded.p99.median == pytest.approx(0.100, abs=2e-4)
    # Half of the way all 1,000 have come, and half are learned.
    assert flooded.behind.median == pytest.approx(500, abs=12)


def test_who_keeps_up_is_behind_by_what_comes_within_a_latency():
    (record, *_) = streamed("Online", 0.8, kind="paced")
    assert streams.most_behind(record) == 1
    assert streams.latency_quantile(record, 0.99) == 1e-3


def test_of_a_batch_that_is_learned_at_once_only_what_came_after_it_waits():
    """Ten at a time, at 1 ms each, learned 2 ms after the last came: two have come since."""
    (record, *_) = streamed("MiniBatch", 0.8, kind="paced", samples=100)
    latency = [None, *(round((9 - number % 10) * 1e-3 + 2e-3, 6) for number in range(1, 100))]
    record.stream["latency_seconds"][:] = latency
    assert set(streams.behind(record)[10:90]) == {2.0}


def test_leads_are_of_pairs_and_over_baselines():
    better, worse, same = (followed(results(streamed(*args)))[0] for args in (("A", 0.9), ("B", 0.7), ("C", 0.9)))
    assert lead(better, worse).verdict == "better"
    assert lead(worse, better).verdict == "worse"
    assert lead(better, worse).interval.median == pytest.approx(0.2, abs=0.02)
    assert lead(better, same).verdict in ("equivalent", "undecided")
    # Who had less time is compared over the samples that both had, whatever came after them.
    whole = streamed("B", 0.6)
    for record in whole:
        record.stream["predicted"][400:] = record.stream["label"][400:]
    long, short = (followed(results(run))[0] for run in (whole, streamed("A", 0.6, samples=400)))
    assert long.score.median > 0.8
    assert abs(lead(long, short).interval.median) < 0.05
    assert lead_over(better, "no change").interval.median == pytest.approx(0.8, abs=0.03)


def test_an_empty_run_and_a_trial_that_failed_are_nothing():
    assert followed(results()) == []
    failed = streamed(
        "Online",
        0.8,
        status="failed",
        stream={},
        curve={n: [] for n in ("step", "samples", "seconds", "loss", "score")},
    )
    assert followed(results(failed)) == []
