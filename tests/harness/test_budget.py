"""A suite keeps its budget of wall seconds on any machine: whole suites, planned for real, on machines simulated.

The machine's clock is ours, and so is what a trial takes on it: its launch, its steps, its evaluations.
"""

import importlib
import math
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from paceline.bench.harness import blocks as module
from paceline.bench.harness.anchor import anchor
from paceline.bench.harness.arrivals import Arrivals
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.budget import Budget, Pace
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import STRATEGIES, LeftOut, Plan, coarse_first
from paceline.bench.harness.rate_search import Search
from paceline.bench.harness.trial import Trial
from paceline.bench.plugin import FIRST
from paceline.bench.records.anchors import apart
from paceline.bench.records.record import read
from paceline.trainers import FullBatch, MiniBatch, Online
from tests.paths import ROOT
from tests.planted import a_curve, a_record
from tests.problems import POINTS, Sleeper

# All benchmarks in the order in which a run takes them: a suite has those that make cells.
NAMES = (
    *FIRST,
    *(name for name in sorted(file.stem[6:] for file in (ROOT / "bench").glob("bench_*.py")) if name not in FIRST),
)

PLACE = ("suite", "comparison", "cell", "block", "position", "repeat", "errors")

# Of full batch, of batches of 64 and of single samples, at searched rates.
STEPS_TO_TARGET = {
    "mnist5k": (100, 120, 7_000),
    "streaming-least-squares": (2, 11, 520),
    "mnist5k-cnn": (1_000, 150, 5_700),
    "digits-stream": (math.inf, 370, 22_000),
    "larger-than-memory": (1_000, 140, 7_500),
}


@cache
def parameters_of(workload):
    """Return how many there are; of a convolution, how many would make it as slow."""
    return 1_500_000 if workload.name == "mnist5k-cnn" else sum(p.numel() for p in workload.model().parameters())


def comparisons_of(plan, names=NAMES):
    """Return what a run of ``plan`` compares; of a benchmark that its suite leaves out it knows nothing."""
    found = []
    for name in names:
        benchmark = importlib.import_module(f"paceline.bench.bench_{name}")
        cells = {c: what for c, what in benchmark.cells(plan).items() if not isinstance(what, LeftOut)}
        fewer = benchmark.fewer(plan) if hasattr(benchmark, "fewer") else {}
        if cells:
            found.append(Comparison(name, cells, benchmark.blocks(plan), {}, anchor(plan), fewer))
    return found


class Machine:
    """A machine ``slowness`` times as slow as that of results/reference, with bfloat16 at ``bfloat16`` FLOP/s."""

    def __init__(self, slowness=1.0, flops=300e9, bfloat16=500e9):
        self.now, self.slowness = 0.0, slowness
        self.flops = {"float32": flops / slowness, "bfloat16": bfloat16}
        self.lines, self.ended = [], {}

    def clock(self):
        return self.now

    def launch(self):
        return 0.15 * self.slowness

    def step(self, trial):
        _, whole = DATA_FILES.prepare(trial.workload)
        batch_size = getattr(trial.trainer, "batch_size", whole if isinstance(trial.trainer, FullBatch) else 1)
        work = 6 * parameters_of(trial.workload) * batch_size
        return 3e-4 * self.slowness + work / self.flops[getattr(trial.trainer, "dtype", "float32")]

    def run_trial(self, trial, *, suite, comparison, cell, block, position, repeat, errors, search=""):
        step = self.step(trial)
        before = self.launch() + max(2, min(10, 1.0 / step)) * step  # warm-up is bounded in time
        limits = [trial.seconds, math.inf if trial.wall_seconds is None else trial.wall_seconds - before]
        steps = math.inf if trial.steps is None else trial.steps
        if trial.stop_at_target:
            full_batch, batches, online = STEPS_TO_TARGET.get(trial.workload.name, STEPS_TO_TARGET["mnist5k"])
            steps = min(steps, {"FullBatch": full_batch, "Online": online}.get(type(trial.trainer).__name__, batches))
        if trial.arrivals is not None:
            batch_size = getattr(trial.trainer, "batch_size", 1)
            steps = math.ceil(trial.arrivals.samples / batch_size)
            step = max(step, batch_size / (trial.arrivals.per_second or math.inf))
        # It is looked at after each of the first 33 steps, and then every 3 %.
        made = max(1, min(steps, math.ceil(1.03 * min(limits) / step)))
        evaluations = min(made, 33 + math.log(max(1, made / 33)) / math.log(1.03)) if trial.score_along else 1
        evaluating = 5e-4 * self.slowness * evaluations
        self.now += before + made * step + evaluating
        self.ended.setdefault((comparison, cell), []).append(self.now)
        return a_record(
            comparison=comparison, cell=cell, block=block, position=position, search=search, repeat=repeat,
            seed=trial.seed, suite=suite, status="reached", cut_short=made < steps and limits[1] < limits[0],
            evaluation_seconds=evaluating, wall_seconds=before + made * step + evaluating,
            trial=f"{comparison}-{cell}-{block}-{repeat}",
            curve=a_curve((made, 64 * made, made * step, 0.5, 0.95)),
        )  # fmt: skip

    def gate(self, trials, errors):
        self.now += 0.3 * self.slowness * len(trials)
        return []

    def run(self, plan, tmp_path, monkeypatch, names=NAMES):
        """Run ``plan``'s suite; return the blocks that ran."""
        monkeypatch.setattr(module, "run_trial", self.run_trial)
        monkeypatch.setattr(module, "gate", self.gate)
        comparisons = comparisons_of(plan, names)
        blocks = Blocks(tmp_path, plan.suite, self.tell, Budget(plan.budget_seconds(), clock=self.clock))
        blocks.open({}, comparisons)
        for comparison in comparisons:
            blocks.check_equivalence(comparison)
            blocks.run(comparison)
        return blocks

    def tell(self, line):
        self.lines.append((self.now, line))

    def left_at(self):
        """Return (seconds since the start, seconds left) as each line of progress said."""
        found = [(now, re.match(r"\[\d+/\d+, (\d+):(\d\d) left\]", line)) for now, line in self.lines]
        return [(now, 60 * int(said[1]) + int(said[2])) for now, said in found if said]


