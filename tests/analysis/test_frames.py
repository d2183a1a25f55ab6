"""Tables derived from records: every number by hand."""

import json
import math

import numpy as np
import pytest

from paceline.bench import load_results
from paceline.bench.analysis.frames import curves_frame, environments_of, peak_flops, summary, trials_frame
from paceline.bench.records.record import append
from tests.planted import a_curve, a_record

# The names that people's notebooks rely on.
PUBLIC = """
trial suite workload trainer hyperparameters lr batch_size micro_batch_size dtype world_size threads
device seed block position status reason steps samples setup_seconds warmup_seconds train_seconds evaluation_seconds
samples_per_second seconds_per_step seconds_to_target seconds_to_target_low steps_to_target samples_to_target target
final_score final_loss peak_rss_bytes peak_allocated_bytes peak_device_bytes peak_device_source energy_joules
runqueue_wait_seconds flops_per_sample mfu"""


def row(**changes):
    return trials_frame((a_record(**changes),)).iloc[0]


def test_metrics_by_hand():
    found = row()
    assert found.samples_per_second == 1000
    assert found.seconds_per_step == 0.1
    assert (found.seconds_to_target_low, found.seconds_to_target) == (1.0, 2.0)
    assert (found.steps_to_target, found.samples_to_target) == (20, 2000)
    assert (found.final_score, found.final_loss) == (0.95, 0.25)
    assert (found.peak_rss_bytes, found.training_memory_bytes) == (1500, 500)
    assert found.peak_union_bytes == 1500  # one rank shares with no other
    assert found.lr == 0.1


def test_the_public_columns_are_there():
    assert set(PUBLIC.split()) <= set(trials_frame((a_record(),)).columns)
    assert list(curves_frame((a_record(),)).columns) == [
        "trial",
        "step",
        "samples",
        "seconds",
        "loss",
        "score",
    ]
    assert list(curves_frame(()).columns) == ["trial", "step", "samples", "seconds", "loss", "score"]
    assert list(trials_frame(()).columns) == list(trials_frame((a_record(),)).columns)


def test_a_target_reached_at_the_first_look_is_known_from_zero():
    found = row(curve=a_curve((1, 100, 0.5, 0.1, 0.99)))
    assert (found.seconds_to_target_low, found.seconds_to_target) == (0.0, 0.5)


def test_the_first_of_several_crossings_counts():
    curve = a_curve((1, 1, 1.0, 0, 0.8), (2, 2, 2.0, 0, 0.92), (3, 3, 3.0, 0, 0.85), (4, 4, 4.0, 0, 0.95))
    assert row(curve=curve).seconds_to_target == 2.0


def test_a_lower_score_can_be_the_better_one():
    curve = a_curve((1, 1, 1.0, 0, 0.95), (2, 2, 2.0, 0, 0.9), (3, 3, 3.0, 0, 0.5))
    assert row(curve=curve, higher_is_better=False).seconds_to_target == 2.0


def test_when_scored_at_the_end_only_the_crossing_is_not_known():
    curve = a_curve((1, 1, 1.0, 0.5, None), (2, 2, 2.0, 0.4, 0.99))
    assert math.isnan(row(curve=curve, score_along=False).seconds_to_target)
    assert row(curve=curve, score_along=False).final_score == 0.99


def test_a_failure_is_a_row_and_measures_nothing():
    found = row(status="crashed", reason="killed by SIGKILL", curve=a_curve(), ranks=[{}], setup_seconds=None)
    assert (found.status, found.reason, found.steps) == ("crashed", "killed by SIGKILL", 0)
    names = [
        "samples_per_second",
        "seconds_to_target",
        "train_seconds",
        "peak_rss_bytes",
        "setup_seconds",
        "final_score",
    ]
    assert found[names].isna().all()


def test_ranks_are_summed_unless_one_is_missing():
    rank = {
        "start_rss_bytes": 1000,
        "peak_rss_bytes": 1500,
        "rss_bytes": 1400,
        "pss_bytes": 1100,
        "runqueue_wait_seconds": 0.5,
    }
    both = row(world_size=2, ranks=[rank, rank])
    assert (both.peak_rss_bytes, both.training_memory_bytes, both.runqueue_wait_seconds) == (3000, 1000, 1.0)
    assert math.isnan(row(world_size=2, ranks=[rank, {}]).peak_rss_bytes)


def test_a_page_that_ranks_share_counts_once():
    """Each of 44 private and 250 shared; three have the shared ones in place: both ranks, and the fork server."""
    rank = {"peak_rss_bytes": 294, "rss_bytes": 294, "pss_bytes": 44 + 250 / 3}
    assert row(world_size=2, ranks=[rank, rank]).peak_union_bytes == pytest.approx(2 * 44 + 250)
    measured = rank | {"shared_bytes": 240}  # says so itself, whoever else has them
    assert row(world_size=2, ranks=[measured, measured]).peak_union_bytes == 2 * 294 - 240
    assert row(world_size=2, ranks=[measured, measured | {"shared_bytes": 200}]).peak_union_bytes == 2 * 294 - 200
    assert math.isnan(row(world_size=2, ranks=[measured, {"peak_rss_bytes": 294}]).peak_union_bytes)
    assert row(ranks=[rank]).peak_union_bytes == 294


@pytest.mark.parametrize(
    ("threads", "world_size", "expected"), [(2, 1, False), (1, 2, False), (1, 4, True), (2, 2, True)]
)
def test_more_threads_than_cores_are_oversubscribed(threads, world_size, expected):
    assert row(threads=threads, world_size=world_size).oversubscribed == expected


