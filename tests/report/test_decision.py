"""The decision names what was planted, calls a tie a tie, and abstains where the data do not decide."""

import math
import re
from dataclasses import replace

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.sequential import compare_anytime
from paceline.bench.report import strategies
from paceline.bench.report.claims import judge
from paceline.bench.report.decision import decide, decision_text
from paceline.bench.report.null import headline
from paceline.bench.report.wording import ratio
from tests.synthetic import batch_sizes, failed_gate, null_test, precisions, raced, ranks, results, swept


def row(run: Results, constraint: str) -> tuple[str, str]:
    table = decide(run)
    found = table[table["constraint"].str.contains(constraint, regex=False)]
    assert len(found) == 1, list(table["constraint"])
    return str(found["choice"].iloc[0]), str(found["why"].iloc[0])


def test_the_planted_fastest_is_chosen_through_drift_that_is_larger_than_the_difference() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=1.2), raced("Online", seconds=3.0))
    choice, why = row(run, "fastest to target")
    assert choice == "MiniBatch"
    assert "6 of 6" in why
    assert "FullBatch takes 1.2" in why


def test_fewest_samples_and_least_memory_are_constraints_of_their_own() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0, samples=6400, memory=8.0),
        raced("Online", seconds=5.0, samples=3200, batch_size=1, memory=8.0),
        raced("Accumulate", seconds=1.5, samples=6400, memory=4.0),
    )
    assert row(run, "fastest to target")[0] == "MiniBatch"
    assert row(run, "fewest samples")[0] == "Online"
    assert row(run, "least training memory")[0] == "Accumulate"
    choice, why = row(run, "memory limit")
    assert choice == "Accumulate from 104 MB, MiniBatch from 108 MB"  # of the process, which had 100 MB before
    assert "Online" not in choice
    assert "no faster: Online" in why


def test_a_planted_tie_is_called_a_tie() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.0, vary=1.3), raced("FullBatch", seconds=9.0))
    choice, why = row(run, "fastest to target")
    assert set(choice.split(" or ")) == {"MiniBatch", "Amp"}
    assert "not resolved" in why


def test_equivalent_strategies_are_said_to_be_equivalent() -> None:
    choice, why = row(results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.0)), "fastest to target")
    assert "or" in choice
    assert "is equivalent" in why


def test_a_strategy_that_missed_the_target_is_not_the_fastest_and_its_success_is_shown() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=0.5, missed=(1, 4)))
    choice, why = row(run, "fastest to target")
    assert choice == "MiniBatch"
    assert "Amp (reached 4 of 6)" in why


def test_it_abstains_where_no_strategy_reached_the_target_every_time() -> None:
    choice, why = row(results(raced("MiniBatch", seconds=1.0, missed=(0,))), "which strategy")
    assert choice == "not decided"
    assert "MiniBatch (reached 5 of 6)" in why


def test_two_trials_give_no_interval_and_no_decision() -> None:
    run = results(raced("MiniBatch", seconds=1.0, blocks=2), raced("FullBatch", seconds=9.0, blocks=2))
    choice, why = row(run, "fastest to target")
    assert choice == "not decided"
    assert "no interval at n=2" in why
    assert "no interval at n=2" in row(run, "memory limit")[1].lower()


def test_more_memory_is_not_recommended_for_a_gain_that_is_not_resolved() -> None:
    run = results(raced("MiniBatch", seconds=1.0, memory=4.0), raced("Amp", seconds=0.8, memory=8.0, vary=1.5))
    choice, why = row(run, "memory limit")
    assert choice == "MiniBatch from 104 MB"
    assert "is not resolved to be faster" in why


def test_a_stream_is_learned_online_and_the_price_is_given() -> None:
    online = raced("Online", seconds=4.0, samples=3200, batch_size=1, train_samples=4000)
    run = results(raced("MiniBatch", seconds=1.0), online)
    choice, why = row(run, "come as a stream")
    assert choice == "Online"
    assert "4.0" in why
    assert "0.500 times" in why
    assert row(results(raced("MiniBatch", seconds=1.0)), "come as a stream")[0] == "not measured"


