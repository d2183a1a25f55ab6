"""Each claim's verdict turns when the planted numbers turn."""

import re
from dataclasses import replace
from typing import Any

import pytest

from paceline.bench.analysis.frames import Results
from paceline.bench.records.record import Record
from paceline.bench.report.claims import CLAIMS, Judgement, judge
from tests.synthetic import (
    batch_sizes,
    failed_gate,
    limited,
    precisions,
    profiled,
    raced,
    ranks,
    results,
    searched,
    streamed,
)


def claim(number: int, run: Results) -> Judgement:
    return judge(run)[number - 1]


def test_all_eighteen_claims_are_judged_and_none_by_an_empty_run() -> None:
    judged = judge(results())
    assert [found.number for found in judged] == list(range(1, 19))
    assert {found.verdict for found in judged} == {"not measured"}
    assert all(found.why for found in judged)
    assert len({text for text, _ in CLAIMS}) == 18


def test_full_batch_has_two_answers_where_it_is_busier_and_later() -> None:
    # Ten times the samples per second, yet twice the time: it needs twenty times the samples.
    run = results(raced("MiniBatch", seconds=1.0, samples=6400), raced("FullBatch", seconds=2.0, samples=128_000))
    found = claim(1, run)
    assert found.verdict == "fails"
    assert "It holds in throughput, which nobody trains for." in found.why
    assert "10.0 times" in found.why
    assert "2.00 times" in found.why


@pytest.mark.parametrize(("seconds", "verdict"), [(0.5, "holds"), (2.0, "fails")])
def test_full_batch_is_faster_or_not(seconds: float, verdict: str) -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=seconds))
    assert claim(1, run).verdict == verdict


def test_workloads_that_contradict_each_other_make_it_depend() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0, workload="a"), raced("FullBatch", seconds=0.5, workload="a"),
        raced("MiniBatch", seconds=1.0, workload="b"), raced("FullBatch", seconds=2.0, workload="b"),
    )  # fmt: skip
    assert claim(1, run).verdict == "depends"


@pytest.mark.parametrize(("seconds", "verdict"), [(4.0, "holds"), (0.5, "fails")])
def test_online_is_slower_or_not(seconds: float, verdict: str) -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Online", seconds=seconds, batch_size=1))
    assert claim(2, run).verdict == verdict


def test_a_missed_target_counts_as_at_least_what_was_spent() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0),
        raced("Online", seconds=10.0, batch_size=1, missed=(0, 1, 2, 3, 4, 5)),
    )
    found = claim(2, run)
    assert found.verdict == "holds"
    assert re.search(r"at least (9\.9\d|10\.\d) times \[9\.\d+, ∞; n=6\] its seconds", found.why)
    assert "Online in 0 of 6 trials" in found.why
    # What was spent before missing says nothing if it is less than the other needed.
    run = results(raced("MiniBatch", seconds=1.0), raced("Online", seconds=0.5, batch_size=1, missed=(0,)))
    assert claim(2, run).verdict == "undecided"


def test_an_undecided_comparison_is_not_a_verdict() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Online", seconds=1.0, vary=1.4))
    found = claim(2, run)
    assert found.verdict == "undecided"
    assert re.match(r"Undecided on digits\. Undecided: about \d+ more seeds would decide it\.", found.why)
    assert re.search(r"\[0\.\d+, 1\.\d+; n=6\]", found.why)


def test_two_trials_decide_nothing() -> None:
    run = results(raced("MiniBatch", seconds=1.0, blocks=2), raced("Online", seconds=9.0, blocks=2))
    found = claim(2, run)
    assert found.verdict == "undecided"
    assert "no interval at n=2" in found.why


@pytest.mark.parametrize(
    ("samples", "memory", "verdict"),
    [(64_000, 20.0, "holds"), (3200, 2.0, "fails"), (64_000, 2.0, "depends")],
)
def test_mini_batches_save_computation_and_memory(samples: int, memory: float, verdict: str) -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=2.0, samples=samples, memory=memory))
    found = claim(5, run)
    assert found.verdict == verdict
    if verdict == "depends":
        assert "saves computation only" in found.why


def test_mixed_precision_depends_where_it_flips_and_the_turning_cells_are_named() -> None:
    run = results(precisions({(64, 32): 1.3, (64, 512): 1.2, (1024, 32): 0.9, (1024, 512): 0.5}))
    found = claim(9, run)
    assert found.verdict == "depends"
    yes, no = found.why.split("It does not hold at")
    assert "digits-1024 B=32" in yes
    assert "digits-1024 B=512 (2.0" in yes
    assert "digits-64 B=32 (0.7" in no
    assert "digits-64 B=512" in no


