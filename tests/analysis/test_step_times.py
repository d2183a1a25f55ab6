"""What a step takes, where the law is known."""

import math

import pytest

from paceline.bench.analysis.step_times import (
    Timed,
    contends,
    fastest,
    hopeless,
    line,
    line_of,
    memory_at,
    memory_bytes,
    seconds_at,
    timed,
)
from tests.planted import a_curve, a_record


def law(a, b, sizes, memory=math.nan):
    return {size: Timed(a + b * size, memory * size, 1) for size in sizes}


def times(**ways):
    return {(way, size): one for way, own in ways.items() for size, one in own.items()}


FAST_START = times(plain=law(1e-3, 20e-6, (4, 64, 4096), 1e6), amp=law(3e-3, 10e-6, (4, 64, 4096)))


def test_a_step_between_two_that_were_timed_lies_on_the_law():
    assert seconds_at(FAST_START, "plain", 512) == pytest.approx(1e-3 + 20e-6 * 512)
    assert memory_at(FAST_START, "plain", 512) == pytest.approx(512e6)
    assert seconds_at(FAST_START, "nobody", 64) == math.inf


@pytest.mark.parametrize("size", [1, 2, 8192, 65536])
def test_beyond_what_was_timed_it_is_no_less_than_the_law(size):
    assert seconds_at(FAST_START, "plain", size) >= 1e-3 + 20e-6 * size
    one = times(plain=law(1e-3, 20e-6, (64,), 1e6))
    assert seconds_at(one, "plain", size) >= 1e-3 + 20e-6 * size
    assert memory_at(one, "plain", size) >= 1e6 * size


def test_the_line_is_the_law():
    found = line_of(FAST_START, "amp")
    assert (found.a, found.b, found.n) == (pytest.approx(3e-3), pytest.approx(10e-6), 3)
    assert found.error < 1e-9
    assert line([64], [1.0]) is None
    assert line([1, 2], [2.0, 1.0]).b == 0  # more samples cost nothing less


def test_who_is_slower_below_and_above_is_hopeless_between_and_only_there():
    slow = times(plain=law(1e-3, 20e-6, (4, 4096)), ddp=law(3e-3, 40e-6, (4, 4096)))
    assert hopeless(slow, "ddp", 64)
    assert not hopeless(FAST_START, "amp", 512)  # it is faster at 4,096
    assert not hopeless(slow, "plain", 64)


def test_a_contender_is_timed_again():
    assert contends(FAST_START, "amp", 4096)
    assert not contends(FAST_START, "amp", 4)
    assert fastest(FAST_START, 4) == pytest.approx(1.08e-3)


def test_trials_of_a_way_give_their_median_and_the_most_memory():
    records = [
        a_record(curve=a_curve((10, 100, seconds, 1.0, None)), ranks=[{"peak_rss_bytes": size}] * 2)
        for seconds, size in [(1.0, 100), (3.0, 300), (1.2, 200)]
    ]
    found = timed(records)
    assert (found.seconds, found.memory_bytes, found.n) == (pytest.approx(0.12), 600, 3)
    assert memory_bytes(a_record(ranks=[{"peak_rss_bytes": 1}, {}])) != memory_bytes(a_record())
    failed = timed([a_record(status="crashed", curve=a_curve())])
    assert math.isnan(failed.seconds)
