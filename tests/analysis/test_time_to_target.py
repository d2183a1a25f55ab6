"""Times to target cover what was planted, luck is called luck, and every second is in its own column."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from paceline.bench.analysis import time_to_target
from paceline.bench.analysis.frames import load_results
from tests.paths import REFERENCE
from tests.planted import a_curve, a_record
from tests.synthetic import raced, results, searched

REPETITIONS = 2000  # a coverage of 95 % has then a standard error of 0.5 %
SPREAD = 0.3  # of log time from trial to trial: those of the reference run's strategies differ by 0.2 to 0.4


def evaluated(n, spacing, missed, seed):
    """Return the intervals (low, high] [repetitions, n] of log times whose median is 0.

    Every trial of a repetition is evaluated at the same times, ``spacing`` apart, from a random first one on; trials
    beyond the budget, a share ``missed``, are known to be so.
    """
    rng = np.random.default_rng(seed)
    times, step = SPREAD * rng.standard_normal((REPETITIONS, n)), math.log(spacing)
    first = step * rng.random((REPETITIONS, 1))
    low = np.floor((times - first) / step) * step + first
    budget = SPREAD * stats.norm.isf(missed) if missed else np.inf
    return np.where(times > budget, budget, low), np.where(times > budget, np.inf, low + step)


@pytest.mark.parametrize("n", [6, 10])
@pytest.mark.parametrize("missed", [0.0, 0.2])
@pytest.mark.parametrize("spacing", [1.03, 1.2, 1.5])
def test_the_interval_covers_the_median_whatever_the_evaluation_spacing(n, missed, spacing):
    low, high = evaluated(n, spacing, missed, seed=1)
    reached = np.isfinite(high).sum(axis=1) >= 3  # fewer get no interval: 1.7 % of the repetitions at worst
    assert reached.mean() > 0.98
    _, least, most = time_to_target.profile(low[reached], high[reached])
    assert 0.93 <= ((least <= 0) & (most >= 0)).mean() <= 0.97


@pytest.mark.parametrize(("n", "covers"), [(6, 0.85), (10, 0.7)])
def test_students_interval_of_first_hits_does_not_cover(n, covers):
    _, hits = evaluated(n, 1.5, 0.0, seed=1)
    half = stats.t.ppf(0.975, n - 1) * hits.std(axis=1, ddof=1) / math.sqrt(n)
    assert (abs(hits.mean(axis=1)) <= half).mean() < covers


def test_the_interval_of_exactly_known_times_is_students():
    logs = np.array([0.1, 0.5, -0.2, 0.3, 0.9, -0.4])
    found = time_to_target.median_crossing(np.exp(logs), np.exp(logs + 1e-4))
    half = stats.t.ppf(0.975, 5) * logs.std(ddof=1) / math.sqrt(6)
    assert np.log([found.median, found.low, found.high]) == pytest.approx(
        [logs.mean(), logs.mean() - half, logs.mean() + half], abs=2e-3
    )


def test_the_estimate_is_the_one_of_scipy():
    """Its general-purpose search over the same censored data; one first evaluation hit, two trials missed."""
    low = np.array([0.0, 1.0, 1.2, 1.7, 2.1, 2.0, 2.5, 2.5])
    high = np.array([0.8, 1.2, 1.5, 2.0, 2.6, 2.2, np.inf, np.inf])
    with np.errstate(divide="ignore"):
        logs = np.log(low), np.log(high)
    known = stats.CensoredData(left=[logs[1][0]], interval=np.column_stack(logs)[1:6], right=logs[0][6:])
    mean, _ = stats.norm.fit(known)
    assert math.log(time_to_target.median_crossing(low, high).median) == pytest.approx(mean, abs=2e-3)


def test_a_missed_trial_counts_as_later_and_never_as_absent():
    low, high = np.array([1.0, 1.1, 1.2, 1.3]), np.array([1.1, 1.2, 1.3, 1.4])
    without = time_to_target.median_crossing(low, high)
    with_two = time_to_target.median_crossing(np.append(low, [1.4, 1.4]), np.append(high, [np.inf, np.inf]))
    assert with_two.median > without.median
    assert with_two.high > without.high
    most_missed = time_to_target.median_crossing(np.append(low, [1.4] * 5), np.append(high, [np.inf] * 5))
    assert most_missed.median == math.inf  # beyond all that was seen


def test_without_three_hits_there_is_no_interval():
    found = time_to_target.median_crossing(np.array([1.0, 2.0, 5.0]), np.array([1.5, 2.5, np.inf]))
    assert (found.median, found.n) == (2.25, 3)
    assert math.isnan(found.low)
    assert time_to_target.median_crossing(np.array([]), np.array([])).n == 0
    with pytest.raises(ValueError, match="high above low"):
        time_to_target.median_crossing(np.array([1.0]), np.array([1.0]))


def test_trials_give_the_intervals_that_they_know():
    missed = {"status": "missed", "curve": a_curve((10, 1000, 1.0, 0.5, 0.8), (20, 2000, 4.0, 0.5, 0.85))}
    diverged = {"status": "diverged", "curve": a_curve((10, 1000, 1.0, 0.5, 0.1))}
    crashed = {"status": "crashed", "curve": a_curve((10, 1000, 1.0, 0.5, 0.1))}
    at_once = {"curve": a_curve((10, 1000, 1.5, 0.5, 0.92))}
    trials = [a_record(), a_record(**missed), a_record(**diverged), a_record(**crashed), a_record(**at_once)]
    low, high = time_to_target.intervals(trials)
    # One that diverged would not have got there in the 4 s of the other either.
    assert list(zip(low, high, strict=True)) == [(1.0, 2.0), (4.0, math.inf), (4.0, math.inf), (0.0, 1.5)]
    low, high = time_to_target.intervals(trials, "samples_to_target")
    assert (low[0], high[0], low[1]) == (1000, 2000, 2000)


def test_success_stands_beside_time_with_the_exact_interval():
    """Clopper & Pearson's tables: 5 of 6 is 35.9 % to 99.6 %; 6 of 6 is 54.1 % to 100 %."""
    five = time_to_target.success(5, 6)
    assert (five.median, five.low, five.high) == pytest.approx((5 / 6, 0.3588, 0.9958), abs=1e-4)
    assert time_to_target.success(6, 6).low == pytest.approx(0.5407, abs=1e-4)
    dead = {"status": "crashed", "curve": a_curve()}
    [found] = time_to_target.crossings(results([a_record(seed=0), a_record(seed=1, **dead)])).values()
    assert (found.success.median, found.success.n) == (0.5, 2)


