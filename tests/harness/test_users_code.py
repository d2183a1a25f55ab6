"""What a user wrote, in the trials: what reaches them, what they have set, what is said when something goes wrong."""

import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from paceline.bench import Trial as AnyTrial
from paceline.bench import run_trial
from paceline.bench.harness import fork_server
from paceline.bench.harness.blocks import Blocks
from paceline.bench.harness.comparison import Comparison
from paceline.bench.harness.environment import capture
from paceline.bench.harness.trial import payload
from paceline.bench.workloads import find_workload, torch_settings
from paceline.bench.workloads.user_code import WARNINGS
from paceline.bench.workloads.workload import per_sample_cross_entropy, per_sample_squared_error
from paceline.trainers import Ddp, MiniBatch, Sgd
from tests.paths import ROOT
from tests.problems import DATA_OF_A_FILE, GAUSSIANS, POINTS, gaussians, network

Trial = partial(AnyTrial, threads=1)
SHORT = {"steps": 3, "stop_at_target": False}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that writes a project's files and returns the workload MINE of its w.py."""
    monkeypatch.setattr(sys, "path", sys.path[:])

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        return find_workload(f"{tmp_path / 'w.py'}:MINE")

    return write


@pytest.fixture
def shown(monkeypatch):
    lines = []
    monkeypatch.setattr(WARNINGS, "show", lines.append)
    monkeypatch.setattr(WARNINGS, "_shown", set())
    return lines


def start_seconds(record):
    """Return what a trial took beside training, warm-up and evaluation."""
    others = record.warmup_seconds + record.evaluation_seconds + record.curve["seconds"][-1]
    return record.elapsed_seconds - others


class TestWhatReachesATrial:
    def test_what_builds_the_data_stays_behind(self):
        big = torch.zeros(100_000)
        workload = replace(GAUSSIANS, data=lambda: (*gaussians(), big)[:4])
        packed = payload(Trial(workload, MiniBatch()))
        assert len(packed) < 10_000
        with pytest.raises(RuntimeError, match="from the file"):
            pickle.loads(packed).workload.data()
        assert run_trial(Trial(workload, MiniBatch(), **SHORT)).status == "missed"

    def test_what_the_data_import_is_not_imported_by_a_trial(self, project):
        """The module beside the file takes half a second to import, and is gone from the trials' way."""
        text = DATA_OF_A_FILE + "import slow_to_load_data\ndef loads():\n    slow_to_load_data\n    return data()\n"
        text += "MINE = Workload(name='mine', model=lambda: nn.Linear(4, 2), data=loads, target=2 / 3)\n"
        workload = project(w=text, slow_to_load_data="import time\ntime.sleep(0.5)\n")
        starts = [start_seconds(run_trial(Trial(workload, MiniBatch(), seed=s, **SHORT))) for s in range(3)]
        assert min(starts) < 0.3

    def test_what_the_model_imports_is_imported_once(self, project, tmp_path):
        """By the fork server, wherever the model asks for it: at the top of the file, or as it is built."""
        loaded = tmp_path / "loaded"
        slow = f"import time\nopen({str(loaded)!r}, 'a').write('{{0}} ')\ntime.sleep(0.3)\nWIDTH = 2\n"
        text = DATA_OF_A_FILE + (
            "import slow_at_the_top\n"
            "def model():\n"
            "    import slow_when_built\n"
            "    return nn.Linear(4 * slow_at_the_top.WIDTH // slow_when_built.WIDTH, 2)\n"
            "MINE = Workload(name='mine', model=model, data=data, target=0.99)\n"
        )
        workload = project(w=text, slow_at_the_top=slow.format("top"), slow_when_built=slow.format("built"))
        run_trial(Trial(workload, MiniBatch(), **SHORT))
        before = loaded.read_text()
        starts = [start_seconds(run_trial(Trial(workload, MiniBatch(), seed=s, **SHORT))) for s in range(3)]
        assert loaded.read_text() == before  # here, in the check and in the server
        assert min(starts) < 0.3

    def test_a_neighbour_that_was_changed_is_loaded_anew(self, project, tmp_path):
        """As in a notebook that goes on: the server must not keep what it has loaded."""
        slow = "import time\ntime.sleep(0.3)\nfrom torch import nn\nclass Net(nn.Linear): pass\nBIAS = {}\n"
        text = DATA_OF_A_FILE + (
            "import changing_neighbour\n"
            "class Model(nn.Linear):\n"
            "    def forward(self, x): return 0 * super().forward(x) + changing_neighbour.BIAS\n"
            "MINE = Workload(name='mine', model=lambda: Model(4, 2), data=data, target=0.99,\n"
            "    loss=lambda outputs, _: outputs[:, 0])\n"
        )
        workload = project(w=text, changing_neighbour=slow.format(1))
        assert run_trial(Trial(workload, MiniBatch(), **SHORT)).curve["loss"] == [1.0] * 2
        (tmp_path / "changing_neighbour.py").write_text(slow.format("2 # longer"))
        assert run_trial(Trial(workload, MiniBatch(), **SHORT)).curve["loss"] == [2.0] * 2

    def test_a_server_that_somebody_else_started_is_replaced(self):
        """It has not loaded torch, so that each trial would."""
        run_trial(Trial(GAUSSIANS, MiniBatch(), **SHORT))
        theirs = fork_server._server()
        fork_server._ours.discard(theirs)
        run_trial(Trial(GAUSSIANS, MiniBatch(), **SHORT))
        assert fork_server._server() not in (None, theirs)

    def test_a_server_that_cannot_be_forked_is_not_kept(self, monkeypatch):
        """Should a module touch CUDA, or end its process, as it is loaded, trials import it themselves."""
        monkeypatch.setattr(fork_server, "_asked_for", {"antigravity_of_nobody": 0.0})
        monkeypatch.setattr(fork_server, "_loaded", {})
        monkeypatch.setattr(fork_server, "_ours", {fork_server._server()})
        fits = iter([False, True])
        asked = []
        monkeypatch.setattr(fork_server, "_start_another", lambda modules: asked.append(modules) or next(fits))
        fork_server.renew()
        fork_server.renew()
        assert asked == [["antigravity_of_nobody"], []]

    @pytest.mark.parametrize("by_value", [False, True])
    def test_neighbours_reach_it_by_name_or_whole(self, project, by_value, monkeypatch):
        name = f"neighbour_{'whole' if by_value else 'by_name'}"
        net = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self): super().__init__(4, 2)\n"
        text = (
            DATA_OF_A_FILE
            + f"from {name} import Net\nMINE = Workload(name='mine', model=Net, data=data, target=0.99)\n"
        )
        workload = project(w=text, **{name: net})
        if by_value:
            import cloudpickle

            cloudpickle.register_pickle_by_value(sys.modules[name])
        assert (b"__reduce__" in payload(Trial(workload, MiniBatch()))) is False
        assert run_trial(Trial(workload, MiniBatch(), **SHORT)).status == "missed"