@pytest.mark.parametrize(("ratio", "verdict"), [(0.5, "holds"), (1.5, "fails"), (1.0, "equivalent")])
def test_mixed_precision_is_faster_or_not(ratio: float, verdict: str) -> None:
    assert claim(9, results(precisions({(64, 32): ratio, (64, 512): ratio}))).verdict == verdict


def test_one_resolved_cell_of_three_is_no_verdict_on_the_whole() -> None:
    one = precisions({(64, 32): 0.5})
    two_trials = [record for record in precisions({(64, 128): 0.9, (64, 512): 0.9}) if record.block < 2]
    found = claim(9, results(one, two_trials))
    assert found.verdict == "undecided"
    assert "It holds at digits-64 B=32" in found.why


def test_a_lower_score_is_the_better_one_where_the_workload_says_so() -> None:
    worse = [
        record
        if record.trainer == "MiniBatch"
        else replace(record, curve=record.curve | {"score": [None, 0.6 + 0.001 * record.block]})
        for record in precisions({(64, 32): 1.0}, score=0.5, higher_is_better=False)
    ]
    found = claim(11, results(worse))
    assert found.verdict == "fails"
    assert "-0.10" in found.why


def test_mixed_precision_and_accuracy() -> None:
    better = [*precisions({(64, 32): 1.0}, score=0.5)]
    improved = [
        record
        if record.trainer == "MiniBatch"
        else replace(record, curve=record.curve | {"score": [None, 0.6 + 0.001 * record.block]})
        for record in better
    ]  # fmt: skip
    found = claim(11, results(improved))
    assert found.verdict == "holds"
    assert "0.102" in found.why or "0.103" in found.why
    # No difference at all, of two that were stopped short of the target: it says nothing yet.
    same = claim(11, results(better))
    assert (same.verdict, "after 100 steps, short of the target" in same.why) == ("undecided", True)
    arrived = claim(11, results([replace(record, target=0.4) for record in better]))
    assert (arrived.verdict, "short of" in arrived.why) == ("equivalent", False)


def test_more_workers_hold_fail_or_depend_and_oversubscription_is_left_out() -> None:
    threads = {1: 1.0, 2: 1.5, 4: 2.0}
    assert claim(12, results(ranks({1: 1.0, 2: 1.8, 4: 3.0}, threads=threads))).verdict == "holds"
    assert claim(12, results(ranks({1: 1.0, 2: 0.8}, threads=threads))).verdict == "fails"
    assert claim(12, results(ranks({1: 1.0, 2: 1.8, 4: 0.7}, threads=threads))).verdict == "depends"
    found = claim(12, results(ranks({1: 1.0, 2: 1.8, 4: 0.5}, cores=2, threads={2: 1.5})))
    assert found.verdict == "holds"
    assert "more ranks than cores are left out" in found.why
    assert claim(12, results(ranks({1: 1.0, 2: 1.8}, cores=1))).verdict == "not measured"


def test_more_workers_that_are_faster_than_idle_cores_are_not_yet_faster_than_threads() -> None:
    found = claim(12, results(ranks({1: 1.0, 2: 1.14}, cores=2)))
    assert found.verdict not in ("holds", "fails", "depends")
    assert "threads on them, which were not measured" in found.why
    assert claim(12, results(ranks({1: 1.0, 2: 1.14}, cores=2, threads={1: 1.0, 2: 1.44}))).verdict == "depends"
    race = raced("MiniBatch", seconds=1.0, threads=2), raced("Ddp", seconds=4.15, world_size=2, threads=1)
    assert claim(12, results(ranks({1: 1.0, 2: 1.14}, cores=2), *race)).verdict == "depends"
    assert claim(12, results(ranks({1: 1.0, 2: 1.8}, device="cuda"))).verdict == "holds"


def test_accumulation_equals_the_large_batch_or_not() -> None:
    large = raced("MiniBatch", seconds=1.0)
    found = claim(14, results(large, raced("Accumulate", seconds=1.4)))
    assert found.verdict == "holds"
    assert "in parts of 16" in found.why
    assert "differ by 0 at most over 12 common steps" in found.why
    assert claim(14, results(large, raced("Accumulate", seconds=1.4, samples=12_800))).verdict == "fails"
    other_rate = claim(14, results(large, raced("Accumulate", seconds=1.4, lr=0.2)))
    assert other_rate.verdict == "undecided"