USUAL = Machine
THREE_TIMES = lambda: Machine(slowness=3.0)  # noqa: E731
TEN_TIMES = lambda: Machine(slowness=10.0)  # noqa: E731
EMULATED = lambda: Machine(slowness=3.0, bfloat16=4e9)  # noqa: E731  # as on two cores without the instructions
BOTH = lambda: Machine(slowness=10.0, bfloat16=2e9)  # noqa: E731
MACHINES = {
    "usual": USUAL,
    "three times slower": THREE_TIMES,
    "ten times slower": TEN_TIMES,
    "bfloat16 emulated": EMULATED,
    "both": BOTH,
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("suite", "seconds"), [("quick", 90.0), ("standard", 300.0)])
def test_a_suite_keeps_its_budget(machine, suite, seconds, tmp_path, monkeypatch):
    machine = MACHINES[machine]()
    blocks = machine.run(Plan(suite=suite, cores=2), tmp_path, monkeypatch)
    assert machine.now <= 1.2 * seconds
    # What matters most is there in full: every strategy has a trial on the first workload.
    compared = {cell for comparison, cell in blocks.records if comparison == "strategies"}
    assert compared >= {f"mnist5k-{name}" for name in STRATEGIES}
    for comparison, cell in blocks.left_out:
        assert f"{comparison}: {cell} left out" in blocks.folder.environment()["cut"]


def test_the_standard_suite_shows_strategies_on_five_workloads_on_a_usual_machine(tmp_path, monkeypatch):
    machine = USUAL()
    blocks = machine.run(Plan(suite="standard", cores=2), tmp_path, monkeypatch)
    had = {cell: len(records) for (comparison, cell), records in blocks.records.items() if comparison == "strategies"}
    per_workload = Counter({"mnist5k": 6 * 6, "digits-stream": 5 * 3})  # of a stream there is no full batch
    per_workload |= dict.fromkeys(("streaming-least-squares", "mnist5k-cnn", "larger-than-memory"), 6 * 3)
    assert sum(had.values()) == per_workload.total()
    for workload, trials in per_workload.items():
        assert sum(had.get(f"{workload}-{name}", 0) for name in STRATEGIES) == trials


def test_what_a_plan_tells_is_what_a_usual_machine_takes(tmp_path, monkeypatch):
    for suite in ("quick", "standard"):
        plan, machine, guess = Plan(suite=suite, cores=2), USUAL(), Budget()
        told = sum(guess.need(comparison) for comparison in comparisons_of(plan))
        machine.run(plan, tmp_path / suite, monkeypatch)
        assert told / 1.25 <= machine.now <= 1.25 * told