class TestSettings:
    def test_what_the_file_sets_holds_in_its_trials_and_is_recorded(self, project):
        text = DATA_OF_A_FILE + (
            "torch.set_default_dtype(torch.float64)\n"
            "torch.set_float32_matmul_precision('high')\n"
            "torch.use_deterministic_algorithms(True)\n"
            "torch.set_flush_denormal(True)\n"
            "MINE = Workload(name='mine', model=lambda: nn.Linear(4, 2), data=data, target=0.99)\n"
        )
        workload = project(w=text)
        record = run_trial(Trial(workload, MiniBatch(), **SHORT))
        assert (record.status, record.dtype) == ("missed", "float64"), record.reason
        had = record.ranks[0]["torch_settings"]
        assert had["float32_matmul_precision"] == "high"
        assert had["deterministic_algorithms"] == "on"
        assert had["flush_denormal"] is True
        given = capture([workload])
        assert given["torch_settings"] | given["torch_settings_of"]["mine"] == had
        json.dumps(had)
        other = run_trial(Trial(GAUSSIANS, MiniBatch(), **SHORT))
        assert (other.dtype, other.ranks[0]["torch_settings"]) == ("float32", given["torch_settings"])

    def test_what_this_process_has_set_holds_as_well(self):
        with torch_settings.applied({"float32_matmul_precision": "medium"}):
            record = run_trial(Trial(GAUSSIANS, Ddp(), world_size=2, **SHORT))
        precisions = [rank["torch_settings"]["float32_matmul_precision"] for rank in record.ranks]
        assert precisions == ["medium", "medium"]

    def test_the_environment_is_captured_after_the_newer_settings_too(self):
        """torch then refuses to say what the older ways would have said."""
        with torch_settings.applied({"fp32_precision": "tf32", "cuda.matmul.fp32_precision": "tf32"}):
            assert capture()["torch_settings"]["fp32_precision"] == "tf32"


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(20, 4)

    def forward(self, x):
        return self.lstm(x)


def planted_score(outputs, targets):
    raise KeyError("planted")


def changed(**changes):
    return replace(GAUSSIANS, name="mine", **changes)


def with_data(change):
    return changed(data=lambda: change(*gaussians()))


