"""A file of the user's own: what it imports, what it sets, what it says, and what is said of it."""

import os
import subprocess
import sys
import warnings

import cloudpickle
import pytest
import torch
from torch import nn

from paceline.bench import Workload
from paceline.bench.harness.data_files import DataFiles
from paceline.bench.workloads import find_workload, from_file, torch_settings
from paceline.bench.workloads.check import problem_of
from paceline.bench.workloads.data import Data, Samples
from paceline.bench.workloads.user_code import WARNINGS, heard
from paceline.bench.workloads.workload import (
    accuracy,
    evaluating,
    mean_squared_error,
    per_sample_squared_error,
)
from tests.problems import DATA_OF_A_FILE, GAUSSIANS, gaussians


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that writes a project's files and says where ``w.py`` is; imports are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    before = set(sys.modules)

    def write(name="project", **files):
        for file, text in files.items():
            path = tmp_path / name / f"{file}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return str(tmp_path / name / "w.py")

    yield write
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


@pytest.fixture
def shown(monkeypatch):
    lines = []
    monkeypatch.setattr(WARNINGS, "show", lines.append)
    monkeypatch.setattr(WARNINGS, "_shown", set())
    return lines


class TestNeighbours:
    NET = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self): super().__init__(4, {width})\n"
    USES = DATA_OF_A_FILE + "from net import Net\nMINE = Workload(name='mine', model=Net, data=data, target=0.9)\n"

    def test_a_file_may_import_them(self, project):
        file = project(w=self.USES, net=self.NET.format(width=2))
        assert find_workload(f"{file}:MINE").model().out_features == 2

    def test_two_projects_may_each_have_one_of_the_same_name(self, project):
        one = find_workload(f"{project('one', w=self.USES, net=self.NET.format(width=2))}:MINE")
        two = find_workload(f"{project('two', w=self.USES, net=self.NET.format(width=3))}:MINE")
        assert [w.model().out_features for w in (one, two)] == [2, 3]
        models = [cloudpickle.loads(cloudpickle.dumps(w.model)) for w in (one, two)]  # as they reach a trial
        assert [model().out_features for model in models] == [2, 3]

    def test_folders_of_their_own_called_bench_and_trainers_are_theirs(self, project):
        text = DATA_OF_A_FILE + "import bench.theirs, trainers.theirs\n"
        text += "MINE = Workload(name=bench.theirs.NAME + trainers.theirs.NAME, model=None, data=data, target=0.9)\n"
        theirs = {"bench/__init__": "", "bench/theirs": "NAME = 'a'"}
        theirs |= {"trainers/__init__": "", "trainers/theirs": "NAME = 'b'"}
        file = project(w=text, **theirs)
        assert find_workload(f"{file}:MINE").name == "ab"

    def test_a_neighbour_does_not_hide_what_python_has(self, project):
        """As long as it was imported before, which ours has."""
        file = project(w=DATA_OF_A_FILE + "import random\nMINE = random.Random", random="Random = None")
        assert from_file(f"{file}:MINE") is not None


class TestSettings:
    SETS = DATA_OF_A_FILE + (
        "torch.set_default_dtype(torch.float64)\n"
        "torch.set_float32_matmul_precision('high')\n"
        "torch.use_deterministic_algorithms(True, warn_only=True)\n"
        "torch.backends.cudnn.benchmark = True\n"
        "torch.set_flush_denormal(True)\n"
        "MINE = Workload(name='mine', model=lambda: nn.Linear(4, 2), data=data, target=0.9)\n"
    )

    def test_what_a_workloads_file_sets_is_the_workloads(self, project):
        before = torch_settings.read()
        workload = find_workload(f"{project(w=self.SETS)}:MINE")
        assert torch_settings.read() == before  # and holds for no other
        expected = {
            "default_dtype": "float64",
            "float32_matmul_precision": "high",
            "deterministic_algorithms": "warn",
            "cudnn.benchmark": True,
            "flush_denormal": True,
        }
        assert expected.items() <= workload.settings.items()
        with torch_settings.applied(workload.settings):
            assert torch.get_default_dtype() == torch.float64
        assert torch_settings.read() == before

    def test_its_data_are_built_with_them(self, project):
        file, _ = DataFiles().prepare(find_workload(f"{project(w=self.SETS)}:MINE"))
        assert Data.load(file).train.x.dtype == torch.float64

    def test_what_a_trainers_file_sets_holds_for_all(self, project):
        with torch_settings.kept_apart() as changes:
            from_file(f"{project(w=self.SETS)}:data")
            assert torch.get_default_dtype() == torch.float64
        assert changes["default_dtype"] == "float64"

    @pytest.mark.parametrize(
        "statement",
        [
            "torch.backends.cuda.matmul.allow_tf32 = True",
            "torch.backends.fp32_precision = 'tf32'",  # after which torch does not tell what the older ways say
            "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
            "torch.backends.cudnn.allow_tf32 = False",
            "torch.set_float32_matmul_precision('medium')",
            "torch.use_deterministic_algorithms(True)",
            "torch.autograd.set_detect_anomaly(True)",
            "torch.backends.cuda.enable_flash_sdp(False)",
        ],
    )
    def test_each_is_carried_over_and_taken_back(self, statement):
        before = torch_settings.read()
        with torch_settings.kept_apart() as changes:
            exec(statement)
        assert changes
        assert torch_settings.read() == before
        with torch_settings.applied(changes):
            now = torch_settings.read()
        assert {name: value for name, value in now.items() if before.get(name) != value} == changes
        assert torch_settings.read() == before