def tuned(name: str, score: float, **changes: Any) -> list[Record]:
    """A search of an optimizer that scores ``score`` at its best rate, and hits 0.9 the sooner the higher that is."""
    rates = {0.01: score - 0.2, 0.1: score, 1.0: score - 0.1, 10.0: None}
    return searched(name, rates, comparison="optimizers", **changes)


@pytest.mark.parametrize(("score", "verdict"), [(0.97, "holds"), (0.92, "fails"), (0.95, "equivalent")])
def test_decay_trains_better_or_not(score: float, verdict: str) -> None:
    """Each at its own best rate; as good as the constant rate is no better."""
    found = claim(7, results(tuned("Sgd", 0.95), tuned("SgdCosine", score)))
    assert found.verdict == verdict
    assert "digits SgdCosine" in found.why


def test_decay_depends_on_the_schedule_where_one_helps_and_another_hurts() -> None:
    found = claim(7, results(tuned("Sgd", 0.95), tuned("SgdCosine", 0.97), tuned("SgdStep", 0.92)))
    assert found.verdict == "depends"
    assert "It turns on the schedule" in found.why
    assert re.search(r"It holds at digits SgdCosine \(0\.0\d+ \[", found.why)
    assert re.search(r"It does not hold at digits SgdStep \(-0\.0\d+ \[", found.why)


def test_two_seeds_decide_nothing_of_a_schedule() -> None:
    found = claim(7, results(tuned("Sgd", 0.95, measured=2), tuned("SgdCosine", 0.97, measured=2)))
    assert found.verdict == "undecided"
    assert "(n=2)" in found.why


@pytest.mark.parametrize(("score", "verdict"), [(0.97, "holds"), (0.92, "fails")])
def test_adaptive_methods_train_faster_or_not(score: float, verdict: str) -> None:
    found = claim(8, results(tuned("Sgd", 0.95), tuned("Adam", score)))
    assert found.verdict == verdict
    assert "digits Adam in seconds" in found.why
    assert "digits Adam in samples" in found.why
    # Beside it stand the final score, and how much either owes to its rate.
    assert re.search(r"final scores are better than that of plain SGD by Adam -?0\.0\d+ \[", found.why)
    assert re.search(r"span Sgd 0\.\d decades \(of 4 rates\) and Adam 0\.\d decades", found.why)


def test_adaptive_methods_depend_on_what_is_counted_where_their_steps_cost_more() -> None:
    """Two thirds of the samples, at half of the samples per second."""
    found = claim(8, results(tuned("Sgd", 0.94), tuned("Adam", 0.96, samples_per_second=32_000.0)))
    assert found.verdict == "depends"
    assert "It turns on the method and on what is counted" in found.why
    assert re.search(r"It holds at digits Adam in samples \(0\.6", found.why)
    assert re.search(r"It does not hold at digits Adam in seconds \(1\.3", found.why)


def test_an_adaptive_method_that_never_arrives_is_slower_by_at_least_what_it_spent() -> None:
    found = claim(8, results(tuned("Sgd", 0.95), tuned("Adadelta", 0.85)))
    assert found.verdict == "fails"
    assert "digits Adadelta in samples (at least " in found.why
    assert claim(8, results(tuned("Adam", 0.95))).verdict == "not measured"  # there is nothing to compare with
    unmeasured = results(
        tuned("Sgd", 0.95, measured=0), tuned("Adam", 0.97, measured=0)
    )  # interrupted after the search
    assert claim(8, unmeasured).verdict == "not measured"


def sooner_at(name: str, rate: float, records: list[Record]) -> list[Record]:
    """Return the trials of ``name`` with those of the search at ``rate`` at the target in 320 samples."""
    found = []
    for record in records:
        if record.search == f"digits-{name}" and record.hyperparameters["optimizer"]["lr"] == rate:
            early = {"step": 5, "samples": 320, "loss": 1.0, "score": 0.9, "seconds": 0.005}
            curve = {column: [values[0], early[column], *values[1:]] for column, values in record.curve.items()}
            record = replace(record, curve=curve)
        found.append(record)
    return found