def test_what_passes_over_its_samples_twice_is_no_answer_for_a_stream() -> None:
    online = raced("Online", seconds=4.0, samples=3200, batch_size=1, train_samples=2000)
    choice, why = row(results(raced("MiniBatch", seconds=1.0), online), "come as a stream")
    assert choice == "not decided"
    assert "Online needed 1.60 to 1.60 passes over the 2,000 samples" in why


def test_a_lucky_crossing_is_said_of_what_rests_on_it_and_not_of_memory() -> None:
    """Online stands far below the target at every evaluation but its last."""
    scores = [0.8, 0.81, 0.79, 0.8, 0.81, 0.79, 0.8, 0.91]
    online = []
    for record in raced("Online", seconds=0.5, memory=2.0, batch_size=1):
        end = record.curve["seconds"][-1]
        points = range(1, len(scores) + 1)
        curve = {"step": [800 * i for i in points], "samples": [800 * i for i in points],
                 "seconds": [end * i / len(scores) for i in points], "loss": [0.5] * 8, "score": scores}  # fmt: skip
        online.append(replace(record, curve=curve, train_samples=10_000))
    run = results(raced("MiniBatch", seconds=1.0, memory=8.0), online)
    beware = "Beware of Online: lucky crossing? 6 of 6 hits stand out of a level below the target."
    for constraint in ("fastest to target", "come as a stream", "memory limit"):
        assert beware in row(run, constraint)[1]
    choice, why = row(run, "least training memory")
    assert choice == "Online"
    assert beware not in why


def test_those_that_take_the_same_steps_are_one_choice_of_samples() -> None:
    run = results(
        raced("Accumulate", seconds=1.5), raced("Ddp", seconds=4.0), raced("MiniBatch", seconds=1.0),
        raced("FullBatch", seconds=3.0, samples=128_000),
    )  # fmt: skip
    choice, why = row(run, "fewest samples")
    assert choice == "MiniBatch"
    assert "Accumulate takes the samples of MiniBatch in every seed: no other choice." in why
    assert "The best of" not in why  # two are compared


def test_what_is_tied_says_what_choosing_it_costs_and_how_many_seeds_would_tell() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.1, vary=1.3), raced("FullBatch", seconds=9.0))
    _, why = row(run, "fastest to target")
    assert re.search(r"Amp takes .* not resolved: about \d+ more seeds would decide it", why)
    found = re.search(r"MiniBatch ([\d.]+) % .*chance of (\d+) %\) and Amp ([\d.]+) % .*chance of (\d+) %\)", why)
    assert found
    low, likely, high, unlikely = map(float, found.groups())
    assert low < high
    assert likely + unlikely == 100
    assert "The best of 3, compared with all others at once" in why


def test_memory_below_what_the_measurement_tells_decides_nothing() -> None:
    """0.4 MB apart to within 2 %: pages and the allocator may be as far off, in every block alike."""
    run = results(raced("MiniBatch", seconds=1.0, memory=3.0), raced("Amp", seconds=2.0, memory=3.4))
    choice, why = row(run, "least training memory")
    assert choice == "MiniBatch or Amp"
    assert "below what the measurement can tell" in why
    large = results(raced("MiniBatch", seconds=1.0, memory=30.0), raced("Amp", seconds=2.0, memory=34.0))
    assert row(large, "least training memory")[0] == "MiniBatch"


def test_the_smallest_batch_that_saturates_is_chosen() -> None:
    run = results(batch_sizes({1: 1e3, 16: 1e4, 64: 9.7e4, 256: 1e5, 1000: 6e4}))
    choice, why = row(run, "saturates")
    assert choice == "B=64"
    assert "Best at B=256" in why
    assert "run bench_critical_batch.py for the samples and seconds" in why


def test_a_batch_that_may_saturate_leaves_the_choice_between_two() -> None:
    choice, why = row(results(batch_sizes({16: 1e4, 64: 9.1e4, 256: 1e5})), "saturates")
    assert "whether it is 90 % of it is not resolved" in why
    assert choice == "between B=64 and B=256"
    choice, why = row(results(batch_sizes({16: 1e4, 64: 9.7e4}, blocks=2)), "saturates")
    assert choice == "not decided"
    assert "No interval at n=2" in why


