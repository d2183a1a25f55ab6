"""A trainer is known by its label, and what a user wrote into it is what runs."""

import json
import re
import sys

import pytest

from paceline.bench import __main__ as command
from paceline.bench import bench_batch_size, bench_critical_batch, bench_null, bench_strategies, bench_tuning
from paceline.bench.harness import learning_rates, run
from paceline.bench.harness.equivalence import gate
from paceline.bench.harness.learning_rates import BUILT_IN_RATES, TuningTrial, best_rates
from paceline.bench.harness.plan import find_trainer, make_plan
from paceline.bench.harness.rate_search import rate_of
from paceline.bench.harness.run import definition
from paceline.bench.harness.trial import Trial
from paceline.bench.workloads import find_workload
from paceline.trainers import Adam, MiniBatch, Sgd
from tests.planted import a_record
from tests.problems import GAUSSIANS

TRAINERS = """
from paceline.trainers import Adam, Amp, MiniBatch, Sgd
ADAM  = MiniBatch(Adam(lr=1e-3))
SMALL = MiniBatch(Sgd(lr=0.05), batch_size=16)
BIG   = MiniBatch(Sgd(lr=0.8, momentum=0.9), batch_size=512)
HALF  = Amp(dtype="float16")
SAME  = MiniBatch()
"""
FOUND = best_rates(BUILT_IN_RATES)["mnist5k", "MiniBatch"]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.py"
    path.write_text(TRAINERS)
    return path


def a_plan(file, *names, suite="quick", **options):
    trainers = [f"{file}:{name}" if name.isupper() else name for name in names]
    return make_plan(suite=suite, trainers=trainers, results=file.parent, **options)


def test_two_trainers_of_one_class_are_two_cells_of_what_the_user_wrote(file):
    cells = bench_strategies.cells(a_plan(file, "MiniBatch", "SMALL", "BIG", "ADAM"))
    assert {name: (trial.trainer, trial.trainer_name) for name, trial in cells.items()} == {
        "mnist5k-MiniBatch": (MiniBatch(Sgd(lr=FOUND)), "MiniBatch"),
        "mnist5k-SMALL": (MiniBatch(Sgd(lr=0.05), batch_size=16), "SMALL"),
        "mnist5k-BIG": (MiniBatch(Sgd(lr=0.8, momentum=0.9), batch_size=512), "BIG"),
        "mnist5k-ADAM": (MiniBatch(Adam(lr=1e-3)), "ADAM"),
    }
    assert definition(cells["mnist5k-BIG"])["trainer"] == "BIG"


def test_every_benchmark_of_chosen_trainers_calls_them_by_their_labels(file):
    plan = a_plan(file, "SMALL", "BIG", suite="full")
    for bench in (bench_batch_size, bench_critical_batch, bench_tuning):
        trials = [getattr(cell, "trial", cell) for cell in bench.cells(plan).values()]
        assert {trial.trainer_name for trial in trials} == {"SMALL", "BIG"}
    assert {trial.trainer_name for trial in bench_null.cells(plan).values()} == {"SMALL"}


def test_what_is_set_as_the_built_in_trainer_is_runs_at_the_rate_that_was_written(file):
    [trial] = bench_strategies.cells(a_plan(file, "SAME")).values()
    assert rate_of(trial.trainer) == 0.1
    [ours] = bench_strategies.cells(a_plan(file, "MiniBatch")).values()
    assert rate_of(ours.trainer) == FOUND


