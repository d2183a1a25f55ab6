"""Pairs of cells: the planted ratio is found within blocks, and what is open at one end is called a bound."""

import math
from dataclasses import replace

import pytest

from paceline.bench.analysis.cells import cells_of, find, name_of, strategy_pairs
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.paired import Pair, pair, score_difference, speedup
from tests.synthetic import precisions, raced, results


def of(run: Results, a: str, b: str, metric: str) -> Pair:
    cells = cells_of(run, "strategies")
    first, second = find(cells, a), find(cells, b)
    assert first is not None
    assert second is not None
    return pair(run, first, second, metric)


def test_a_planted_ratio_is_found_whatever_the_machine_did() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=3.0))
    found = of(run, "FullBatch", "MiniBatch", "seconds_to_target")
    assert found.comparison.ratio == pytest.approx(3.0, rel=0.01)
    assert (found.verdict, found.bound, found.comparison.n) == ("slower", "", 6)


def test_a_trial_that_missed_leaves_its_end_open() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=9.0, missed=(2,)))
    assert of(run, "Amp", "MiniBatch", "seconds_to_target").bound == "at least"
    assert of(run, "MiniBatch", "Amp", "seconds_to_target").bound == "at most"


def test_too_few_blocks_to_look_at_are_no_trials_that_missed() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0, blocks=2),
        raced("Amp", seconds=2.0, blocks=2),
        environment={"until_decided": True},
    )
    found = of(run, "Amp", "MiniBatch", "seconds_to_target")
    assert (found.bound, found.verdict, found.comparison.low, found.comparison.high) == ("", "undecided", 0, math.inf)


def test_of_throughput_more_is_faster() -> None:
    run = results(precisions({(64, 32): 0.5}))
    mini, amp = sorted(cells_of(run, "precision"), key=lambda cell: cell["trainer"] == "Amp")
    assert speedup(run, amp, mini).verdict == "faster"
    assert speedup(run, mini, amp).verdict == "slower"
    assert speedup(run, amp, mini).comparison.ratio == pytest.approx(2.0, rel=0.01)


def test_a_difference_in_score_is_positive_where_it_is_for_the_better() -> None:
    run = results(precisions({(64, 32): 1.0}))
    for record in run.records:
        record.curve["score"][-1] = 0.9 if record.trainer == "Amp" else 0.8
    for higher, expected in ((True, 0.1), (False, -0.1)):
        turned = results([replace(record, higher_is_better=higher) for record in run.records])
        mini, amp = sorted(cells_of(turned, "precision"), key=lambda cell: cell["trainer"] == "Amp")
        median, low, high, n = score_difference(turned, amp, mini)
        assert (median, n) == (pytest.approx(expected), 6)
        # The two scores that were seen are 0.1 apart: no finer are they known.
        assert (low, high) == (pytest.approx(expected - 0.05), pytest.approx(expected + 0.05))


def test_strategies_are_paired_within_their_workload() -> None:
    trials = (raced(name, seconds=1.0, workload=w) for w, name in (("b", "Amp"), ("b", "Ddp"), ("a", "Amp")))
    found = strategy_pairs(results(*trials), "Ddp", "Amp")
    assert [(workload, name_of(a), name_of(b)) for workload, a, b in found] == [("b", "Ddp", "Amp")]


def test_a_comparison_that_was_complete_and_got_more_blocks_was_looked_at_twice() -> None:
    """Intervals then hold at every look; where it was interrupted within a block, nobody looked."""

    def planted(finished: int, odd: int = 0) -> Results:
        """``finished`` blocks of both before the run was gone on with, and ``odd`` further trials of one of them."""
        records = []
        for record in [*raced("MiniBatch", seconds=1.0), *raced("Amp", seconds=1.1, vary=1.02)]:
            early = record.block < finished or (record.trainer == "Amp" and record.block < finished + odd)
            records.append(replace(record, started=f"2026-01-0{1 if early else 3}T00:00:00.000+00:00"))
        return results(records, environment={"resumed": [{"captured": "2026-01-02T00:00:00+00:00"}]})

    fixed = of(results(list(planted(6).records)), "Amp", "MiniBatch", "seconds_to_target").comparison
    again = of(planted(4), "Amp", "MiniBatch", "seconds_to_target").comparison
    assert again.high - again.low > 1.5 * (fixed.high - fixed.low)
    for run in (planted(6), planted(4, odd=1), planted(2)):
        assert of(run, "Amp", "MiniBatch", "seconds_to_target").comparison == fixed


def test_memory_is_known_to_the_pages_and_the_arena_of_a_process() -> None:
    """1.01 [1.01, 1.01] at 7.9 MB is no difference that the measurement can tell; of GPUs every byte is counted."""
    at = {"MiniBatch": 7.9, "Amp": 7.98}
    run = results(*(raced(name, seconds=1.0, memory=memory) for name, memory in at.items()))
    found = of(run, "Amp", "MiniBatch", "training_memory_bytes")
    assert (found.verdict, found.comparison.low < 0.9, found.comparison.high > 1.1) == ("undecided", True, True)
    far = results(raced("MiniBatch", seconds=1.0, memory=7.9), raced("Amp", seconds=1.0, memory=12.0))
    found = of(far, "Amp", "MiniBatch", "training_memory_bytes")
    assert (found.verdict, found.floored) == ("more", False)
    near = results(raced("MiniBatch", seconds=1.0, memory=7.9), raced("Amp", seconds=1.0, memory=8.7))
    found = of(near, "Amp", "MiniBatch", "training_memory_bytes")
    assert (found.verdict, found.floored) == ("undecided", True)
