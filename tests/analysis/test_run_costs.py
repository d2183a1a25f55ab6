"""Every second is in its own column, and what costs more once pays off when it does."""

import math
from dataclasses import replace

import pytest

from paceline.bench import load_results
from paceline.bench.analysis import run_costs
from paceline.bench.report import strategies
from tests.paths import REFERENCE
from tests.planted import a_curve, a_record
from tests.synthetic import raced, results, searched


def test_columns_sum_to_the_wall_time_in_the_reference_run():
    """Means of whole trials. The rest that no phase claims is shown, and is small."""
    table = run_costs.ledger(load_results(REFERENCE))
    parts = [*run_costs.PHASES, "unaccounted_seconds"]
    assert len(table) == 29  # six strategies on five workloads, but full batch on a stream
    assert table[parts].sum(axis=1).to_numpy() == pytest.approx(table["wall_seconds"].to_numpy(), rel=0.02)
    assert (table["unaccounted_seconds"] >= 0).all()
    assert (table["unaccounted_seconds"] < 0.05 * table["wall_seconds"]).all()


@pytest.mark.parametrize(
    ("field", "column"),
    [("setup_seconds", "setup_seconds"), ("warmup_seconds", "warmup_seconds"),
     ("compile_seconds", "compile_seconds"),
     ("evaluation_seconds", "evaluation_seconds"), ("train_seconds", "training_seconds"),
     (None, "unaccounted_seconds"), ("elapsed_seconds", "launch_seconds")],
)  # fmt: skip
def test_a_planted_delay_is_in_its_own_column_only(field, column):
    plain = a_record(elapsed_seconds=3.0, ranks=[{"train_seconds": 2.0}])
    later = {"elapsed_seconds": 8.0} if field == "elapsed_seconds" else {"elapsed_seconds": 8.0, "wall_seconds": 7.6}
    if field == "train_seconds":
        later["ranks"] = [{"train_seconds": 7.0}]
    elif field == "compile_seconds":  # it is a part of what the warm-up took
        later |= {"compile_seconds": 5.0, "warmup_seconds": plain.warmup_seconds + 5.0}
    elif field not in (None, "elapsed_seconds"):
        later[field] = getattr(plain, field) + 5.0
    before, after = (run_costs.ledger(results([trial])).iloc[0] for trial in (plain, replace(plain, **later)))
    columns = [*run_costs.PHASES, "unaccounted_seconds", "launch_seconds"]
    for name in columns:
        assert after[name] - before[name] == pytest.approx(5.0 if name == column else 0.0, abs=1e-9), name
    assert after[columns].sum() == pytest.approx(8.0)


def test_failed_trials_have_their_own_columns():
    dead = {"status": "timed_out", "curve": a_curve(), "wall_seconds": None, "elapsed_seconds": 30.0}
    [row] = run_costs.ledger(results([a_record(seed=0), a_record(seed=1, **dead)])).to_dict("records")
    assert (row["n"], row["failed"], row["failed_seconds"], row["wall_seconds"]) == (2, 1, 30.0, 2.6)


def test_tuning_is_counted_for_its_own_workload_and_trainer(tmp_path):
    """At the record's 1000 samples/s the two that reached the target took 3 s and 5 s; the third is not known."""
    file = tmp_path / "rates.csv"
    file.write_text(
        "# a search\nworkload,trainer,lr,seed,status,samples_to_target,final_score\n"
        "points,MiniBatch,0.1,1000,reached,3000.0,0.9\npoints,MiniBatch,0.2,1000,reached,5000.0,0.9\n"
        "points,MiniBatch,9.0,1000,missed,inf,0.1\npoints,Amp,0.1,1000,reached,7000.0,0.9\n"
    )
    [row] = run_costs.ledger(results([a_record()]), tuning=file).to_dict("records")
    assert (row["tuning_trials"], row["tuning_seconds_at_least"]) == (3, pytest.approx(8.0))


