"""The null test says in words what its noise hides."""

import re

import pytest

from paceline.bench.analysis.null_test import nulls
from paceline.bench.report import null
from tests.synthetic import normal_logs, null_test, raced, results


def test_the_headline_names_the_difference_that_the_runs_own_blocks_cannot_see():
    """Six blocks of strategies, not the twelve of the null test: exp(0.04 x 1.43) - 1 = 5.9 %."""
    text = null.headline(results(null_test(normal_logs(0.04, 12)), raced("MiniBatch", seconds=1.0)))
    assert re.match(
        r"Differences under 5\.9 % in seconds to target on digits are not resolved in this run \(n = 6 blocks\), "
        r"and other pairs are noisier: ",
        text,
    )
    alone = null.headline(results(null_test(normal_logs(0.04, 12))))
    assert re.match(r"Differences under 3\.6 % .*\(n = 12 blocks\), .*: the same strategy .* differed by 4\.1 %", alone)


def test_the_headline_is_that_of_the_strategies_own_pairs_and_the_null_test_its_floor():
    """Exp of 0.266 x 1.435 is 46 %, eight times what the null test would make one believe."""
    run = results(
        null_test(normal_logs(0.04, 12)), raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.0, vary=1.3),
        raced("Ddp", seconds=3.0),
    )  # fmt: skip
    text = null.headline(run)
    found = re.match(
        r"Differences under (\d+) % in seconds to target between strategies on digits are not resolved in this run "
        r"\(n = 6 seeds; the median pair\), under (\d+) % for Amp / MiniBatch, the noisiest\. "
        r"At best it would be 5\.9 %: the same strategy under two names differed by 4\.1 % \[2\.9 %, 7 %\]", text,
    )  # fmt: skip
    assert found, text
    assert (int(found[1]) < 30, found[2]) == (True, "46")
    assert "At best" not in null.headline(results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=2.0)))


def test_the_resolution_of_each_comparison_is_that_of_its_blocks():
    run = results(null_test(normal_logs(0.04, 12)), raced("MiniBatch", seconds=1.0, blocks=3))
    [row] = null.resolution(run).to_dict("records")
    assert (row["comparison"], row["blocks"]) == ("strategies", "3")
    assert row["floor (null test)"] == "14 %"  # exp(0.04 x 3.26) - 1
    both = results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.0, vary=1.3))
    [row] = null.resolution(both).to_dict("records")
    assert row["noisiest pair"] == f"{row['smallest difference seen, median pair']} (Amp / MiniBatch)"


def test_where_the_target_was_missed_the_time_per_step_is_left():
    run = results(null_test(normal_logs(0.04, 6), missed=True))
    assert [found.metric for found in nulls(run)] == ["seconds_per_step"]
    assert "in seconds per step on digits" in null.headline(run)


@pytest.mark.parametrize(
    ("run", "why"),
    [(results(), "it holds no null test"), (results(raced("Amp", seconds=1.0)), "it holds no null test"),
     (results(null_test([0.1, 0.2])), "fewer than three pairs")],
)  # fmt: skip
def test_without_a_null_test_nothing_is_claimed(run, why):
    assert why in null.headline(run)
    assert null.table(run).empty
    assert null.resolution(run).empty
