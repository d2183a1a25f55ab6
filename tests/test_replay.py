"""What is reported to pytest-benchmark of trials that have no duration."""

from types import SimpleNamespace

import pytest

from paceline.bench.records.quantities import seconds_per_step
from paceline.bench.replay import report
from tests.synthetic import limited


def reported(records):
    report(SimpleNamespace(extra_info={}, pedantic=lambda trial, **_: trial()), records, seconds_per_step)


def test_to_run_into_a_limit_of_memory_that_was_set_is_no_failure_and_anything_else_is():
    ended = limited("FullBatch", ended="no memory")
    with pytest.raises(pytest.skip.Exception, match="limit of 128 MB ended it"):
        reported(ended)
    without = limited("FullBatch", ended="no memory", memory_limit_bytes=None)
    with pytest.raises(pytest.fail.Exception, match="nothing to time: no memory"):
        reported([*ended, *without])
