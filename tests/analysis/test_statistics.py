"""Intervals that cover as often as they say, and comparisons whose answer was planted."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from paceline.bench import compare
from paceline.bench.analysis.statistics import median_interval
from paceline.bench.report.wording import ratio


@pytest.mark.parametrize("n", [3, 5, 6, 8, 10, 20])
def test_the_interval_covers_the_median_as_often_as_it_says(n):
    """Log-normal times. Order statistics are discrete, so they cover a little more than 95 %, never less."""
    rng = np.random.default_rng(0)
    covered = 0
    for values in np.exp(0.1 * rng.standard_normal((2000, n))):
        interval = median_interval(values.tolist())
        covered += interval.low <= 1.0 <= interval.high
    assert 0.94 < covered / 2000 < (0.96 if n < 6 else 0.995)


def test_from_six_values_it_is_made_of_order_statistics():
    """n = 10: the 2nd to the 9th, which cover 97.9 %; one further in would cover 89 %."""
    interval = median_interval([float(v) for v in range(1, 11)])
    assert (interval.median, interval.low, interval.high, interval.n) == (5.5, 2.0, 9.0, 10)
    assert median_interval([float(v) for v in range(1, 7)]).low == 1.0


def test_three_values_by_hand():
    """Student's t on logarithms: exp(mean +- 4.303 sd / sqrt 3)."""
    interval = median_interval([1.0, 2.0, 4.0])
    half = 4.302653 * math.log(2) / math.sqrt(3)
    assert interval.low == pytest.approx(2 * math.exp(-half), rel=1e-6)
    assert interval.high == pytest.approx(2 * math.exp(half), rel=1e-6)


def test_below_three_there_is_no_interval():
    assert math.isnan(median_interval([1.0, 2.0]).low)
    assert median_interval([1.0, 2.0]).median == 1.5
    assert median_interval([]).n == 0


def test_a_miss_is_later_than_every_hit():
    assert median_interval([1.0, 2.0, 3.0, math.inf]).median == 2.5
    assert math.isnan(median_interval([1.0, 2.0, 3.0, math.inf]).low)
    six = median_interval([1.0, 2.0, 3.0, 4.0, 5.0, math.inf])
    assert (six.median, six.low, six.high) == (3.5, 1.0, math.inf)


def trials(ratio: float, noise: float, n: int, seed: int = 0, drift: float = 0.0) -> pd.DataFrame:
    """Return blocks of A and B with A taking ``ratio`` times B's seconds, under noise and a drift over blocks."""
    rng = np.random.default_rng(seed)
    rows = []
    for block in range(n):
        for trainer, factor in (("A", ratio), ("B", 1.0)):
            seconds = factor * math.exp(noise * rng.standard_normal() + drift * block)
            rows.append({"trainer": trainer, "workload": "w", "cell": trainer, "seed": block, "block": block,
                         "seconds_to_target": seconds, "peak_rss_bytes": 100 * factor})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(0.5, "faster"), (2.0, "slower"), (1.0, "equivalent"), (1.02, "equivalent")]
)
def test_a_planted_ratio_is_found(ratio, verdict):
    found = compare(trials(ratio, noise=0.01, n=8), "A", "B")
    assert found.verdict == verdict
    assert found.low < ratio < found.high
    assert found.ratio == pytest.approx(ratio, rel=0.02)
    assert found.n == 8


def test_too_much_noise_is_undecided():
    assert compare(trials(1.0, noise=0.5, n=5), "A", "B").verdict == "undecided"


def test_drift_over_blocks_cancels():
    """The machine gets 20 % slower from block to block; within a block both suffer alike."""
    found = compare(trials(0.9, noise=0.01, n=6, drift=0.2), "A", "B")
    assert found.verdict == "faster"
    assert found.high - found.low < 0.05


def test_the_paired_interval_is_students():
    data = trials(0.8, noise=0.1, n=7)
    logs = np.log(
        data[data.trainer == "A"].seconds_to_target.to_numpy() / data[data.trainer == "B"].seconds_to_target.to_numpy()
    )
    low, high = stats.t.interval(0.95, 6, loc=logs.mean(), scale=stats.sem(logs))
    found = compare(data, {"trainer": "A"}, {"cell": "B"})
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)))


def test_the_words_fit_the_metric():
    data = trials(0.5, noise=0.0, n=4)
    assert compare(data, "A", "B", "peak_rss_bytes").verdict == "less"
    assert compare(data, "B", "A", "peak_rss_bytes").verdict == "more"


def test_blocks_without_both_are_left_out():
    data = trials(0.5, noise=0.01, n=5)
    data.loc[0, "seconds_to_target"] = np.nan
    assert compare(data, "A", "B").n == 4
    assert compare(data.assign(seconds_to_target=np.nan), "A", "B").verdict == "undecided"
    assert compare(trials(0.5, noise=0.01, n=2), "A", "B").verdict == "undecided"


@pytest.mark.parametrize(
    ("a", "metric", "message"),
    [("C", "seconds_to_target", "no trial matches 'C'"), ("A", "nonsense", "no column 'nonsense'"),
     ({"nonsense": 1}, "seconds_to_target", "no column 'nonsense'"),
     ({"workload": "w"}, "seconds_to_target", "more than one trial in a block")],
)  # fmt: skip
def test_a_selection_that_is_no_cell_is_refused(a, metric, message):
    with pytest.raises(ValueError, match=message):
        compare(trials(1.0, 0.1, 3), a, "B", metric)


