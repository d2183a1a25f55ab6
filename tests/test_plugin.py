"""The command line: options, errors, and pytest-benchmark on our rounds. Each run is a real pytest run."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from paceline.bench import load_results
from paceline.bench.harness import blocks as harness
from paceline.bench.replay import report
from tests.inner_pytest import PLUGIN
from tests.paths import ROOT
from tests.planted import a_record
from tests.synthetic import raced

pytest_plugins = ["pytester"]

BENCH = ROOT / "bench"
STRATEGIES = str(BENCH / "bench_strategies.py")


@pytest.fixture
def run(pytester):
    """Run pytest as a user would, in an empty folder, on the benchmark files of this checkout."""

    def run(*arguments: str, files: tuple[str, ...] = (STRATEGIES,), apart: bool = False):
        # The inner pytest finds its plugin imported already, which it warns of: not an error here.
        (pytester.path / "questions").mkdir(exist_ok=True)
        ini = pytester.path / "pytest.ini"
        ini.write_text(
            f"[pytest]\ntestpaths = questions\npython_files = bench_*.py\naddopts = -p {PLUGIN}\n"
            "filterwarnings =\n    error\n    ignore:Module already imported\n"
        )
        go = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return go("-c", str(ini), "-p", "no:cacheprovider", *files, *arguments)

    return run


GOOD = """
import torch
from torch import nn
from dataclasses import dataclass
from paceline.bench import Workload
from paceline.trainers import MiniBatch, Sgd

def data():
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(dim=1) > 0).long()
    return x[:200], y[:200], x[200:], y[200:]

MINE = Workload(name="mine", model=lambda: nn.Linear(4, 2), data=data, target=0.9)
NOT_ONE = 3
EMPTY = Workload(name="empty", model=lambda: nn.Linear(4, 2), data=lambda: [t[:0] for t in data()], target=0.9)
EASY = Workload(name="easy", model=lambda: nn.Linear(4, 2), data=data, target=0.01)

@dataclass(frozen=True)
class Huge(MiniBatch):
    batch_size: int = 10**6

@dataclass(frozen=True)
class Fast(MiniBatch):
    optimizer: Sgd = Sgd(lr=0.5)

@dataclass(frozen=True)
class Failing(MiniBatch):
    def __call__(self, task):
        raise RuntimeError("planted")
        yield

@dataclass(frozen=True)
class Needy:
    size: int