@pytest.mark.parametrize("minutes", [0.5, 3.0, 20.0])
def test_any_budget_is_kept(minutes, tmp_path, monkeypatch):
    machine = BOTH()
    machine.run(Plan(suite="full", cores=2, minutes=minutes), tmp_path, monkeypatch)
    assert machine.now <= 1.2 * 60 * minutes


def test_where_all_fits_nothing_is_cut(tmp_path, monkeypatch):
    machine = Machine(slowness=0.5)
    blocks = machine.run(Plan(suite="quick", cores=2), tmp_path, monkeypatch)
    assert not blocks.left_out
    assert not [line for _, line in machine.lines if line.startswith("cut")]
    planned = {
        name: importlib.import_module(f"paceline.bench.bench_{name}").blocks(Plan(suite="quick")) for name in NAMES
    }
    assert all(len(records) == planned[comparison] for (comparison, _), records in blocks.records.items())


def test_the_anchors_of_a_quick_suite_leave_out_no_cell_on_a_usual_machine(tmp_path, monkeypatch):
    machine = USUAL()
    blocks = machine.run(Plan(suite="quick", cores=2), tmp_path, monkeypatch)
    assert not blocks.left_out
    assert machine.now <= 90


@pytest.mark.parametrize("machine", MACHINES)
def test_the_anchor_goes_last_of_all(machine, tmp_path, monkeypatch):
    """Wherever there is a trial there is one in its block, as short as the time demands."""
    blocks = MACHINES[machine]().run(Plan(suite="quick", cores=2), tmp_path, monkeypatch)
    compared, anchors = apart(read(blocks.folder.path / "trials.jsonl"))
    in_blocks = {(record.comparison, record.block) for record in compared if not record.search}
    assert in_blocks == {(record.comparison, record.block) for record in anchors if not record.search}


def test_without_a_budget_nothing_is_cut_however_slow(tmp_path, monkeypatch):
    machine = BOTH()
    names = ("strategies", "critical_batch")
    blocks = machine.run(Plan(suite="quick", cores=2, until_decided=True), tmp_path, monkeypatch, names)
    assert machine.now > 90
    assert not [line for _, line in machine.lines if line.startswith("cut")]
    assert not blocks.left_out


def test_a_budget_that_is_short_is_used(tmp_path, monkeypatch):
    """Cutting to half of what there is time for would keep a budget too."""
    machine = TEN_TIMES()
    machine.run(Plan(suite="standard", cores=2), tmp_path, monkeypatch)
    assert machine.now >= 0.8 * 300


def test_blocks_go_before_cells_and_what_went_is_told_and_kept(tmp_path, monkeypatch):
    machine = TEN_TIMES()
    blocks = machine.run(Plan(suite="standard", cores=2), tmp_path, monkeypatch)
    cut = blocks.folder.environment()["cut"]
    assert blocks.folder.environment()["budget_seconds"] == 300.0
    told = [line.removeprefix("cut to the budget of 300 s: ") for _, line in machine.lines if line.startswith("cut")]
    assert cut == told
    assert [line for line in cut if re.fullmatch(r"strategies: \d of 6 blocks", line)]
    assert not [line for line in cut if re.fullmatch(r"strategies: mnist5k-[A-Z]\w+ left out", line)]
    for comparison, cell in blocks.left_out:
        assert f"{comparison}: {cell} left out" in cut


def trial_of_seconds(seconds, **settings):
    return Trial(POINTS, MiniBatch(), seconds=seconds, stop_at_target=False, **settings)


@pytest.mark.parametrize(("trials", "cells", "blocks"), [(18.5, 6, 3), (60.5, 10, 6), (41, 10, 4), (6.5, 2, 3)])
def test_three_blocks_of_fewer_cells_rather_than_one_of_all(trials, cells, blocks, tmp_path, monkeypatch):
    """Ten equal cells, six blocks, and time for some of the sixty trials."""
    machine = Machine()
    comparison = Comparison("precision", {name: trial_of_seconds(2.0) for name in "abcdefghij"}, 6)
    monkeypatch.setattr(module, "run_trial", machine.run_trial)
    each = Machine()
    each.run_trial(comparison.cells["a"], **dict.fromkeys(PLACE, ""))
    run = Blocks(tmp_path, "full", machine.tell, Budget(trials * each.now, clock=machine.clock))
    run.open({}, [comparison])
    run.run(comparison)
    had = {cell: len(records) for (_, cell), records in run.records.items() if records}
    assert had == dict.fromkeys("abcdefghij"[:cells], blocks)
    assert {cell for _, cell in run.left_out} == set("abcdefghij"[cells:])
    assert not [record for records in run.records.values() for record in records if record.cut_short]