def test_workers_are_added_as_long_as_they_pay() -> None:
    threads = {1: 1.1, 2: 1.5, 4: 1.4}
    choice, why = row(results(ranks({1: 1.0, 2: 1.8, 4: 1.7}, threads=threads)), "how many workers")
    assert choice == "2 ranks"
    assert "On 2 cores, 2 ranks have 1.20 times" in why
    assert "From 1 process on 1 thread to 2 ranks at B=256 the throughput becomes 1.6" in why
    assert "at 1.2" in why  # core-seconds: 2 / 1.64
    assert "it is slower" in why


def test_threads_are_taken_where_they_are_faster_on_the_same_cores() -> None:
    """Ranks that beat one thread, the other core idle, are no reason: a process on both may beat them."""
    fast = results(ranks({1: 1.0, 2: 1.14}, cores=2, threads={1: 1.0, 2: 1.44}))
    choice, why = row(fast, "how many workers")
    assert choice == "1 process on 2 threads"
    assert "On 2 cores, 2 ranks have 0.79" in why
    slow = results(ranks({1: 1.0, 2: 1.14}, cores=2, threads={1: 1.3, 2: 1.25}))
    assert row(slow, "how many workers")[0] == "1 process on 1 thread"


def test_ranks_against_idle_cores_decide_nothing() -> None:
    choice, why = row(results(ranks({1: 1.0, 2: 1.8}, cores=2)), "how many workers")
    assert choice == "not decided"
    assert "That is against 1 idle core: 1 process on 2 threads was not measured, and may be faster." in why


def test_a_tie_of_layouts_at_the_same_cores_is_called_one() -> None:
    run = results(ranks({1: 1.0, 2: 1.8}, cores=2, threads={1: 1.0, 2: 1.8}))
    assert row(run, "how many workers")[0] == "1 process on 2 threads or 2 ranks"


def test_gpus_are_compared_with_one_and_cost_their_seconds() -> None:
    run = ranks({1: 1.0, 2: 1.8, 4: 2.0}, threads={1: 1.0}, device="cuda")
    run = [r for r in run if not (r.trainer == "MiniBatch" and r.threads > 1)]
    choice, why = row(results(run), "how many workers")
    assert choice == "4 ranks"
    assert "From 1 process on 1 GPU to 2 ranks at B=256" in why
    assert "the GPU-seconds a sample: it is faster" in why
    assert "idle" not in why


def test_gpus_that_race_one_say_so_and_in_gpu_seconds() -> None:
    race = raced("MiniBatch", seconds=1.0, device="cuda"), raced("Ddp", seconds=0.5, device="cuda", world_size=8)
    why = row(results(*race, ranks({1: 1.0, 2: 1.8}, device="cuda")), "how many workers")[1]
    assert "On 8 GPUs against 1, Ddp's ranks take 0.50" in why
    assert "Not on the same number of GPUs: " in row(results(*race), "fastest to target")[1]
    [pairwise] = strategies.pairwise(results(*race)).to_dict("records")
    assert pairwise["not on the same"].startswith("On 8 GPUs against 1: 4.0")
    assert pairwise["not on the same"].endswith("the GPU-seconds")
    assert "4.0" in why.split("On 8 GPUs against 1")[1].split("GPU-seconds")[0]


def test_one_process_on_one_thread_is_enough_where_a_second_buys_nothing() -> None:
    run = results(ranks({1: 1.0, 2: 0.9}, threads={1: 1.0, 2: 0.95}))
    assert row(run, "how many workers")[0] == "1 process on 1 thread"
    assert row(results(ranks({1: 1.0, 2: 0.9})), "how many workers")[0] == "1 rank"


def test_ranks_that_share_cores_are_never_recommended_however_fast_they_look() -> None:
    run = results(ranks({1: 1.0, 2: 1.8, 4: 4.0}, cores=2, threads={1: 1.0, 2: 1.5}))
    choice, why = row(run, "how many workers")
    assert choice == "2 ranks"
    assert "4 ranks share cores here (oversubscribed): not considered" in why
    choice, why = row(results(ranks({1: 1.0, 2: 2.0}, cores=1)), "how many workers")
    assert choice == "not decided"