def test_restricted_mean_and_par2_are_what_they_are_called():
    """Crossings at 1.5 s (of 1 to 2 s), and one missed at 10 s: (1.5 + 10) / 2, and (1.5 + 20) / 2."""
    missed = {"status": "missed", "curve": a_curve((10, 1000, 10.0, 0.5, 0.8))}
    [found] = time_to_target.crossings(results([a_record(seed=0), a_record(seed=1, **missed)])).values()
    assert (found.budget, found.restricted_mean, found.par2) == (10.0, 5.75, 10.75)
    # The budget is that of the strictest cell: this one's trials are not credited with more time than others had.
    strict = [a_record(seed=0, cell="points-Amp", seconds_allowed=1.0)]
    both = time_to_target.crossings(results([a_record(seed=0)], strict))
    assert [(c.budget, c.par2, c.success.median) for c in both.values()] == [(1.0, 2.0, 0.0)] * 2


# Quality at a fixed budget, and luck


def scored(scores, **changes):
    """Return a trial that was evaluated every second."""
    points = [(10 * i, 1000 * i, float(i), 0.5, float(score)) for i, score in enumerate(scores, 1)]
    return a_record(curve=a_curve(*points), **changes)


def until_hit(scores, target=0.9):
    return scores[: np.flatnonzero(scores >= target)[0] + 1]