def test_cells_of_which_some_turn_out_slow_keep_three_blocks_where_there_is_time_for_them(tmp_path, monkeypatch):
    """By a guess all take as long, and the fourth takes twenty times as long as the others: it is what goes."""
    machine = Machine()
    cells = {name: Trial(POINTS, MiniBatch(), steps=5_000, stop_at_target=False) for name in "abc"}
    cells["d"] = replace(cells["a"], steps=100_000)
    monkeypatch.setattr(module, "run_trial", machine.run_trial)
    run = Blocks(tmp_path, "full", machine.tell, Budget(40.0, clock=machine.clock))
    comparison = Comparison("precision", cells, 3)
    run.open({}, [comparison])
    run.run(comparison)
    assert machine.now <= 40.0
    assert [len(run.records["precision", cell]) for cell in "abc"] == [3, 3, 3]
    assert len(run.records["precision", "d"]) < 3


def test_cells_on_further_workloads_are_in_the_first_blocks_only(tmp_path, monkeypatch):
    machine = Machine()
    cells = {"a": trial_of_seconds(1.0), "b": replace(trial_of_seconds(1.0), workload=replace(POINTS, name="other"))}
    monkeypatch.setattr(module, "run_trial", machine.run_trial)
    run = Blocks(tmp_path, "full", machine.tell)
    comparison = Comparison("strategies", cells, 5, fewer={"other": 2})
    assert len(comparison) == 7
    run.open({}, [comparison])
    run.run(comparison)
    assert [[record.block for record in run.records["strategies", cell]] for cell in "ab"] == [[0, 1, 2, 3, 4], [0, 1]]
    assert "cut" not in run.folder.environment()


def test_trials_are_cut_short_before_they_are_left_out(tmp_path, monkeypatch):
    """Two cells that would take a minute each, in 20 s: both have three trials, all shorter, and it is said."""
    machine = Machine()
    comparison = Comparison(
        "precision", {name: Trial(POINTS, MiniBatch(), seconds=60.0, stop_at_target=False) for name in "ab"}, 3
    )
    monkeypatch.setattr(module, "run_trial", machine.run_trial)
    blocks = Blocks(tmp_path, "standard", machine.tell, Budget(20.0, clock=machine.clock))
    blocks.open({}, [comparison])
    blocks.run(comparison)
    assert [len(blocks.records["precision", cell]) for cell in "ab"] == [3, 3]
    assert machine.now <= 24.0
    assert blocks.folder.environment()["cut"] == ["precision: trials ended early of a, b"]


def test_what_was_cut_for_want_of_time_is_made_up_for_by_resume(tmp_path, monkeypatch):
    machine = Machine()
    comparison = Comparison(
        "precision", {name: Trial(POINTS, MiniBatch(), seconds=8.0, stop_at_target=False) for name in "ab"}, 2
    )
    monkeypatch.setattr(module, "run_trial", machine.run_trial)
    monkeypatch.setattr("paceline.bench.harness.run_folder.check_unchanged", lambda *_: None)
    monkeypatch.setattr(module, "check_unchanged", lambda *_: None)
    first = Blocks(tmp_path, "standard", machine.tell, Budget(8.0, clock=machine.clock))
    first.open({}, [comparison])
    first.run(comparison)
    assert [record.cut_short for cell in "ab" for record in first.records["precision", cell]] == [True, True]
    first.close()
    again = Blocks(tmp_path, "standard", machine.tell, Budget(100.0, clock=machine.clock))
    again.resume({}, [comparison])
    again.run(comparison)
    assert "cut" not in again.folder.environment()
    counting = again.folder.records()
    assert sorted((record.cell, record.block, record.repeat) for record in counting) == [
        ("a", 0, 1), ("a", 1, 0), ("b", 0, 1), ("b", 1, 0)
    ]  # fmt: skip
    assert not [record for record in counting if record.cut_short]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("suite", ["quick", "standard"])
def test_the_time_left_is_right_within_half_as_much_again_from_a_quarter_on(machine, suite, tmp_path, monkeypatch):
    machine = MACHINES[machine]()
    machine.run(Plan(suite=suite, cores=2), tmp_path, monkeypatch)
    end = machine.now
    for now, said in machine.left_at():
        # The last tenth is a matter of a few seconds either way.
        if 0.25 * end <= now <= 0.9 * end:
            assert (end - now) / 1.5 <= said <= 1.5 * (end - now), (now, said, end)