def missing(data: pd.DataFrame, cell: str, blocks: range, spent: float) -> pd.DataFrame:
    """Return ``data`` in which ``cell`` missed the target in ``blocks``, having spent so many seconds."""
    chosen = (data.cell == cell) & data.block.isin(blocks)
    return data.assign(
        status=np.where(chosen, "missed", "reached"),
        train_seconds=np.where(chosen, spent, data.seconds_to_target),
        seconds_to_target=data.seconds_to_target.mask(chosen),
    )


class TestMissedTargets:
    """A trial that missed took longer than what it had spent; left out, the lucky ones would be compared."""

    def test_the_lucky_ones_are_not_compared(self):
        """A reaches the target in half the time, in the two blocks of eight in which it reaches it at all."""
        data = trials(0.5, noise=0.01, n=8)
        assert compare(data, "A", "B").verdict == "faster"
        missed = missing(data, "A", range(2, 8), spent=5.0)
        found = compare(missed, "A", "B")
        assert (found.verdict, found.high, found.n) == ("undecided", math.inf, 8)
        assert compare(missed[missed.block < 2], "A", "B").n == 2

    def test_a_bound_decides_where_it_suffices(self):
        """All of A had spent 3 times what B needed: A is slower, by how much nobody knows."""
        for n in (3, 6):
            found = compare(missing(trials(9.0, 0.01, n), "A", range(n), spent=3.0), "A", "B")
            assert (found.verdict, found.high, found.n) == ("slower", math.inf, n)
            assert 2.8 < found.low < found.ratio < 3.2
            mirrored = compare(missing(trials(9.0, 0.01, n), "A", range(n), spent=3.0), "B", "A")
            assert mirrored.verdict == "faster"
            assert (mirrored.low, mirrored.high) == pytest.approx((0.0, 1 / found.low))

    def test_a_bound_below_what_the_other_needed_says_nothing(self):
        found = compare(missing(trials(9.0, 0.01, 6), "A", range(6), spent=0.5), "A", "B")
        assert (found.verdict, found.high) == ("undecided", math.inf)

    def test_one_miss_of_twelve_leaves_the_median_known(self):
        """Order statistics: the 3rd to the 10th of 12, among the bounds; one miss moves none to infinity."""
        data = trials(0.5, noise=0.05, n=12)
        found = compare(missing(data, "A", range(1), spent=9.0), "A", "B")
        logs = np.sort(np.log(data[data.cell == "A"].seconds_to_target.to_numpy()
                              / data[data.cell == "B"].seconds_to_target.to_numpy())[1:])  # fmt: skip
        assert found.verdict == "faster"
        assert (found.low, found.high) == pytest.approx((math.exp(logs[2]), math.exp(logs[9])))

    def test_where_both_missed_nothing_is_known(self):
        data = missing(trials(1.0, 0.01, 6), "A", range(6), spent=3.0)
        data = data.assign(status="missed", train_seconds=3.0, seconds_to_target=np.nan)
        found = compare(data, "A", "B")
        assert (found.verdict, found.low, found.high, found.n) == ("undecided", 0.0, math.inf, 6)
        assert math.isnan(found.ratio)

    def test_with_two_blocks_the_ratio_is_still_a_bound(self):
        found = compare(missing(trials(9.0, 0.01, 2), "A", range(1), spent=3.0), "A", "B")
        assert math.isnan(found.low)
        assert (found.high, found.verdict) == (math.inf, "undecided")

    @pytest.mark.parametrize("n", [4, 8, 12, 20])
    def test_the_interval_covers_under_censoring(self, n):
        """A is as fast as B, and each trial is cut off at a budget that a third of them exceed."""
        rng = np.random.default_rng(n)
        covered = decided = 0
        for _ in range(150):
            data = trials(1.0, noise=0.3, n=n, seed=int(rng.integers(1 << 30)))
            late = data.seconds_to_target > 1.14  # exp(0.3 * 0.43): a third of log-normal times
            data = data.assign(status=np.where(late, "missed", "reached"), train_seconds=1.14,
                               seconds_to_target=data.seconds_to_target.mask(late))  # fmt: skip
            found = compare(data, "A", "B")
            covered += found.low <= 1 <= found.high
            decided += found.verdict in ("faster", "slower")
        # 95 % of 150 is 142.5; a correct interval falls below 133 once in a thousand times (binomial).
        assert covered >= 133
        assert decided <= 17

    def test_a_crash_is_no_late_arrival(self):
        data = missing(trials(1.0, 0.01, 6), "A", range(1), spent=50.0)
        data.loc[data.status == "missed", "status"] = "crashed"
        found = compare(data, "A", "B")
        assert (found.n, found.verdict) == (5, "equivalent")
        assert found.failed == 1
        assert ratio(found).endswith("n=5, 1 failed")

    def test_a_median_is_told_from_a_mean(self):
        found = compare(missing(trials(9.0, 0.01, 6), "A", range(1), spent=3.0), "A", "B")
        assert ratio(found).endswith("n=6, median")
        assert ratio(compare(trials(9.0, 0.01, 6), "A", "B")).endswith("n=6")

    def test_what_diverged_counts_as_missed_at_the_most_that_any_trial_spent(self):
        """Stopped after 0.1 s it would not have got there in the 4 s that another trial of the cell had."""
        data = missing(trials(9.0, 0.01, 6), "A", range(6), spent=4.0)
        data.loc[(data.cell == "A") & (data.block == 0), ["status", "train_seconds"]] = ["diverged", 0.1]
        found = compare(data, "A", "B")
        assert found.low > 3.8