def test_two_ranks_at_two_trials_are_not_decided() -> None:
    choice, why = row(results(ranks({1: 1.0, 2: 1.8}, blocks=2)), "how many workers")
    assert choice == "not decided between 1 rank and 2 ranks"
    assert "no interval at n=2" in why


def test_mixed_precision_is_recommended_where_it_pays_only() -> None:
    choice, why = row(results(precisions({(64, 32): 1.3, (1024, 512): 0.5})), "precision")
    assert choice == "bfloat16 at digits-1024 B=512; elsewhere float32"
    assert "digits-64 B=32 (0.7" in why
    assert row(results(precisions({(64, 32): 1.3, (64, 512): 1.1})), "precision")[0] == "float32"
    assert row(results(precisions({(64, 32): 0.7, (64, 512): 0.8})), "precision")[0] == "bfloat16"
    assert row(results(precisions({(64, 32): 0.7}, blocks=2)), "precision")[0] == "not decided"


def test_a_rate_that_is_a_default_is_said_not_to_have_been_searched() -> None:
    """0.316 is what the search in learning_rates.csv found for both on mnist5k; 0.1 is a default."""
    found = {"workload": "mnist5k", "lr": 0.316}
    run = results(raced("MiniBatch", seconds=1.0, **found), raced("Amp", seconds=1.2, **(found | {"lr": 0.1})))
    assert "The rate of Amp was not searched." in row(run, "fastest to target")[1]
    run = results(raced("MiniBatch", seconds=1.0, **found), raced("Amp", seconds=1.2, **found))
    assert "not searched" not in row(run, "fastest to target")[1]


def test_what_was_not_run_is_named_with_the_benchmark_to_run() -> None:
    table = decide(results())
    assert list(table["choice"]) == ["not measured"] * 8
    for name in ("strategies", "batch_size", "critical_batch", "scaling", "precision", "stream", "loading"):
        assert table["why"].str.contains(f"run bench_{name}.py").sum() == 1


def test_every_workload_gets_its_own_decision() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0, workload="a"), raced("FullBatch", seconds=2.0, workload="a"),
        raced("MiniBatch", seconds=2.0, workload="b"), raced("FullBatch", seconds=1.0, workload="b"),
    )  # fmt: skip
    assert row(run, "a: fastest to target")[0] == "MiniBatch"
    assert row(run, "b: fastest to target")[0] == "FullBatch"


def test_a_trial_without_a_result_excludes_its_strategy_and_breaks_nothing() -> None:
    crashed = raced("Ddp", seconds=0.5, status="crashed", reason="rank 1 left", curve=dict.fromkeys(
        ("step", "samples", "seconds", "loss", "score"), ()), ranks=[])  # fmt: skip
    choice, why = row(results(raced("MiniBatch", seconds=1.0), crashed), "fastest to target")
    assert choice == "MiniBatch"
    assert "Ddp (reached 0 of 6)" in why


def test_a_strategy_that_solves_another_problem_is_not_chosen_silently() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0, samples=3200, memory=4.0),
        raced("Ddp", seconds=0.5, memory=8.0),
        ranks({1: 1.0, 2: 1.8}, workload="wide"),
    )
    marked = replace(run, equivalence=(failed_gate("Ddp"), failed_gate("MiniBatch", passed=True, reason="")))
    beware = "Beware: Ddp solves another problem: the planted reason."
    choice, why = row(marked, "fastest to target")
    assert choice == "Ddp"
    assert why.startswith(beware)
    assert row(marked, "memory limit")[1].startswith(beware)
    assert beware in row(marked, "how many workers")[1]
    assert "MiniBatch solves" not in " ".join(decide(marked)["why"])
    # Nothing else changes, and nothing at all where every strategy passed, or one of another workload did not.
    for plain, said in zip(decide(run)["why"], decide(marked)["why"], strict=True):
        assert " ".join(said.replace(beware, "").split()) == plain
    for gate in (failed_gate("Ddp", passed=True, reason=""), failed_gate("Ddp", workload="others")):
        assert decide(replace(run, equivalence=(gate,))).equals(decide(run))