def noisy(level, slope=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return level + slope * np.arange(2000) + 0.01 * rng.standard_normal(2000)


def test_quality_is_that_of_the_last_evaluation_before_the_first_trial_stopped():
    first, second = scored([0.5, 0.6, 0.95]), scored([0.3, 0.7, 0.8, 0.85, 0.91])
    assert time_to_target.fixed_budget([first, second]) == 3.0
    # At 2 s: the hit at 3 s, chosen because it was high, judges nobody.
    assert time_to_target.quality_at([first], 3.0).median == 0.6
    assert time_to_target.quality_at([second], 3.0).median == 0.7
    assert time_to_target.quality_at([first, second], 2500, "samples").median == pytest.approx(0.65)
    assert math.isnan(time_to_target.quality_at([first, second], 1.0).median)


def test_a_lower_score_is_the_better_where_the_target_is_a_loss():
    falling = {"higher_is_better": False, "target": 0.2}
    fast = [scored([0.9, 0.8, 0.1], seed=i, cell="points-Fast", **falling) for i in range(6)]
    slow = [scored([0.4, 0.3, 0.3, 0.3, 0.1], seed=i, cell="points-Slow", **falling) for i in range(6)]
    found = time_to_target.crossings(results(fast, slow))
    assert found["points-Fast", ""].at_seconds.median == pytest.approx(0.8)
    assert list(time_to_target.disagreements(found).values()) == [["Slow"], []]


def test_cells_in_which_first_crossing_and_quality_disagree_are_flagged():
    """Jumpy hits at 4 s from 0.5, while Steady is at 0.87 then; Best is ahead in both and is not flagged."""
    jumpy = [scored([0.4, 0.5, 0.5 + i / 1000, 0.91], seed=i, cell="points-Jumpy") for i in range(6)]
    steady = [
        scored([0.5, 0.7, 0.87 + i / 1000, 0.88, 0.89, 0.895, 0.91], seed=i, cell="points-Steady") for i in range(6)
    ]
    flags = time_to_target.table(results(jumpy, steady)).set_index("strategy")["flag"]
    assert flags["Jumpy"] == "reaches the target before Steady, but scores less at equal seconds"
    assert flags["Steady"] == ""
    scores = time_to_target.table(results(jumpy, steady)).set_index("strategy")["score at equal seconds"]
    assert scores["Jumpy"] == "0.502 [0.500, 0.505] at 4.00 s"
    best = [scored([0.6, 0.8, 0.89 + i / 1000, 0.91], seed=i, cell="points-Best") for i in range(6)]
    assert not any(time_to_target.table(results(best, steady))["flag"])


def test_a_flat_noisy_curve_hits_by_luck_and_a_rising_one_does_not():
    flat = [scored(until_hit(noisy(0.875, seed=i)), seed=i) for i in range(20)]
    rising = [scored(until_hit(noisy(0.5, 0.01, seed=i)), seed=i) for i in range(20)]
    exact = scored(until_hit(0.5 + 0.01 * np.arange(60)))
    assert sum(map(time_to_target.lucky, flat)) >= 17
    assert sum(map(time_to_target.lucky, rising)) <= 1
    assert not time_to_target.lucky(exact)
    assert "lucky crossing?" in time_to_target.table(results(flat))["flag"][0]
    assert time_to_target.table(results(rising))["flag"][0] == ""


def test_a_hit_that_does_not_last_was_luck_where_the_curve_goes_on():
    rise = list(0.5 + 0.05 * np.arange(9))
    assert time_to_target.lucky(scored([*rise, 0.85, 0.84, 0.86, 0.85, 0.87], stop_at_target=False))
    assert not time_to_target.lucky(scored([*rise, 0.92, 0.91, 0.89, 0.93, 0.92], stop_at_target=False))


# What a run costs


def test_columns_sum_to_the_wall_time_in_the_reference_run():
    """Means of whole trials. The rest that no phase claims is shown, and is small."""
    table = time_to_target.ledger(load_results(REFERENCE))
    parts = [*time_to_target.PHASES, "unaccounted_seconds"]
    assert len(table) == 6
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
    before, after = (time_to_target.ledger(results([trial])).iloc[0] for trial in (plain, replace(plain, **later)))
    columns = [*time_to_target.PHASES, "unaccounted_seconds", "launch_seconds"]
    for name in columns:
        assert after[name] - before[name] == pytest.approx(5.0 if name == column else 0.0, abs=1e-9), name
    assert after[columns].sum() == pytest.approx(8.0)


def test_failed_trials_have_their_own_columns():
    dead = {"status": "timed_out", "curve": a_curve(), "wall_seconds": None, "elapsed_seconds": 30.0}
    [row] = time_to_target.ledger(results([a_record(seed=0), a_record(seed=1, **dead)])).to_dict("records")
    assert (row["n"], row["failed"], row["failed_seconds"], row["wall_seconds"]) == (2, 1, 30.0, 2.6)


def test_tuning_is_counted_for_its_own_workload_and_trainer(tmp_path):
    """At the record's 1000 samples/s the two that reached the target took 3 s and 5 s; the third is not known."""
    file = tmp_path / "rates.csv"
    file.write_text(
        "# a search\nworkload,trainer,lr,seed,status,samples_to_target,final_score\n"
        "points,MiniBatch,0.1,1000,reached,3000.0,0.9\npoints,MiniBatch,0.2,1000,reached,5000.0,0.9\n"
        "points,MiniBatch,9.0,1000,missed,inf,0.1\npoints,Amp,0.1,1000,reached,7000.0,0.9\n"
    )
    [row] = time_to_target.ledger(results([a_record()]), tuning=file).to_dict("records")
    assert (row["tuning_trials"], row["tuning_seconds_at_least"]) == (3, pytest.approx(8.0))


def test_recorded_seconds_of_tuning_count_where_every_trial_has_them(tmp_path):
    file = tmp_path / "rates.csv"
    header = "workload,trainer,lr,seed,status,samples_to_target,final_score,train_seconds,wall_seconds\n"
    rows = "points,MiniBatch,0.1,1000,reached,3000.0,0.9,3.5,4.0\npoints,MiniBatch,9.0,1000,missed,inf,0.1,20.0,21.0\n"
    file.write_text(header + rows)
    run = results([a_record()])
    [row] = time_to_target.ledger(run, tuning=file).to_dict("records")
    assert (row["tuning_seconds"], row["tuning_seconds_at_least"]) == (23.5, 23.5)
    file.write_text(header + rows + "points,MiniBatch,0.2,1000,reached,5000.0,0.9,nan,nan\n")
    [row] = time_to_target.ledger(run, tuning=file).to_dict("records")
    assert math.isnan(row["tuning_seconds"])
    assert row["tuning_seconds_at_least"] == pytest.approx(8.0)  # 8000 samples at the record's 1000 samples/s


def test_a_runs_own_search_is_what_tuning_cost():
    """Three rates and two seeds at 64,000 samples/s: 0.5 s to the target, 1 s to miss it, 0.5 s to diverge."""
    rates = {0.1: 32_000.0, 1.0: math.inf, 10.0: None}
    own = searched("MiniBatch", rates, blocks=2, spread=0, workload="mnist5k")
    other = searched("Online", {0.1: math.inf}, blocks=2, workload="mnist5k")
    raced_too = [raced(name, seconds=1.0, workload="mnist5k") for name in ("MiniBatch", "Amp")]
    table = time_to_target.ledger(results(*raced_too, own, other)).set_index("trainer")
    assert table.loc["MiniBatch", ["tuning_trials", "tuning_seconds"]].tolist() == pytest.approx([6, 4.0])
    assert table.loc["Amp", "tuning_trials"] == 16  # of learning_rates.csv, in which seconds are not recorded
    assert math.isnan(table.loc["Amp", "tuning_seconds"])
    said = time_to_target.costs_table(results(*raced_too, own)).set_index("strategy")["tuning"]
    assert said["MiniBatch"] == "6 trials, 4.00 s"
    assert "seconds not recorded (at least" in said["Amp"]


@pytest.mark.parametrize(
    ("a", "b", "runs"),
    [((100.0, 1.0), (10.0, 4.0), 30), ((100.0, 1.0), (11.0, 4.0), 30), ((10.0, 4.0), (100.0, 4.0), 0),
     ((100.0, 4.0), (10.0, 4.0), math.inf), ((10.0, 5.0), (100.0, 4.0), math.inf)],
)  # fmt: skip
def test_what_costs_more_once_pays_off_after_as_many_runs(a, b, runs):
    """90 more once, 3 less each: 30 runs; 89 more: 29.7, so still 30."""
    assert time_to_target.pays_off(*a, *b) == runs
    with pytest.raises(ValueError, match="all four"):
        time_to_target.pays_off(math.nan, 1.0, 1.0, 1.0)


def test_break_even_is_put_into_words():
    row = {"warmup_seconds": 1.0, "compile_seconds": 0.0, "tuning_seconds_at_least": 0.0, "all_reached": True}
    slow = row | {"setup_seconds": 1.0, "training_seconds": 4.0}
    fast = row | {"setup_seconds": 10.0, "training_seconds": 1.0}
    assert time_to_target.break_even(fast, slow) == "3 runs"
    assert time_to_target.break_even(slow, fast) == "cheaper at first only"
    assert time_to_target.break_even(fast | {"training_seconds": 4.0}, slow) == "never"
    assert time_to_target.break_even(slow, slow) == "at once"
    assert time_to_target.break_even(fast, slow | {"all_reached": False}) == "—"


DEAD = {"status": "out_of_memory", "reason": "killed", "ranks": [], "curve": a_curve()}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "run",
    [results(), results(raced("MiniBatch", seconds=1.0, **DEAD)), results(raced("MiniBatch", seconds=1.0, blocks=1)),
     results(raced("MiniBatch", seconds=1.0, missed=(0, 1, 2, 3, 4, 5)), raced("Amp", seconds=1.0)),
     results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.0, **DEAD)),
     results(raced("MiniBatch", seconds=1.0, seconds_allowed=None, missed=(1, 2, 3)))],
    ids=["empty", "all died", "one trial", "one never reached", "one died", "no limit"],
)  # fmt: skip
def test_whatever_a_run_holds_it_is_tabulated_without_a_gap(run):
    for table in (time_to_target.table(run), time_to_target.costs_table(run)):
        assert len(table) == run.trials["cell"].nunique()
        assert not table.isna().any(axis=None)
        assert not table.map(lambda text: "nan" in text).any(axis=None)
