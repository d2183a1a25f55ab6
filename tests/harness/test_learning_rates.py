"""The search for learning rates, on a trainer whose best rate is known."""

import math
from dataclasses import replace

import pytest

from paceline.bench import bench_strategies
from paceline.bench.harness import learning_rates
from paceline.bench.harness.learning_rates import (
    BUILT_IN_RATES,
    COARSE,
    REFINEMENTS,
    TuningTrial,
    best_rate,
    best_rates,
)
from paceline.bench.harness.plan import Plan, make_plan, scaled_down
from paceline.bench.harness.rate_search import with_rate
from paceline.bench.harness.trial import Trial
from paceline.bench.workloads import BUILT_IN, find_workload
from paceline.trainers import FullBatch, MiniBatch, Online, Sgd
from tests.problems import Sleeper


def trial(lr: float, samples: float, seed: int = 0, score: float = 0.5) -> TuningTrial:
    status = "missed" if math.isinf(samples) else "reached"
    return TuningTrial("w", "T", lr, seed, status, samples, score, train_seconds=1.5, wall_seconds=2.5)


def test_the_best_rate_takes_the_fewest_samples_on_average():
    trials = [trial(0.1, 100), trial(0.1, 300), trial(0.2, 150), trial(0.2, 200)]
    assert best_rate(trials) == 0.2


def test_a_rate_that_missed_once_ranks_behind_one_that_never_did():
    assert best_rate([trial(0.1, 10), trial(0.1, math.inf), trial(0.2, 500), trial(0.2, 900)]) == 0.2


def test_where_all_missed_nothing_was_found():
    missed = [trial(0.1, math.inf, score=0.3), trial(0.2, math.inf, score=0.8), trial(0.3, math.inf, score=math.nan)]
    assert best_rate(missed) is None


def test_gradient_descent_finds_its_best_rate():
    """On `linear` every eigenvalue is in [0.03, 1], and descent is stable below a rate of 1: the best is near it."""
    workload, done = find_workload("linear"), []
    learning_rates.search(
        workload,
        FullBatch(),
        lambda w, t: Trial(w, t, steps=300, threads=1),
        seeds=1,
        tell=lambda one, why: done.append(one),
    )
    assert len(done) == len(COARSE) + REFINEMENTS
    assert {t.lr for t in done} >= {float(f"{lr:.3g}") for lr in COARSE}
    assert 0.5 < best_rate(done) < 1
    assert next(t for t in done if t.lr == 1.0).status in ("missed", "diverged")
    assert all(t.seed >= learning_rates.FIRST_SEED for t in done)
    assert all(0 < t.train_seconds < t.wall_seconds for t in done)


def test_a_search_survives_the_disk_and_a_later_one_replaces_it(tmp_path):
    file = tmp_path / "rates.csv"
    learning_rates.write(file, "first", [trial(0.1, 100), replace(trial(0.3, 50), workload="v")])
    learning_rates.write(file, "second", [trial(0.2, math.inf), trial(0.4, 80.0)])
    assert sorted(learning_rates.read(file), key=lambda t: t.lr) == [
        trial(0.2, math.inf),
        replace(trial(0.3, 50), workload="v"),
        trial(0.4, 80),
    ]
    assert file.read_text().startswith("# first\n# second\n")
    assert best_rates(file) == {("w", "T"): 0.4, ("v", "T"): 0.3}


def test_a_file_from_before_seconds_were_recorded_is_read_and_does_not_know_them(tmp_path):
    file = tmp_path / "rates.csv"
    file.write_text(
        "# old\nworkload,trainer,lr,seed,status,samples_to_target,final_score\nw,T,0.3,1000,reached,50.0,0.9\n"
    )
    [old] = learning_rates.read(file)
    assert math.isnan(old.train_seconds)
    assert math.isnan(old.wall_seconds)
    learning_rates.write(file, "new", [replace(trial(0.1, 100), trainer="U")])
    by_trainer = {t.trainer: t for t in learning_rates.read(file)}
    assert by_trainer["U"].train_seconds == 1.5
    assert math.isnan(by_trainer["T"].train_seconds)
    assert best_rates(file) == {("w", "T"): 0.3, ("w", "U"): 0.1}