class TestTheCheckSaysWhichPart:
    @pytest.mark.parametrize(
        ("workload", "message"),
        [
            (
                with_data(lambda x, y, u, v: (x.double(), y, u.double(), v)),
                r"model failed on x \[3, 20\] float64: RuntimeError: mat1 and mat2 must have the same dtype",
            ),
            (
                with_data(lambda x, y, u, v: (x, y.int(), u, v.int())),
                r"loss failed on outputs \[3, 4\] float32, targets \[3\] int32: RuntimeError: expected ",
            ),
            (
                with_data(lambda x, y, u, v: (x, y[:, None], u, v[:, None])),
                r"loss failed on outputs \[3, 4\] float32, targets \[3, 1\] int64: RuntimeError: ",
            ),
            (changed(model=Lstm), r"the model returned a tuple of 2; it must return one tensor"),
            (changed(model=lambda: nn.Linear(0)), r"model could not be built: TypeError: "),
            (changed(score=planted_score), r"score failed on outputs \[64, 4\] float32, targets \[64\] int64: Key"),
            (changed(loss=lambda o, y: per_sample_cross_entropy(o, y).mean()), r".*returned the shape \[\] \(use"),
            (changed(loss=lambda o, y: o), r".*returned the shape \[3, 4\] \(take each sample's mean\)"),
            (
                changed(loss=per_sample_squared_error),
                r"loss failed on outputs \[3, 4\] float32, targets \[3\] int64: ValueError: squared error needs",
            ),
            (changed(model=lambda: os._exit(7)), r"it could not be checked: .* exited with code 7"),
        ],
        ids=lambda value: value[:30] if isinstance(value, str) else "",
    )  # fmt: skip
    def test_in_one_line(self, workload, message):
        with pytest.raises(ValueError, match=f"^workload 'mine': {message}") as error:
            run_trial(Trial(workload, MiniBatch()))
        assert "\n" not in str(error.value)

    def test_the_traceback_has_the_users_line(self):
        with pytest.raises(ValueError, match="traceback: ") as error:
            run_trial(Trial(changed(score=planted_score), MiniBatch()))
        path = str(error.value).rpartition("traceback: ")[2]
        assert 'raise KeyError("planted")' in Path(path).read_text()
        os.unlink(path)

    def test_what_cannot_be_sent_to_a_trial(self):
        lock = threading.Lock()
        with pytest.raises(ValueError, match="workload 'mine': it cannot be sent to a trial's process: TypeError"):
            run_trial(Trial(changed(model=lambda: lock and network()), MiniBatch()))

    def test_one_that_hangs_is_not_waited_for(self):
        def hangs():
            import time

            time.sleep(60)

        with pytest.raises(ValueError, match=r"workload 'mine': it could not be checked: .* did not answer in time"):
            run_trial(Trial(changed(model=hangs), MiniBatch(), patience=1.0))


@dataclass(frozen=True)
class Calls:
    """Makes 12 good steps, more than warm-up takes, and then calls the model on half the features."""

    part: str

    def __call__(self, task):
        steps = MiniBatch(batch_size=8)(task)
        for _ in range(12):
            step = next(steps)
            yield step
        x, y = task[torch.arange(5)]
        if self.part == "model":
            step.model(x[:, :10])
        if self.part == "loss":
            task.loss(step.model(x), y[:3])
        raise RuntimeError("of the trainer")