class TestWhatGoesWrong:
    def test_a_file_that_does_not_import_says_where_its_traceback_is(self, project):
        with pytest.raises(ValueError, match=r"does not import: ZeroDivisionError.*traceback: ") as error:
            find_workload(f"{project(w='def inner():' + chr(10) + '    return 1 / 0' + chr(10) + 'inner()')}:MINE")
        assert "return 1 / 0" in kept(error)

    def test_a_drives_colon_is_part_of_the_file(self, tmp_path, monkeypatch):
        """Windows' paths have one; here it is a letter of the file's name."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / r"C:\mine.py").write_text("NUMBER = 7")
        assert from_file(r"C:\mine.py:NUMBER") == 7
        with pytest.raises(ValueError, match=r"C:\\mine.py: say which of the file's names, as FILE.py:NAME"):
            from_file(r"C:\mine.py")

    def test_a_file_that_exits_is_told_so(self, project):
        with pytest.raises(ValueError, match="does not import: SystemExit: 3"):
            find_workload(f"{project(w='import sys; sys.exit(3)')}:MINE")

    def test_data_that_raise_say_so_with_the_users_line(self, project):
        text = DATA_OF_A_FILE + "def bad():\n    return 1, len(None)  # planted\n"
        text += "MINE = Workload(name='mine', model=lambda: nn.Linear(4, 2), data=bad, target=0.9)\n"
        with pytest.raises(ValueError, match=r"workload 'mine': data failed: TypeError: .*traceback: ") as error:
            DataFiles().prepare(find_workload(f"{project(w=text)}:MINE"))
        assert "return 1, len(None)  # planted" in kept(error)
        assert "\n" not in str(error.value)


def kept(error):
    """Return the text of the file that a one-line error names last, and remove it."""
    path = str(error.value).rpartition("traceback: ")[2]
    with open(path) as file:
        text = file.read()
    os.unlink(path)
    return text


class TestWarnings:
    def test_they_are_shown_once_and_are_no_errors(self, shown):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(2):
                with heard("workload 'mine'"):
                    warnings.warn("planted\nin two lines", UserWarning, stacklevel=1)
                    warnings.warn("nobody is to see this", DeprecationWarning, stacklevel=1)
        assert len(shown) == 1
        assert shown[0].startswith("workload 'mine' warns: UserWarning: planted in two lines (test_users_files.py:")

    def test_those_of_a_file_and_of_its_data(self, project, shown):
        text = DATA_OF_A_FILE + "import warnings\nwarnings.warn('as it is imported', UserWarning)\n"
        text += "def loud():\n    warnings.warn('as data are built', UserWarning)\n    return data()\n"
        text += "MINE = Workload(name='mine', model=lambda: nn.Linear(4, 2), data=loud, target=0.9)\n"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            DataFiles().prepare(find_workload(f"{project(w=text)}:MINE"))
        assert [("as it is imported" in line, "as data are built" in line) for line in shown] == [(1, 0), (0, 1)]


class TestShapes:
    """Outputs and targets of different shapes are refused: torch would set each against all."""

    @pytest.mark.parametrize(("outputs", "targets"), [((5, 1), (5,)), ((5,), (5, 1)), ((5, 2), (5, 1))])
    @pytest.mark.parametrize("function", [per_sample_squared_error, mean_squared_error])
    def test_squared_error(self, function, outputs, targets):
        with pytest.raises(ValueError, match=r"of one shape, got .* and .*: reshape the targets") as error:
            function(torch.zeros(outputs), torch.ones(targets))
        assert str(list(outputs)) in str(error.value)
        assert str(list(targets)) in str(error.value)

    def test_squared_error_of_one_number_a_sample(self):
        outputs, targets = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 0.0, 1.0])
        assert per_sample_squared_error(outputs, targets).tolist() == [0.0, 4.0, 9.0]
        assert mean_squared_error(outputs, targets) == pytest.approx(13 / 3)

    @pytest.mark.parametrize(
        ("outputs", "targets"), [((6, 1), (6,)), ((6, 1), (6, 1)), ((6, 3), (6, 1)), ((6,), (6,)), ((6, 3), (1,))]
    )
    def test_accuracy(self, outputs, targets):
        with pytest.raises(ValueError, match=r"accuracy needs logits .*a score= of its own"):
            accuracy(torch.zeros(outputs), torch.zeros(targets, dtype=torch.long))

    def test_accuracy_of_sequences(self):
        logits = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]])  # [M=1, C=2, T=3]
        assert accuracy(logits, torch.tensor([[0, 1, 0]])) == pytest.approx(2 / 3)


class TestTheCheck:
    """Few samples, and nothing refused by luck."""

    def check(self, score, target, n=1000, **changes):
        looked_at = []

        def counted(outputs, targets):
            looked_at.append(len(targets))
            return score(outputs, targets)

        x, y = torch.zeros(n, 1), torch.arange(n).float()[:, None]
        workload = Workload(
            name="planted",
            model=lambda: nn.Linear(1, 1),
            data=lambda: (x, y, x, y),
            target=target,
            loss=per_sample_squared_error,
            score=counted,
            **changes,
        )
        return problem_of(workload, Data.of((x, y, x, y, x, y)), torch.device("cpu")), looked_at

    def test_few_held_out_samples_are_scored(self):
        assert self.check(lambda *_: 0.0, 0.5) == ("", [64])

    def test_they_are_from_all_over(self):
        """Sets come sorted by class: the first ones would all be of one."""
        seen = []
        self.check(lambda _, targets: seen.extend(targets.flatten().tolist()) or 0.0, 0.5)
        assert sum(t < 500 for t in seen) == pytest.approx(32, abs=12)
        assert len(set(seen)) == 64

    def test_luck_on_few_is_not_refused(self):
        problem, looked_at = self.check(lambda outputs, _: 1.0 if len(outputs) < 1000 else 0.4, 0.5)
        assert (problem, looked_at) == ("", [64, 1000])

    def test_what_all_of_them_say_is(self):
        problem, _ = self.check(lambda *_: 1.0, 0.5)
        assert "already reaches the target 0.5 with a score of 1" in problem

    @pytest.mark.parametrize(
        ("outputs", "said"),
        [
            (lambda o: (o, o), "a tuple of 2"),
            (lambda o: {"logits": o}, "{logits: [3, 4] float32}"),
            (lambda _: None, "a NoneType"),
        ],
    )
    def test_a_model_must_return_a_tensor(self, outputs, said):
        class Odd(nn.Linear):
            def forward(self, x):
                return outputs(super().forward(x))

        workload = Workload(name="odd", model=lambda: Odd(20, 4), data=gaussians, target=0.9)
        problem = problem_of(workload, Data.of(gaussians()), torch.device("cpu"))
        assert problem == f"the model returned {said}; it must return one tensor"


def test_evaluation_leaves_each_part_in_its_own_mode():
    """Frozen parts are kept in evaluation mode: a backbone's batch statistics must not move."""
    model = nn.Sequential(nn.BatchNorm1d(20).eval(), nn.Linear(20, 4), nn.Sequential(nn.Dropout(0.5)))
    modes = [module.training for module in model.modules()]
    assert modes == [True, False, True, True, True]
    x, y, _, _ = gaussians()
    GAUSSIANS.evaluate(model, Samples(x, y))
    assert [module.training for module in model.modules()] == modes
    GAUSSIANS.mean_loss(model, Samples(x, y))
    assert [module.training for module in model.modules()] == modes
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == modes


def test_killed_runs_leave_no_data_behind(tmp_path):
    """A process that is killed cannot clean up; the next one does, and leaves alone what others still use."""
    program = (
        "import sys\n"
        "from paceline.bench.harness.data_files import DataFiles\n"
        "from tests.problems import GAUSSIANS\n"
        "files = DataFiles()\nprint(files.prepare(GAUSSIANS)[0].parent, flush=True)\nsys.stdin.readline()\n"
    )
    environment = os.environ | {"TMPDIR": str(tmp_path)}

    def start():
        command = [sys.executable, "-c", program]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
        return process, process.stdout.readline().strip()

    alive, kept = start()
    killed, left = start()
    killed.kill()
    killed.communicate()
    assert os.path.exists(left)
    third, _ = start()
    try:
        assert not os.path.exists(left)
        assert os.path.exists(kept)
    finally:
        for process in (alive, third):
            process.communicate("\n")
    assert not os.path.exists(kept)