def test_every_strategy_was_searched_equally_on_every_built_in_workload():
    trials = learning_rates.read(BUILT_IN_RATES)
    effort = {}
    for t in trials:
        effort[t.workload, t.trainer] = effort.get((t.workload, t.trainer), 0) + 1
    assert {workload for workload, _ in effort} == set(BUILT_IN)
    for workload in BUILT_IN:
        assert len({n for (w, _), n in effort.items() if w == workload}) == 1
        assert len([w for w, _ in effort if w == workload]) == 6
    # Each search found a rate, but some of full batch: a stream has no whole, and steps on much data are too slow for
    # the seconds that all had.
    assert {trainer for _, trainer in set(effort) - set(best_rates(BUILT_IN_RATES))} == {"FullBatch"}


def test_a_users_own_search_overrides_ours(tmp_path):
    learning_rates.write(
        tmp_path / "learning_rates.csv", "mine", [replace(trial(0.123, 5), workload="mnist5k", trainer="MiniBatch")]
    )
    plan = make_plan(results=tmp_path)
    assert plan.tuned(MiniBatch(), find_workload("mnist5k")).optimizer.lr == 0.123
    assert (
        plan.tuned(Online(), find_workload("mnist5k")).optimizer.lr == best_rates(BUILT_IN_RATES)["mnist5k", "Online"]
    )


def test_what_was_never_searched_keeps_its_own_rate():
    assert Plan().tuned(MiniBatch(Sgd(lr=0.7)), find_workload("mnist5k")).optimizer.lr == 0.7


def test_below_its_own_batch_size_the_rate_shrinks_in_proportion():
    trainer = MiniBatch(Sgd(lr=0.64), batch_size=64)
    assert scaled_down(trainer, 16) == MiniBatch(Sgd(lr=0.16), batch_size=16)
    assert scaled_down(trainer, 256) == MiniBatch(Sgd(lr=0.64), batch_size=256)


def test_a_trainer_without_an_optimizer_cannot_be_searched():
    with pytest.raises(ValueError, match="Sleeper has no field 'optimizer'"):
        with_rate(Sleeper(0.1), 0.1)


def test_what_a_user_wrote_just_as_ours_is_runs_as_written(tmp_path):
    """Ours takes the rate of the search that was made for it, on the same run."""
    (tmp_path / "advice.py").write_text(
        "from paceline.trainers import MiniBatch, Sgd\n\nADVISED = MiniBatch(optimizer=Sgd(lr=0.1), batch_size=64)\n"
    )
    plan = make_plan(workloads=["mnist5k"], trainers=[f"{tmp_path}/advice.py:ADVISED", "MiniBatch"], results=tmp_path)
    cells = bench_strategies.cells(plan)
    rates = {name: cell.trainer.optimizer.lr for name, cell in cells.items()}
    assert rates == {"mnist5k-ADVISED": 0.1, "mnist5k-MiniBatch": plan.rate(MiniBatch(), find_workload("mnist5k"))}
    assert rates["mnist5k-MiniBatch"] != 0.1


def test_a_search_for_what_a_user_wrote_is_of_that_and_not_of_ours(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from paceline.trainers import MiniBatch\n\nMINE = MiniBatch()\n")
    plan = make_plan(trainers=[f"{file}:MINE"], results=tmp_path)
    ((_, mine),) = plan.trainers
    assert (plan.known_as(mine), plan.known_as(MiniBatch())) == (repr(MiniBatch()), "MiniBatch")
    searched = replace(plan, rates=((("mnist5k", plan.known_as(mine)), 0.7),))
    assert searched.rate(mine, find_workload("mnist5k")) == 0.7