class TestATrialThatFails:
    @pytest.mark.parametrize(
        ("part", "reason"),
        [
            ("model", "model failed on x [5, 10] float32: RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
            ("loss", "loss failed on outputs [5, 4] float32, targets [3] int64: ValueError: "),
            ("trainer", "RuntimeError: of the trainer"),
        ],
    )
    def test_its_reason_names_the_part_and_where_the_traceback_is(self, tmp_path, part, reason):
        record = run_trial(Trial(GAUSSIANS, Calls(part), stop_at_target=False), cell="a/b", errors=tmp_path / "errors")
        assert record.status == "failed"
        assert record.reason.startswith(reason), record.reason
        (kept,) = (tmp_path / "errors").iterdir()
        assert record.reason.endswith(f"; traceback: errors/{kept.name}")
        assert "in __call__" in kept.read_text()
        assert "test_users_code.py" in kept.read_text()

    def test_of_a_crash_what_it_printed_is_kept(self, tmp_path):
        def dies(outputs, targets):
            if torch.is_grad_enabled():  # not in the check's 64, nor here before training
                return 0.0
            if len(targets) == 128:
                os.write(2, b"first words\nlast words\n")
                os.abort()
            return 0.0

        workload = replace(GAUSSIANS, score=dies, data=lambda: (*gaussians(), *gaussians()[2:]))
        record = run_trial(Trial(workload, MiniBatch()), errors=tmp_path)
        assert record.status == "crashed"
        assert "first words\nlast words" in next(tmp_path.iterdir()).read_text()

    def test_in_a_run_it_is_in_the_runs_folder(self, tmp_path):
        blocks = Blocks(tmp_path, "", lambda line: None)
        cells = {"cell": Trial(GAUSSIANS, Calls("trainer"), stop_at_target=False)}
        folder = blocks.open({}, [Comparison("asked", cells, 1)])
        blocks.run(Comparison("asked", cells, 1))
        (record,) = blocks.records["asked", "cell"]
        assert "of the trainer" in (folder / record.reason.rpartition("traceback: ")[2]).read_text()

    def test_without_a_folder_none_is_kept(self):
        record = run_trial(Trial(GAUSSIANS, Calls("trainer"), stop_at_target=False))
        assert record.reason == "RuntimeError: of the trainer"


class TestWarnings:
    def test_those_of_the_check_and_of_trials_are_shown_once(self, shown):
        """nn.LSTM warns as it is built, and this loss as it is called for the first time."""

        class Warns(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(20, 4, dropout=0.2)

            def forward(self, x):
                return self.lstm(x)[0]

        workload = replace(GAUSSIANS, name="mine", model=Warns)
        for seed in range(2):
            assert run_trial(Trial(workload, MiniBatch(), seed=seed, **SHORT)).status in ("missed", "reached")
        about_dropout = [line for line in shown if "dropout option adds dropout after all but last" in line]
        assert len(about_dropout) == 1
        assert about_dropout[0].startswith("workload 'mine' warns: UserWarning: ")

    def test_one_that_only_trials_give_is_shown(self, shown):
        @dataclass(frozen=True)
        class Warns(MiniBatch):
            def __call__(self, task):
                import warnings

                warnings.warn("the trainer warns", UserWarning, stacklevel=1)
                yield from super().__call__(task)

        assert run_trial(Trial(GAUSSIANS, Warns(), **SHORT)).status == "missed"
        assert ["the trainer warns" in line for line in shown] == [True]

    def test_built_in_strategies_and_workloads_give_none(self, shown):
        run_trial(Trial(find_workload("mnist5k"), MiniBatch(Sgd(lr=0.1)), **SHORT))
        run_trial(Trial(POINTS, Ddp(batch_size=4), world_size=2, **SHORT))
        assert shown == []


def test_the_parent_never_scores(monkeypatch):
    """Nor builds a model: a GPU is the trials' alone, and so is whatever a model does."""

    def here():
        assert os.getpid() != parent, "the parent built a model"
        return network()

    parent = os.getpid()
    run_trial(Trial(replace(GAUSSIANS, model=here), MiniBatch(), **SHORT))


COMMANDS = {
    "all benchmarks": ["-m", "pytest", "--benchmark-only", "--suite", "quick", "--workload", "W"],
    "one benchmark": [
        "-m", "pytest", "--benchmark-only", str(ROOT / "bench" / "bench_strategies.py"), "--workload", "W",
    ],
    "tune": ["-m", "paceline.bench", "tune", "--workload", "W"],
}  # fmt: skip


@pytest.mark.parametrize("how", COMMANDS)
def test_from_the_command_line_it_is_one_line(tmp_path, how):
    """In whatever way it is asked for: no INTERNALERROR, no traceback, and warnings change nothing."""
    text = DATA_OF_A_FILE + (
        "import warnings\n"
        "class Odd(nn.Linear):\n"
        "    def forward(self, x):\n"
        "        warnings.warn('of the model', UserWarning)\n"
        "        return super().forward(x), x\n"
        "def loud():\n"
        "    warnings.warn('of the data', UserWarning)\n"
        "    return data()\n"
        "MINE = Workload(name='mine', model=lambda: Odd(4, 2), data=loud, target=0.9)\n"
    )
    (tmp_path / "w.py").write_text(text)
    arguments = [argument.replace("W", f"{tmp_path}/w.py:MINE") for argument in COMMANDS[how]]
    results = [f"--results={tmp_path / 'results'}", "-p", "no:cacheprovider"] if "pytest" in arguments else []
    command = [sys.executable, *arguments, *results]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode in (1, 4), said
    assert "workload 'mine': the model returned a tuple of 2; it must return one tensor" in done.stderr
    assert said.count("warns: UserWarning: of the model") == said.count("warns: UserWarning: of the data") == 1
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