def test_a_cell_is_expected_to_take_what_it_took():
    pace = Pace()
    slow, other = Trial(POINTS, MiniBatch()), Trial(POINTS, replace(MiniBatch(), batch_size=8), stop_at_target=False)
    assert pace.launch() == pytest.approx(0.15)
    record = a_record(curve=a_curve((1, 1, 3.0, 0.5, 0.9)), evaluation_seconds=0.5, wall_seconds=4.5)
    pace.observe("c", "slow", slow, record, 9.5)
    assert pace.of("c", "slow", slow) == 9.5
    assert pace.launch() == pytest.approx(1.0)  # what starting the first process took says nothing of the next
    pace.observe("c", "slow", slow, record, 4.7)
    assert pace.launch() == pytest.approx(1.2)
    # To the target, the same strategy on the same workload elsewhere: as long. For a fixed time: that, and a launch.
    assert pace.of("d", "new", slow) == pytest.approx(4.7)
    assert pace.of("d", "timed", replace(other, seconds=2.0)) == pytest.approx(3.2)


def test_a_stream_is_expected_to_take_what_its_samples_need_to_arrive_or_to_be_learned():
    pace, trial = Pace(), Trial(POINTS, Online(), seconds=18.0, stop_at_target=False)
    for arrivals, seconds in ((Arrivals(6000), 2.0), (Arrivals(1000, 1000.0), 1.0), (Arrivals(3000, 10_000.0), 1.0)):
        assert pace.of("stream", "a", replace(trial, arrivals=arrivals)) == pytest.approx(pace.launch() + seconds)
    batches = replace(trial, trainer=MiniBatch(), arrivals=Arrivals(6000))
    assert pace.of("stream", "b", batches) == pytest.approx(pace.launch() + 0.4)  # which is soon learned
    assert pace.of("memory", "a", replace(trial, steps=20_000)) == pytest.approx(pace.launch() + 4.0)


def test_no_cell_of_a_search_goes_by_a_guess(tmp_path, monkeypatch):
    """A budget of 30 s a trial is no reason to expect that it takes them: each ends within a second."""
    machine = Machine()
    cells = {
        f"B{size}": Search(Trial(POINTS, MiniBatch(batch_size=size), seconds=30.0), (0.1, 0.3, 1.0), seeds=1)
        for size in (4, 8)
    }
    monkeypatch.setattr(module, "run_trial", machine.run_trial)
    blocks = Blocks(tmp_path, "quick", machine.tell, Budget(30.0, clock=machine.clock))
    comparison = Comparison("critical_batch", cells, 3)
    blocks.open({}, [comparison])
    blocks.run(comparison)
    assert machine.now < 30.0
    assert not blocks.left_out
    assert [len(blocks.records["critical_batch", cell]) for cell in cells] == [3, 3]


def test_real_trials_that_sleep_keep_a_budget(tmp_path):
    """Three that would take 30 s each, with steps of half a second, in 12 s: each makes steps, or is named."""
    cells = {
        str(i): Trial(POINTS, Sleeper(0.5), seconds=30.0, stop_at_target=False, score_along=False, threads=1)
        for i in range(3)
    }
    comparison = Comparison("precision", cells, 2)
    blocks = Blocks(tmp_path, "quick", lambda line: None, Budget(12.0))
    blocks.open({}, [comparison])
    blocks.run(comparison)
    assert blocks.budget.spent() <= 1.2 * 12.0
    records = [record for cell in cells for record in blocks.records["precision", cell]]
    assert records
    assert {record.cell for record in records} | {cell for _, cell in blocks.left_out} == set(cells)
    assert {(record.status, record.cut_short, record.reason) for record in records} == {
        ("missed", True, "target 1e-09 not reached: the run's time was up (more with --minutes)")
    }
    assert all(record.curve["step"][-1] >= 1 for record in records)


def test_what_is_left_of_a_sweep_is_spread_over_all_of_it():
    """The last cells go where time is short: once a budget left the batch sizes 1 and 2 of thirteen."""
    sizes = [2**k for k in range(12)] + [4000]
    assert coarse_first(sizes) == [1, 4000, 256, 16, 4, 64, 1024, 2, 8, 32, 128, 512, 2048]
    for n in range(1, 14):
        assert sorted(coarse_first(sizes[:n])) == sizes[:n]
