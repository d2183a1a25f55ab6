"""The anchor: once in every block of every comparison, kept apart from what is compared."""

from dataclasses import replace

import pytest

from paceline.bench.analysis.frames import load_results, summary
from paceline.bench.harness import blocks as module
from paceline.bench.harness.anchor import anchor
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.plan import Plan
from paceline.bench.harness.rate_search import Search
from paceline.bench.harness.run import run_trial
from paceline.bench.harness.trial import Trial
from paceline.bench.records.anchors import ANCHOR, is_anchor
from paceline.bench.records.record import read
from paceline.trainers import MiniBatch
from tests.planted import a_record
from tests.problems import POINTS

CELLS = {name: Trial(POINTS, MiniBatch()) for name in "abc"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs ``comparisons`` of planted trials; a trial's ranks are ``ranks(cell, block)``."""

    def run(*comparisons, ranks=lambda cell, block: [{"train_seconds": 1.0}], resume=False):
        def planted(trial, *, errors, **where):
            name = f"{where['comparison']}-{where['cell']}-{where['block']}-{where['repeat']}"
            return a_record(trial=name, seed=trial.seed, ranks=ranks(where["cell"], where["block"]), **where)

        monkeypatch.setattr(module, "run_trial", planted)
        monkeypatch.setattr(module, "check_unchanged", lambda *_: None)
        blocks = Blocks(tmp_path, "quick", lambda line: None)
        folder = (blocks.resume if resume else blocks.open)({}, comparisons)
        for comparison in comparisons:
            blocks.run(comparison)
        blocks.close()
        return blocks, list(read(folder / "trials.jsonl"))

    return run


def a_comparison(name="strategies", cells=CELLS, blocks=12):
    return Comparison(name, cells, blocks, anchor=anchor(Plan(cores=2)))


def test_every_block_of_every_comparison_has_one_somewhere(run):
    _, records = run(a_comparison("strategies"), a_comparison("null", blocks=3))
    anchors = [record for record in records if is_anchor(record)]
    assert [(r.comparison, r.block) for r in anchors] == [("strategies", b) for b in range(12)] + [
        ("null", b) for b in range(3)
    ]
    assert {record.position for record in anchors} == {0, 1, 2, 3}  # wherever among the cells
    places = sorted((r.comparison, r.block, r.position) for r in records)
    assert len(set(places)) == len(places) == 15 * 4


def test_it_is_no_part_of_what_is_compared(run):
    blocks, _ = run(a_comparison())
    assert set(blocks.records) == {("strategies", cell) for cell in CELLS}
    results = load_results(blocks.folder.path)
    assert set(results.trials["cell"]) == set(summary(results.trials)["cell"]) == set(CELLS)
    assert len(results.anchors) == 12


def test_it_is_the_same_work_whoever_asks():
    one, other = anchor(Plan(suite="quick", cores=2)), anchor(Plan(suite="full", cores=2, seconds=3.0, seeds=9))
    assert one == other
    assert (one.threads, one.steps, one.stop_at_target, one.score_along) == (2, 200, False, False)


def test_a_search_has_one_a_turn_until_its_first_block(run):
    search = Search(CELLS["a"], (0.1, 0.3, 1.0), refinements=2, seeds=2)
    blocks, records = run(a_comparison("critical_batch", {"a": search}, blocks=2))
    anchors = [record for record in records if is_anchor(record)]
    assert [(r.cell, r.block) for r in anchors if r.search] == [("anchor-search", 0), ("anchor-search", 1)]
    assert [(r.cell, r.block) for r in anchors if not r.search] == [("anchor", 0), ("anchor", 1)]
    assert len(blocks.records["critical_batch", "a"]) == 2


def test_a_run_that_goes_on_anchors_what_it_adds_and_no_more(run):
    run(a_comparison(blocks=3))
    _, records = run(a_comparison(blocks=5), resume=True)
    assert [r.block for r in records if is_anchor(r)] == [0, 1, 2, 3, 4]


def test_a_run_without_anchors_is_not_given_any_when_nothing_is_left_to_run(run):
    """It would tell of another time than that of the trials beside which it stands."""
    bare = replace(a_comparison(blocks=3), anchor=None)
    run(bare)
    _, records = run(replace(bare, anchor=anchor(Plan(cores=2)), blocks=4), resume=True)
    assert [r.block for r in records if is_anchor(r)] == [3]


def test_what_disturbs_it_is_what_it_tells_so_it_is_never_repeated(run):
    waited = [{"train_seconds": 1.0, "runqueue_wait_seconds": 0.5}]
    _, records = run(a_comparison(), ranks=lambda cell, block: waited)
    assert {record.cell for record in records if record.repeat} <= set(CELLS)
    assert any(record.repeat for record in records)


def test_a_trial_around_which_the_machine_was_slow_is_run_again(run):
    """The core is a third slower around one trial, though it never waits for it."""

    def ranks(cell, block):
        usual = 1e-3 * (1 + 0.01 * (ord(cell[0]) % 3))
        seconds = usual * 1.33 if (cell, block) == ("b", 6) else usual
        return [{"train_seconds": 1.0, "probe_before_seconds": seconds, "probe_after_seconds": seconds}]

    blocks, records = run(a_comparison(), ranks=ranks)
    assert [(r.cell, r.block) for r in records if r.repeat] == [("b", 6)]
    assert [r.repeat for r in blocks.records["strategies", "b"]] == [int(b == 6) for b in range(12)]
    trials = load_results(blocks.folder.path).trials
    again = trials[(trials["cell"] == "b") & (trials["block"] == 6)].iloc[0]
    assert bool(again["contaminated"])  # as slow again: it counts, and is marked
    assert trials["contaminated"].sum() == 1


@pytest.mark.times
def test_a_real_one_is_short_and_comes_with_its_probes():
    record = run_trial(replace(anchor(Plan(cores=1)), threads=1), cell=ANCHOR)
    assert record.status in ("reached", "missed"), record.reason
    assert record.curve["step"][-1] == 200
    assert record.curve["seconds"][-1] < 3.0
    (rank,) = record.ranks
    for name in ("probe_before_seconds", "probe_after_seconds"):
        assert 1e-6 < rank[name] < 0.1