def test_recorded_seconds_of_tuning_count_where_every_trial_has_them(tmp_path):
    file = tmp_path / "rates.csv"
    header = "workload,trainer,lr,seed,status,samples_to_target,final_score,train_seconds,wall_seconds\n"
    rows = "points,MiniBatch,0.1,1000,reached,3000.0,0.9,3.5,4.0\npoints,MiniBatch,9.0,1000,missed,inf,0.1,20.0,21.0\n"
    file.write_text(header + rows)
    run = results([a_record()])
    [row] = run_costs.ledger(run, tuning=file).to_dict("records")
    assert (row["tuning_seconds"], row["tuning_seconds_at_least"]) == (23.5, 23.5)
    file.write_text(header + rows + "points,MiniBatch,0.2,1000,reached,5000.0,0.9,nan,nan\n")
    [row] = run_costs.ledger(run, tuning=file).to_dict("records")
    assert math.isnan(row["tuning_seconds"])
    assert row["tuning_seconds_at_least"] == pytest.approx(8.0)  # 8000 samples at the record's 1000 samples/s


def test_a_runs_own_search_is_what_tuning_cost():
    """Three rates and two seeds at 64,000 samples/s: 0.5 s to the target, 1 s to miss it, 0.5 s to diverge."""
    rates = {0.1: 32_000.0, 1.0: math.inf, 10.0: None}
    own = searched("MiniBatch", rates, blocks=2, spread=0, workload="mnist5k")
    other = searched("Online", {0.1: math.inf}, blocks=2, workload="mnist5k")
    raced_too = [
        raced(name, seconds=1.0, workload="mnist5k", lr=lr) for name, lr in (("MiniBatch", 0.1), ("Amp", 0.316))
    ]
    table = run_costs.ledger(results(*raced_too, own, other)).set_index("trainer")
    assert table.loc["MiniBatch", ["tuning_trials", "tuning_seconds"]].tolist() == pytest.approx([6, 4.0])
    assert table.loc["Amp", "tuning_trials"] == 16  # of learning_rates.csv, in which seconds are not recorded
    assert math.isnan(table.loc["Amp", "tuning_seconds"])
    assert run_costs.ledger(results(*raced_too, other)).set_index("trainer").loc["MiniBatch", "tuning_trials"] == 0
    said = strategies.run_costs(results(*raced_too, own)).set_index("strategy")["tuning"]
    assert said["MiniBatch"] == "6 trials, 4.00 s"
    assert "seconds not recorded (at least" in said["Amp"]


@pytest.mark.parametrize(
    ("a", "b", "runs"),
    [((100.0, 1.0), (10.0, 4.0), 30), ((100.0, 1.0), (11.0, 4.0), 30), ((10.0, 4.0), (100.0, 4.0), 0),
     ((100.0, 4.0), (10.0, 4.0), math.inf), ((10.0, 5.0), (100.0, 4.0), math.inf)],
)  # fmt: skip
def test_what_costs_more_once_pays_off_after_as_many_runs(a, b, runs):
    """90 more once, 3 less each: 30 runs; 89 more: 29.7, so still 30."""
    assert run_costs.pays_off(*a, *b) == runs
    with pytest.raises(ValueError, match="all four"):
        run_costs.pays_off(math.nan, 1.0, 1.0, 1.0)


def test_the_search_that_is_charged_is_the_one_whose_rate_was_used(tmp_path):
    """Its rate is from learning_rates.csv: a search that the run made beside it, and that chose another, costs none."""
    own = searched("MiniBatch", {0.1: 32_000.0, 1.0: math.inf}, blocks=1, workload="mnist5k")
    run = results(raced("MiniBatch", seconds=1.0, workload="mnist5k", lr=0.316), own)
    assert run_costs.ledger(run)["tuning_trials"].iloc[0] == 16
    # What ``paceline tune`` kept beside the run comes before what is built in.
    header = "workload,trainer,lr,seed,status,samples_to_target,final_score,train_seconds,wall_seconds\n"
    (tmp_path / "learning_rates.csv").write_text(header + "mnist5k,MiniBatch,0.316,1000,reached,3000.0,0.9,3.5,4.0\n")
    assert run_costs.ledger(replace(run, folder=tmp_path / "run"))["tuning_trials"].iloc[0] == 1
    default = results(raced("MiniBatch", seconds=1.0, workload="mine"))
    assert strategies.run_costs(default)["tuning"].iloc[0] == "rate not searched"
    assert strategies.table(default)["learning rate"].iloc[0] == "0.1 (not searched)"
    assert strategies.table(run)["learning rate"].iloc[0] == "0.316"


def test_there_is_no_break_even_of_what_is_not_resolved():
    noisy = results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.02, vary=1.4), raced("Online", seconds=9.0))
    said = strategies.run_costs(noisy).set_index("strategy")["cheaper than MiniBatch after"]
    assert said["Amp"] == "not resolved which trains for less"
    assert "resolved" not in said["Online"]