def test_a_strategy_that_a_row_does_not_name_is_not_warned_of() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Online", seconds=2.0), raced("Online-B2", seconds=9.0))
    marked = replace(run, equivalence=(failed_gate("Online-B2"),))
    assert "Beware" not in row(marked, "come as a stream")[1]


def test_the_text_for_a_terminal_begins_with_what_is_not_resolved() -> None:
    noise = null_test([0.05, -0.04, 0.03, -0.05, 0.02, 0.01])
    run = results(raced("MiniBatch", seconds=1.0), noise)
    text = decision_text(run)
    first = " ".join(text.split("\n\nDecision")[0].split())
    assert first == headline(run)
    assert first.startswith("Differences under")
    assert max(map(len, text.splitlines())) <= 100
    assert decision_text(results()).startswith("Which differences this run resolves is not known")


def test_the_text_for_a_terminal_holds_every_row() -> None:
    run = results(raced("MiniBatch", seconds=1.0), ranks({1: 1.0, 2: 1.8}))
    text = decision_text(run)
    for constraint, choice in decide(run)[["constraint", "choice"]].itertuples(index=False):
        assert f"{constraint}: {choice}" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_run_that_was_looked_at_often_decides_by_intervals_that_hold_however_often() -> None:
    """Full batch is 10 % slower to within 8 % noise: enough for six blocks fixed beforehand, not for six looks."""
    noise = (0.08, -0.05, 0.07, -0.06, 0.05, -0.03)

    def planted(environment: dict[str, object]) -> Results:
        slow = [
            replace(trial, curve=trial.curve | {"seconds": [s * math.exp(off) for s in trial.curve["seconds"]]})
            for trial, off in zip(raced("FullBatch", seconds=1.1), noise, strict=True)
        ]
        return results(raced("MiniBatch", seconds=1.0), slow, environment=environment)

    fixed, looked_at = planted({}), planted({"until_decided": True})
    assert row(fixed, "fastest to target")[0] == "MiniBatch"
    choice, why = row(looked_at, "fastest to target")
    assert set(choice.split(" or ")) == {"MiniBatch", "FullBatch"}
    anytime = compare_anytime(looked_at.trials, "FullBatch", "MiniBatch")
    assert ratio(anytime).split(",")[1].split("]")[0] in why
    [pairwise] = strategies.pairwise(looked_at).to_dict("records")
    assert (pairwise["seconds to target, ratio"], pairwise["verdict"]) == (ratio(anytime), "undecided")
    assert judge(fixed)[0].verdict == "fails"
    assert judge(looked_at)[0].verdict == "undecided"


def test_workers_and_precision_that_solve_another_problem_are_not_chosen_silently() -> None:
    run = results(ranks({1: 1.0, 2: 1.8}), precisions({(64, 32): 0.5, (64, 512): 0.5, (256, 32): 0.5}))
    gate = failed_gate("Ddp", world_size=2), failed_gate("Amp", "digits-64"), failed_gate("Ddp", world_size=4)
    marked = replace(run, equivalence=gate)
    of_ranks = "Beware: Ddp on digits with 2 ranks solves another problem: the planted reason."
    of_amp = "Beware: Amp on digits-64 solves another problem: the planted reason."
    for constraint, beware in (("how many workers", of_ranks), ("precision", of_amp)):
        choice, why = row(marked, constraint)
        assert (choice, why) == (row(run, constraint)[0], f"{beware} {row(run, constraint)[1]}")


def test_rows_name_the_cells_of_which_contaminated_trials_count() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=2.0), swept((4, 16, 64)))
    assert not decide(run)["why"].str.contains("Contaminated").any()
    cells, blocks = run.trials["cell"], run.trials["block"]
    touched = cells.isin(["digits-MiniBatch", "digits-MiniBatch-B16"]) & (blocks < 2) & (run.trials["search"] == "")
    run.trials.loc[touched, "contaminated"] = True
    why = decide(run).set_index("constraint")["why"]
    assert "Contaminated trials count in MiniBatch (2 of 6)." in why["digits: fastest to target"]
    assert "Contaminated trials count in MiniBatch-B16 (2 of 3)." in why["digits: batch size fastest to target"]