def test_energy_is_that_of_training_however_long_evaluation_took():
    """The curve ends after 3 s, of which 2 s were in stretches that the counter could tell, at 25 W."""
    ranks = [{"package_joules": 50.0, "package_window_seconds": 2.0}]
    seconds = row().train_seconds
    assert row(ranks=ranks, evaluation_seconds=60.0).energy_joules == 25.0 * seconds
    on_gpus = [
        {"energy_joules": 500.0, "energy_window_seconds": 2.0},
        {"energy_joules": 300.0, "energy_window_seconds": 1.0},
    ]
    assert row(device="cuda", world_size=2, ranks=on_gpus).energy_joules == 550.0 * seconds
    assert math.isnan(row(device="cuda", world_size=2, ranks=[*on_gpus[:1], {}]).energy_joules)
    # Older records counted evaluation in, and do not say over how long.
    assert math.isnan(row(ranks=[{"package_joules": 50.0}], evaluation_seconds=0.05).energy_joules)


def test_the_summary_counts_misses_as_infinitely_late():
    seconds = (1.0, 2.0, 3.0)
    records = [a_record(seed=i, curve=a_curve((10, 100, s, 0.1, 0.95))) for i, s in enumerate(seconds)]
    missed = [a_record(seed=i, status="missed", curve=a_curve((10, 100, 9.0, 0.1, 0.5))) for i in (3, 4, 5, 6)]
    one = summary(trials_frame((*records, missed[0]))).iloc[0]
    assert (one.n, one.n_reached, one.seconds_to_target) == (4, 3, 2.5)
    most = summary(trials_frame((*records, *missed))).iloc[0]
    assert most.seconds_to_target == np.inf
    none = summary(trials_frame(tuple(missed))).iloc[0]
    assert math.isnan(none.seconds_to_target)
    assert none.status == "4 missed"


def test_results_are_read_from_a_run_or_from_the_newest(tmp_path):
    run = tmp_path / "2026-01-01"
    run.mkdir()
    append(run / "trials.jsonl", a_record())
    (run / "environment.json").write_text(json.dumps({"torch": "2.13.0"}))
    (tmp_path / "latest").symlink_to(run.name)
    for path in (tmp_path, run, str(run)):
        results = load_results(path)
        assert len(results.trials) == 1
        assert len(results.curves) == 2
        assert results.environment == {"torch": "2.13.0"}


def test_no_results_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="run 'paceline run' first"):
        load_results(tmp_path)


def test_a_repeat_counts_in_place_of_the_trial_it_repeats(tmp_path):
    slow = a_curve((20, 2000, 9.0, 0.25, 0.95))
    records = (a_record(trial="a", curve=slow), a_record(trial="b", repeat=1), a_record(trial="c", seed=1))
    assert trials_frame(records).superseded.tolist() == [True, False, False]
    assert summary(trials_frame(records)).seconds_to_target.item() == 2.0
    for record in records:
        append(tmp_path / "trials.jsonl", record)
    results = load_results(tmp_path)
    assert results.trials.trial.tolist() == ["b", "c"]
    assert set(results.curves.trial) == {"b", "c"}
    assert [record.trial for record in results.superseded] == ["a"]


def test_a_repeat_counts_however_it_ended():
    """To keep the better of the two would favour whoever is repeated."""
    records = (a_record(trial="a"), a_record(trial="b", repeat=1, status="crashed", curve=a_curve()))
    assert trials_frame(records).superseded.tolist() == [True, False]


def test_ranks_that_share_cores_are_held_against_what_the_cores_can_do():
    """Four ranks on two cores take turns: their best rates add up to 400, of which two ranks at a time reach 200."""
    rates = {(1, 1): 100.0, (1, 2): 200.0, (1, 4): 400.0, (2, 1): 190.0}
    peaks = [
        {"device": "cpu", "dtype": "float32", "threads": threads, "world_size": ranks, "flops_per_second": rate}
        for (threads, ranks), rate in rates.items()
    ]

    def peak(ranks, known=peaks):
        return peak_flops(a_record(world_size=ranks, threads=1, cores=2), {"gemm_peaks": known})

    assert [peak(1), peak(2), peak(4)] == [100.0, 200.0, 200.0]
    assert peak(4, [each for each in peaks if each["world_size"] == 4]) == 400.0  # there is nothing to hold it against
    assert peak(8) is None


def test_the_trials_of_a_search_are_rows_but_no_cell():
    """Each has a cell of its own name in the frame; what is summed up is the cell at the rate that was found."""
    searched = [
        a_record(trial=f"s{lr}", cell=f"points-MiniBatch-lr{lr}", search="points-MiniBatch", seed=1000, block=0)
        for lr in (0.1, 0.3)
    ]
    trials = trials_frame((*searched, a_record()))
    assert trials.search.tolist() == ["points-MiniBatch", "points-MiniBatch", ""]
    assert summary(trials).cell.tolist() == ["points-MiniBatch"]


def test_the_environment_of_a_merge_of_merges_is_found_by_its_label():
    inner = {"merged": [{"label": "1", "environment": {"cores": 1}}, {"label": "2", "environment": {"cores": 2}}]}
    outer = {"merged": [{"label": "1", "environment": {"cores": 3}}, {"label": "2", "environment": inner}]}
    assert environments_of("1", outer) == [{"cores": 3}]
    assert environments_of("2.2", outer) == [{"cores": 2}]
    assert environments_of("", {"cores": 4}) == [{"cores": 4}]
    alike = {"merged": [{"label": "", "environment": {"cores": 5}}, {"label": "", "environment": {"cores": 5}}]}
    assert environments_of("", alike) == [{"cores": 5}] * 2
    assert environments_of("3", outer) == []