"""


@pytest.fixture
def mine(pytester):
    path = pytester.path / "mine.py"
    path.write_text(GOOD)
    return str(path)


class TestBadInput:
    """One line, before any trial runs, and nothing half-written."""

    def check(self, result, pytester, message):
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        errors = [line for line in result.stderr.lines if line.strip()]
        assert len(errors) == 1, errors
        result.stderr.re_match_lines([rf"ERROR: .*{message}"])
        assert not (pytester.path / "results").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--suite", "slow"], "unknown suite 'slow': known are quick, standard, full"),
            (
                ["--workload", "mnist"],
                "unknown workload 'mnist': known are mnist5k, mnist5k-wide, mnist5k-cnn, digits-stream",
            ),
            (
                ["--trainer", "Sgdd"],
                "unknown trainer 'Sgdd': known are FullBatch, MiniBatch, Online, Accumulate, Amp, Ddp, GrowingBatch,",
            ),
            (["--seconds", "0"], "--seconds must be more than 0, got 0"),
            (["--seconds", "nan"], "--seconds must be more than 0, got nan"),
            (["--seeds", "0"], "--seeds must be at least 1, got 0"),
            (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
            (["--budget", "0"], "--budget must be more than 0, got 0"),
            (["--device", "tpu"], "unknown device 'tpu': known are auto, cpu, cuda"),
            (["--workload", "nowhere.py:X"], r"nowhere\.py:X: there is no file 'nowhere\.py'"),
            (["--workload", "MINE.py:NOTHING"], r"has no 'NOTHING'; it has .*MINE"),
            (["--workload", "MINE.py:NOT_ONE"], r"NOT_ONE is a int, not a paceline\.bench\.Workload"),
            (
                ["--workload", "BROKEN.py:X"],
                r"broken\.py does not import: ZeroDivisionError: division by zero",
            ),
            (["--workload", "MINE.py:EMPTY"], "workload 'empty': x is empty"),
            (
                ["--workload", "MINE.py:EASY"],
                r"workload 'easy': the untrained model already reaches the target 0\.01",
            ),
            (
                ["--workload", "MINE.py:MINE", "--trainer", "MINE.py:Huge"],
                r"Huge: batch_size must be in 1\.\.200",
            ),
            (["--workload", "MINE.py:MINE", "--trainer", "MINE.py:Needy"], "Needy: its fields need defaults"),
            (["--trainer", "MINE.py:NOT_ONE"], "NOT_ONE is not a trainer"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_wrong_arguments(self, run, pytester, mine, arguments, message):
        broken = pytester.path / "broken.py"
        broken.write_text("1 / 0\n")
        places = {"MINE.py": mine, "BROKEN.py": str(broken)}
        for name, path in places.items():
            arguments = [argument.replace(name, path) for argument in arguments]
        self.check(run("--benchmark-only", *arguments), pytester, message)

    def test_a_bad_workload_is_refused_while_collecting_too(self, run, pytester, mine):
        """bench_batch_size needs the size of the data before there is a test to run."""
        result = run("--benchmark-only", "--workload", f"{mine}:EMPTY", files=(str(BENCH / "bench_batch_size.py"),))
        self.check(result, pytester, "workload 'empty': x is empty")

    @pytest.mark.parametrize("where", ["a-file/results", "/proc/paceline"])
    def test_results_that_cannot_be_written(self, run, pytester, mine, where):
        (pytester.path / "a-file").write_text("")
        result = run("--benchmark-only", "--workload", f"{mine}:MINE", "--results", where)
        self.check(result, pytester, rf"cannot write results to {where}.*choose another folder with --results")

    def test_results_that_pytest_takes_for_the_folder_of_tests(self, pytester):
        (pytester.path / "there").mkdir()
        result = pytester.runpytest_subprocess("-p", PLUGIN, "--benchmark-only", "--results", "there")
        self.check(result, pytester, "write --results=there, with '='")


class TestRun:
    # One core: two threads would wait for each other wherever something else runs, as other tests do.
    ARGUMENTS = ("--benchmark-only", "--suite", "quick", "--seeds", "3", "--seconds", "30", "--cores", "1")

    def test_a_users_workload_and_trainer_end_to_end(self, run, pytester, mine):
        chosen = ("--workload", f"{mine}:MINE", "--trainer", "MiniBatch", "--trainer", f"{mine}:Fast")
        result = run(*self.ARGUMENTS, *chosen, "--results", "out")
        result.assert_outcomes(passed=2)
        result.stdout.re_match_lines(
            [
                r"\[\d/9, .* strategies block 1/3 mine-\w+: reached: \d+ steps in .* s, score .*",
                r"\[\d/9, .* strategies block 3/3 anchor: 200 steps in .* s, score .*",
            ]
        )
        results = load_results("out")
        trials = results.trials
        assert sorted(trials.cell) == ["mine-Fast"] * 3 + ["mine-MiniBatch"] * 3
        assert trials.groupby("cell").lr.first().to_dict() == {"mine-Fast": 0.5, "mine-MiniBatch": 0.1}
        # Blocks: one trial of every cell, with the block's own seed, back to back.
        assert trials.groupby("block").cell.nunique().tolist() == [2, 2, 2]
        assert (trials.seed == trials.block).all()
        assert trials.block.is_monotonic_increasing
        for name in ("environment.json", "benchmark.json", "summary.csv", "plots/convergence.png"):
            assert (results.folder / name).exists(), name
        assert results.environment["torch"]

    def test_rounds_are_training_seconds_and_the_json_is_strict(self, run, mine):
        run(*self.ARGUMENTS, "--workload", f"{mine}:MINE", "--trainer", "MiniBatch")
        results = load_results("results")

        def refuse(constant):
            raise AssertionError(f"{constant} is not JSON")

        report = json.loads((results.folder / "benchmark.json").read_text(), parse_constant=refuse)
        (benchmark,) = report["benchmarks"]
        assert benchmark["stats"]["data"] == results.trials.seconds_to_target.tolist()
        assert benchmark["options"]["timer"] == "replay_clock"
        assert benchmark["extra_info"]["trials_reached"] == 3
        assert "UNSERIALIZABLE" not in json.dumps(report)

    def test_runs_are_compared_and_drawn_by_pytest_benchmark(self, run, pytester, mine):
        common = (*self.ARGUMENTS, "--seeds", "1", "--workload", f"{mine}:MINE", "--trainer", "MiniBatch")
        run(*common, "--benchmark-save", "first")
        # Apart, for what draws the histogram changes how this process finds packages.
        drawn = ("--benchmark-compare", "--benchmark-histogram=drawn")
        again = run(*common, "--benchmark-save", "second", *drawn, apart=True)
        again.assert_outcomes(passed=1)
        again.stdout.no_fnmatch_line("*machine_info is different*")
        again.stdout.fnmatch_lines(["test_strategies*mine-MiniBatch* (NOW)*"])
        assert list(pytester.path.glob("drawn*.svg"))
        tool = subprocess.run(
            [Path(sys.executable).with_name("pytest-benchmark"), "compare", "--columns", "median,rounds"],
            capture_output=True, text=True, check=False, cwd=pytester.path,
        )  # fmt: skip
        assert tool.returncode == 0, tool.stderr
        assert tool.stdout.count("mine-MiniBatch") == 2

    def test_a_benchmark_without_a_measurement_fails_and_keeps_its_rows(self, run, mine):
        result = run(
            *self.ARGUMENTS,
            "--workload",
            f"{mine}:MINE",
            "--trainer",
            f"{mine}:Failing",
            "--trainer",
            "MiniBatch",
        )
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["*nothing to time: RuntimeError: planted; traceback: errors/mine-Failing#0-*.txt"])
        trials = load_results("results").trials
        assert trials.status.value_counts().to_dict() == {"failed": 3, "reached": 3}
        reasons = trials[trials.status == "failed"].reason.str.partition("; traceback: ")
        assert set(reasons[0]) == {"RuntimeError: planted"}
        assert all('raise RuntimeError("planted")' in Path(f"results/latest/{file}").read_text() for file in reasons[2])

    @pytest.mark.parametrize(("budget", "word"), [("1000", "slower"), ("1e-9", "undecided")])
    def test_blocks_are_added_until_the_verdict_falls_or_the_budget_ends(self, run, mine, monkeypatch, budget, word):
        """Fast takes 10 % longer, at a noise of 2 %: three blocks cannot prove it, and six can. Nothing is timed."""

        def planted(trial, *, cell, block, **rest):
            seconds = {"mine-Fast": 1.1, "mine-MiniBatch": 1.0, "anchor": 1.0}[cell]
            if cell == "anchor":
                return replace(raced(cell, seconds=seconds, blocks=block + 1, workload="mine")[block], cell=cell)
            return raced(cell.removeprefix("mine-"), seconds=seconds, blocks=block + 1, workload="mine")[block]

        monkeypatch.setattr(harness, "run_trial", planted)
        chosen = ("--workload", f"{mine}:MINE", "--trainer", "MiniBatch", "--trainer", f"{mine}:Fast")
        result = run(*self.ARGUMENTS, *chosen, "--until-decided", "--budget", budget)
        result.assert_outcomes(passed=2)
        results = load_results("results")
        blocks = results.trials.block.max() + 1
        assert blocks == 3 if word == "undecided" else 3 < blocks <= 6
        assert results.trials.groupby("block").cell.nunique().tolist() == [2] * blocks
        result.stdout.re_match_lines([rf"strategies: mine-Fast / mine-MiniBatch: {word}, .*n={blocks}"])
        assert results.environment["until_decided"]

    def test_the_batch_size_is_swept_at_its_own_best_rate_each(self, run, mine):
        chosen = ("--batch-size", "8", "--batch-size", "50", "--workload", f"{mine}:MINE")
        result = run(*self.ARGUMENTS, *chosen, files=(str(BENCH / "bench_critical_batch.py"),))
        result.assert_outcomes(passed=2)
        result.stdout.re_match_lines([r"\[\d/20, .* critical_batch search, seed 1/1 mine-MiniBatch-B\d+-lr.*: .*"])
        results = load_results("results")
        searched, measured = (results.trials[(results.trials.search != "") == which] for which in (True, False))
        assert searched.groupby("search").lr.nunique().to_dict() == {"mine-MiniBatch-B50": 5, "mine-MiniBatch-B8": 5}
        assert measured.groupby("cell").batch_size.agg(list).to_dict() == {
            "mine-MiniBatch-B50": [50] * 3,
            "mine-MiniBatch-B8": [8] * 3,
        }
        report = json.loads((results.folder / "benchmark.json").read_text())
        for benchmark in report["benchmarks"]:  # a row reports the measured trials, at the rate that was found
            cell = measured[measured.cell == benchmark["param"]]
            assert benchmark["stats"]["data"] == cell.seconds_to_target.tolist()
            assert benchmark["extra_info"]["lr"] == cell.lr.iloc[0]

    def test_only_the_selected_cells_run(self, run, mine):
        run(*self.ARGUMENTS, "--seeds", "1", "--workload", f"{mine}:MINE", "-k", "Accumulate or Online")
        assert sorted(load_results("results").trials.trainer) == ["Accumulate", "Online"]

    def test_a_trainer_without_a_batch_size_leaves_nothing_to_vary(self, run, mine):
        result = run(*self.ARGUMENTS, "--workload", f"{mine}:MINE", "--trainer", "FullBatch",
                     files=(str(BENCH / "bench_batch_size.py"),))  # fmt: skip
        result.assert_outcomes(skipped=1)

    @pytest.mark.parametrize("option", ["--collect-only", "--benchmark-skip"])
    def test_nothing_is_run_or_written_unless_asked_for(self, run, pytester, option):
        run(option)
        assert not (pytester.path / "results").exists()


def test_a_plain_pytest_leaves_the_benchmarks_out(run, pytester):
    """They take minutes; ``testpaths`` holds them so that ``pytest --benchmark-only`` finds them."""
    (pytester.path / "questions").mkdir()
    (pytester.path / "questions" / "bench_strategies.py").write_text(Path(STRATEGIES).read_text())
    run(files=()).assert_outcomes(deselected=30)


def test_the_plugin_is_silent_where_the_tests_are_others(pytester):
    """Wherever it is loaded: nothing may be imported, written or failed there."""
    pytester.makepyfile(
        "import sys\n"
        "def test_theirs(benchmark):\n"
        "    assert 'torch' not in sys.modules\n"
        "    assert 'paceline.bench.harness.blocks' not in sys.modules\n"
        "    benchmark.pedantic(lambda: None, rounds=2)\n"
    )
    result = pytester.runpytest_subprocess("-p", PLUGIN, "--benchmark-only", "--benchmark-json=theirs.json")
    result.assert_outcomes(passed=1)
    assert not (pytester.path / "results").exists()
    assert "torch" not in json.loads((pytester.path / "theirs.json").read_text())["machine_info"]


def test_without_pytest_benchmark_the_plugin_still_loads(pytester):
    pytester.makepyfile("def test_theirs(): pass")
    pytester.runpytest_subprocess("-p", PLUGIN, "-p", "no:benchmark").assert_outcomes(passed=1)


def test_benchmarks_alone_are_collected_when_nothing_else_is_to_run():
    command = [sys.executable, "-m", "pytest", "--benchmark-only", "--collect-only", "-q", "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=BENCH.parent, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {line.split("/")[0] for line in found if "::" in line} == {"bench"}


def test_the_suites_of_all_benchmarks_collect(run):
    for suite in ("quick", "standard", "full"):
        files = tuple(map(str, sorted(BENCH.glob("bench_*.py"))))
        result = run("--collect-only", "-q", "--suite", suite, files=files)
        assert result.ret == 0
        for name in ("null", "strategies", "batch_size", "critical_batch", "precision", "scaling"):
            result.stdout.re_match_lines([rf".*test_{name}\[.*"])


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [(("missed", "plateaued"), pytest.skip.Exception), (("missed", "crashed"), pytest.fail.Exception)],
)
def test_a_target_that_all_missed_is_a_result_and_a_crash_is_none(statuses, outcome):
    benchmark = SimpleNamespace(extra_info={}, pedantic=lambda *_, **__: None)
    records = [a_record(status=status, reason="target 0.9 not reached") for status in statuses]
    with pytest.raises(outcome, match=r"nothing to time: target 0\.9 not"):
        report(benchmark, records, lambda _: math.nan)
    assert benchmark.extra_info["trials"] == 2
