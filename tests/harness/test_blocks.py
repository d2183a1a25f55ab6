"""How blocks repeat what was disturbed, with trials whose readings are planted."""

from dataclasses import replace

import pytest

from paceline.bench.analysis.frames import load_results
from paceline.bench.harness import blocks as module
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.plan import make_plan
from paceline.bench.harness.rate_search import Search
from paceline.bench.harness.run import definition
from paceline.bench.harness.run_folder import RecordLostError
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import read
from paceline.bench.report.contention import sentence as contention
from tests.planted import a_record
from tests.problems import POINTS, Sleeper

CALM = [{"train_seconds": 2.0, "runqueue_wait_seconds": 0.0}]
DISTURBED = [{"train_seconds": 2.0, "runqueue_wait_seconds": 1.0}]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs ``count`` trials of one cell, those that ``disturbed`` says under contention."""

    def run(count, disturbed):
        ran = []

        def run_trial(trial, *, repeat, block, errors, **where):
            ran.append((block, repeat))
            ranks = DISTURBED if disturbed(block, repeat) else CALM
            return a_record(
                trial=f"{block}.{repeat}", seed=trial.seed, block=block, repeat=repeat, ranks=ranks, **where
            )

        monkeypatch.setattr(module, "run_trial", run_trial)
        blocks = Blocks(tmp_path, "quick", lambda line: None)
        comparison = Comparison("strategies", {"cell": Trial(POINTS, Sleeper(0.0))}, count)
        folder = blocks.open({}, [comparison])
        blocks.run(comparison)
        return ran, blocks.records["strategies", "cell"], folder

    return run


def test_a_disturbed_trial_is_run_again_at_once_and_both_are_kept(run):
    ran, counting, folder = run(20, lambda block, repeat: block == 3 and repeat == 0)
    assert ran[:6] == [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (4, 0)]
    assert len(ran) == 21
    assert [(r.block, r.repeat) for r in counting] == [(b, int(b == 3)) for b in range(20)]
    assert [r.trial for r in read(folder / "trials.jsonl")][3:5] == ["3.0", "3.1"]
    assert contention(load_results(folder)) == (
        "1 of 21 trials were contaminated: they waited for a core, lost one to another machine, or were held back by a "
        "CPU quota for more than 10% of its training seconds, or their GPU was throttled or used by "
        "others. 1 of them were repeated and do not count."
    )


def test_on_a_busy_machine_one_in_ten_is_repeated_and_each_once(run):
    ran, counting, folder = run(20, lambda block, repeat: True)
    assert [place for place in ran if place[1]] == [(0, 1), (1, 1)]
    assert len(counting) == 20
    assert contention(load_results(folder)).startswith("22 of 22 trials were contaminated")
    assert contention(load_results(folder)).endswith("20 count although they are contaminated: of cell.")


def test_a_calm_run_repeats_nothing_and_says_so(run):
    ran, _, folder = run(20, lambda block, repeat: False)
    assert len(ran) == 20
    assert contention(load_results(folder)).startswith("No trial waited for a core")
    assert "quota" not in contention(load_results(folder))  # none of these records tells


def test_a_record_that_cannot_be_written_is_named(run, monkeypatch):
    def append(path, record):
        if record.block == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("paceline.bench.harness.run_folder.append", append)
    with pytest.raises(
        RecordLostError, match=r"trial strategies 2\.0 could not be written to .*: No space left on device"
    ):
        run(20, lambda block, repeat: False)


def test_that_no_quota_held_a_run_back_is_said_where_it_is_known(run, monkeypatch):
    monkeypatch.setitem(CALM[0], "throttled_seconds", 0.0)
    _, _, folder = run(2, lambda block, repeat: False)
    assert "or was held back by a quota" in contention(load_results(folder))


def test_a_run_that_is_to_be_merged_goes_on_where_the_seeds_of_the_other_ended(tmp_path, monkeypatch):
    """Both the trials of a cell and those at the rate that a search finds; a resume with another number is refused."""
    plan = make_plan(first_seed=6)
    cell = plan.from_first_seed(Trial(POINTS, Sleeper(0.0)))
    search = plan.from_first_seed(Search(Trial(POINTS, Sleeper(0.0)), (0.1, 0.2)))
    assert (cell.seed, search.trial.seed) == (6, 6)
    seeds = []

    def run_trial(trial, *, repeat, block, errors, **where):
        seeds.append(trial.seed)
        return a_record(trial=f"{block}", seed=trial.seed, block=block, **(definition(trial) | where))

    monkeypatch.setattr(module, "run_trial", run_trial)
    blocks = Blocks(tmp_path, "quick", lambda line: None)
    comparison = Comparison("strategies", {"cell": cell}, 3)
    blocks.open({}, [comparison])
    blocks.run(comparison)
    assert seeds == [6, 7, 8]
    blocks.close()
    again = Comparison("strategies", {"cell": replace(cell, seed=0)}, 4)
    with pytest.raises(ValueError, match=r"has seed 6 in block 1, not 0: give the --first-seed of the run"):
        Blocks(tmp_path, "quick", lambda line: None).resume({}, [again])
    with pytest.raises(ValueError, match="--first-seed must be between 0 and 500, got 1000"):
        make_plan(first_seed=1000)