@pytest.mark.parametrize(
    ("score", "mistuned", "verdict"),
    [(0.97, "Sgd", "undecided"), (0.97, "Adam", "holds"), (0.92, "Adam", "undecided"), (0.92, "Sgd", "fails")],
)
def test_a_method_is_not_behind_at_a_rate_that_was_tuned_for_something_else(
    score: float, mistuned: str, verdict: str
) -> None:
    """Rates are those of the best final score. One that wins although another rate is sooner wins all the more."""
    run = sooner_at(mistuned, 1.0, [*tuned("Sgd", 0.95), *tuned("Adam", score)])
    found = claim(8, results(run))
    assert found.verdict == verdict
    assert (f"{mistuned} ran at 0.1, and gets there sooner at 1" in found.why) == (verdict == "undecided")


@pytest.mark.parametrize(
    ("number", "trainer"),
    [(1, "FullBatch"), (2, "Online"), (3, "Online"), (5, "MiniBatch"), (12, "Ddp"), (14, "Accumulate")],
)
def test_a_claim_that_rests_on_a_strategy_that_solves_another_problem_says_so(number: int, trainer: str) -> None:
    names = ("FullBatch", "MiniBatch", "Online", "Accumulate", "Ddp")
    run = results(
        *(raced(name, seconds=1.0 + i) for i, name in enumerate(names)), ranks({1: 1.0, 2: 1.8}, workload="wide")
    )
    plain, marked = claim(number, run), claim(number, replace(run, equivalence=(failed_gate(trainer),)))
    beware = f"Beware: {trainer} solves another problem: the planted reason."
    assert beware in marked.why
    assert " ".join(marked.why.replace(beware, "").split()) == plain.why
    assert marked.verdict == plain.verdict
    passed = failed_gate(trainer, passed=True, reason="")
    assert claim(number, replace(run, equivalence=(passed,))) == plain


@pytest.mark.parametrize("number", [9, 10, 11, 12])
def test_a_claim_about_precision_or_ranks_that_solve_another_problem_says_so(number: int) -> None:
    run = results(precisions({(64, 32): 0.5, (64, 512): 0.5}), ranks({1: 1.0, 2: 1.8}))
    gate = failed_gate("Amp", "digits-64"), failed_gate("Ddp", world_size=2)
    plain, marked = claim(number, run), claim(number, replace(run, equivalence=gate))
    name = "Ddp on digits with 2 ranks" if number == 12 else "Amp on digits-64"
    assert marked.why == f"{plain.why} Beware: {name} solves another problem: the planted reason."
    assert marked.verdict == plain.verdict


@pytest.mark.parametrize(("share", "verdict"), [(0.6, "holds"), (0.1, "fails")])
def test_synchronization_is_what_costs_or_not(share: float, verdict: str) -> None:
    assert claim(13, results(profiled("Ddp", {"communication": share, "backward": 0.3}, ranks=2))).verdict == verdict


def test_claims_without_a_benchmark_stay_unmeasured_in_a_full_run() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=2.0), raced("Online", seconds=3.0),
        batch_sizes({1: 1e3, 64: 1e5}), precisions({(64, 32): 0.5}), ranks({1: 1.0, 2: 1.8}),
    )  # fmt: skip
    found = claim(18, run)
    assert found.verdict == "not measured"
    assert "No benchmark measures this yet" in found.why
    for number in (6, 15, 16, 17):
        assert claim(number, run).verdict == "not measured"
    assert claim(3, run).why.startswith("Measured in part")


@pytest.mark.parametrize(("retrain", "verdict"), [(0.6, "holds"), (0.95, "fails")])
def test_online_training_follows_changing_data_or_not(retrain: float, verdict: str) -> None:
    found = claim(4, results(streamed("Online", 0.8), streamed("Retrain", retrain)))
    assert found.verdict == verdict
    assert "over retraining on the last ones" in found.why


def test_two_seeds_do_not_say_who_follows() -> None:
    assert (
        claim(4, results(streamed("Online", 0.8, blocks=2), streamed("Retrain", 0.6, blocks=2))).verdict == "undecided"
    )


@pytest.mark.parametrize(("grows", "verdict"), [(0.0, "holds"), (200.0, "depends")])
def test_online_training_needs_little_memory_whatever_the_size_of_the_data(grows: float, verdict: str) -> None:
    raced_ = raced("Online", seconds=9.0, memory=1.0), raced("MiniBatch", seconds=1.0, memory=9.0)
    found = claim(3, results(*raced_, limited("Online", grows)))
    assert found.verdict == verdict
    assert "Measured in part" not in found.why
    assert "per million samples" in found.why
    alone = claim(3, results(limited("Online", grows)))
    assert alone.verdict == ("holds" if not grows else "fails")
    assert alone.why.startswith("Measured in part: not what others add")