def test_the_search_at_each_batch_size_is_centred_on_the_users_own_rate(file):
    cells = bench_critical_batch.cells(a_plan(file, "ADAM", suite="full"))
    rates = sorted(cells["mnist5k-ADAM-B64"].rates)
    assert rates[len(rates) // 2] == pytest.approx(1e-3)


@pytest.mark.parametrize("second", ["SMALL", "Amp"])
def test_two_of_one_label_are_an_error(file, tmp_path, second):
    other = tmp_path / "other.py"
    other.write_text(TRAINERS + "Amp = HALF\n")
    first = f"{file}:SMALL" if second == "SMALL" else "Amp"
    with pytest.raises(ValueError, match=f"two trainers are called {second}: give one of them another name"):
        make_plan(trainers=[first, f"{other}:{second}"])
    assert len(make_plan(trainers=["Amp", "Amp"]).trainers) == 1  # the same thing, said twice


def test_two_workloads_of_one_name_are_an_error(tmp_path):
    for file, name in (("a", "mine"), ("b", "mine"), ("c", "linear")):
        (tmp_path / f"{file}.py").write_text(
            f"import torch\nfrom paceline.bench import Workload\n"
            f"W = Workload(name={name!r}, model=lambda: torch.nn.Linear(2, 2), data=lambda: None, target=0.9)\n"
        )
    with pytest.raises(ValueError, match="two workloads are called 'mine': give one of them another name="):
        make_plan(workloads=[f"{tmp_path}/a.py:W", f"{tmp_path}/b.py:W"])
    with pytest.raises(ValueError, match="'linear' is the name of a built-in workload: give yours another name="):
        make_plan(workloads=[f"{tmp_path}/c.py:W"])


def test_the_gate_and_the_record_know_the_label():
    trial = Trial(GAUSSIANS, MiniBatch(Sgd(lr=0.3)), threads=1, label="FAST")
    assert gate([trial])[0]["trainer"] == "FAST"
    assert run.run_trial(trial).trainer == "FAST"


def rows(trainer, settings, lr, samples=50.0):
    return [TuningTrial("mnist5k", trainer, lr, 1000, "reached", samples, 0.9, 1.0, 2.0, settings)]


def test_a_search_counts_for_the_very_trainer_that_was_searched(file):
    _, adam = find_trainer(f"{file}:ADAM")
    rates = file.parent / "learning_rates.csv"
    learning_rates.write(rates, "tune", rows("ADAM", repr(adam), 0.01))
    plan = a_plan(file, "ADAM", "MiniBatch", "BIG")
    tuned = {label: rate_of(plan.tuned(trainer, find_workload("mnist5k"))) for label, trainer in plan.trainers}
    assert tuned == {"ADAM": 0.01, "MiniBatch": FOUND, "BIG": 0.8}
    file.write_text(TRAINERS.replace("1e-3", "2e-4"))  # what the user then writes is what runs
    [trial] = bench_strategies.cells(a_plan(file, "ADAM")).values()
    assert rate_of(trial.trainer) == 2e-4


@pytest.mark.parametrize(
    ("arguments", "of", "searched"),
    [
        (["--trainer", "FILE:ADAM"], repr(MiniBatch(Adam(lr=1e-3))), (Adam, 64)),
        (["--trainer", "MiniBatch"], "MiniBatch", (Sgd, 64)),
        (["--trainer", "MiniBatch", "--batch-size", "512"], repr(MiniBatch(batch_size=512)), (Sgd, 512)),
    ],
)
def test_tune_replaces_only_what_it_searched_itself(file, monkeypatch, capsys, arguments, of, searched):
    ran = []

    def run_trial(trial, **_):
        ran.append(trial)
        return a_record(trainer=trial.trainer_name)

    monkeypatch.setattr(run, "run_trial", run_trial)
    rates = file.parent / "learning_rates.csv"
    ours, theirs = rows("MiniBatch", "", 0.25), rows("X", "MiniBatch(another one)", 0.5)
    learning_rates.write(rates, "first", ours + theirs)
    arguments = [argument.replace("FILE", str(file)) for argument in arguments]
    monkeypatch.setattr(
        sys, "argv", ["paceline", "tune", "--workload", "mnist5k", *arguments, "--seeds", "1", "-o", str(rates)]
    )
    command.main()
    assert {(type(trial.trainer.optimizer), trial.trainer.batch_size) for trial in ran} == {searched}
    kept = best_rates(rates)
    assert kept["mnist5k", "MiniBatch(another one)"] == 0.5
    assert kept["mnist5k", of] in [rate_of(trial.trainer) for trial in ran]
    assert (of == "MiniBatch") == (kept["mnist5k", "MiniBatch"] != 0.25)
    assert len(kept) == 2 + (of != "MiniBatch")


def test_tune_says_why_a_trial_failed_and_where_its_traceback_is(tmp_path, monkeypatch, capsys):
    (tmp_path / "t.py").write_text(
        "from dataclasses import dataclass\nfrom paceline.trainers import MiniBatch\n"
        "@dataclass(frozen=True)\nclass Fails(MiniBatch):\n    def __call__(self, task):\n"
        "        yield from super().__call__(task) if task.seed < 1000 else 1 // 0\n"
    )
    monkeypatch.setattr(learning_rates, "COARSE", (0.1, 0.2))
    monkeypatch.setattr(learning_rates, "REFINEMENTS", 0)
    words = ["--workload", "linear", "--trainer", f"{tmp_path}/t.py:Fails", "--seeds", "1", "-o", f"{tmp_path}/r.csv"]
    monkeypatch.setattr(sys, "argv", ["paceline", "tune", *words])
    command.main()
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert (
        "lr 0.1 seed 1000: failed (ZeroDivisionError: integer division or modulo by zero; traceback: errors/" in first
    )
    kept = sorted((tmp_path / "errors").iterdir())
    assert len(kept) == 2
    assert {path.name for path in kept} == {line.partition("errors/")[2].partition(")")[0] for line in (first, second)}
    assert "else 1 // 0" in kept[0].read_text()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("@dataclass\nclass T(Base): pass", "unhashable type: 'T'; write @dataclass(frozen=True) above it"),
        ("@dataclass(frozen=True)\nclass T:\n    sizes: list = field(default_factory=list)\n"
         "    def __call__(self, task): pass", "unhashable type: 'list'; .* tuples instead of lists in its fields"),
    ],
)  # fmt: skip
def test_a_trainer_that_no_search_could_know_again_is_refused_at_once(tmp_path, written, said):
    file = tmp_path / "t.py"
    file.write_text(
        "from dataclasses import dataclass, field\nclass Base:\n    def __call__(self, task): pass\n" + written
    )
    with pytest.raises(ValueError, match=re.escape(f"{file}:T: ") + said.replace("(", r"\(").replace(")", r"\)")):
        find_trainer(f"{file}:T")


def test_a_file_without_settings_holds_the_built_in_trainers():
    assert all(json.dumps(trial.settings) == '""' for trial in learning_rates.read(BUILT_IN_RATES))
