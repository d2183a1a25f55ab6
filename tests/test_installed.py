"""An installed wheel, in a folder that is not ours: what a user has, who has no checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

from tests.paths import ROOT

MINE = """
from dataclasses import dataclass
import bench, trainers
import torch
from torch import nn
from paceline.bench import Workload
from paceline.trainers import MiniBatch

@dataclass(frozen=True)
class Failing(MiniBatch):
    def __call__(self, task):
        raise RuntimeError("planted")
        yield

def data():
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(dim=1) > 0).long()
    return x[:200], y[:200], x[200:], y[200:]

MINE = Workload(name="mine", model=lambda: nn.Linear(4, bench.THEIRS * trainers.THEIRS), data=data, target=0.9)
"""

# Whatever pytest looks for in a folder, made so that nothing of ours survives being looked for there.
HOSTILE = {
    "conftest.py": "def pytest_addoption(parser):\n"
    "    for name in ('--device', '--seeds', '--results', '--resume', '--batch-size'):\n"
    "        parser.addoption(name, default='theirs')\n",
    "pytest.ini": "[pytest]\nfilterwarnings = error\naddopts = --device=mine\ntestpaths = tests\n",
    "bench/__init__.py": "THEIRS = 2\n",  # has nothing of ours, and is what their own file means by these names
    "trainers/__init__.py": "THEIRS = 1\n",
    "tests/__init__.py": "",
    "tests/test_theirs.py": "import sys\n"
    "def test_theirs(request):\n"
    "    assert request.config.getoption('--device') == 'mine'\n"
    "    assert not [name for name in sys.modules if name.startswith('paceline')]\n"
    "    assert 'torch' not in sys.modules\n",
    "mine.py": MINE,
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder of programs of a fresh environment with our wheel in it, over the packages that are here."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    for name in ("bench", "trainers"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.suffix in (".toml", ".md", ".ipynb") or path.name.startswith("LICENSE"):
            shutil.copy(path, source / path.name)
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), "."]
    subprocess.run(wheel, cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("paceline-*.whl")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    # Packages that are installed there are seen; what an editable install hooks in there is not.
    (site / "present.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [programs / "python", "-m", "pip", "install", "--no-deps", "--no-index", str(built)]
    subprocess.run(install, check=True, capture_output=True)
    shutil.rmtree(source)  # there is no checkout anywhere
    return programs


@pytest.fixture
def theirs(tmp_path):
    """Return a project whose files are all in the way."""
    for name, text in HOSTILE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def call(*command, folder, check=True):
    # The page's templates lie beside the present packages, not in the fresh environment.
    environment = os.environ | {"JUPYTER_PATH": f"{sys.prefix}/share/jupyter"}
    command = [str(part) for part in command]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def test_a_run_in_a_hostile_project_ends_with_the_report_though_a_cell_has_no_measurement(installed, theirs):
    options = ["--suite", "quick", "--workload", "mine.py:MINE", "--seeds", "1"]
    options += ["--trainer", "MiniBatch", "--trainer", "mine.py:Failing"]
    options += ["-k", "mine", "--benchmark-json=own.json"]  # of pytest and of pytest-benchmark
    done = call(installed / "paceline", "run", "strategies", *options, folder=theirs, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-3000:] + done.stderr[-3000:]
    assert "strategies block 1/1 mine-MiniBatch: reached" in done.stdout
    assert "nothing to time: RuntimeError: planted; traceback: errors/mine-Failing" in done.stdout
    run = theirs / "results" / "latest"
    for name in ("trials.jsonl", "summary.csv", "benchmark.json", "environment.json", "report.html", "plots"):
        assert (run / name).exists(), name
    assert (theirs / "own.json").exists()
    assert "Decision" in done.stdout
    assert re.search(r"report\.html  \(0\.\d MB[^\n]*$", done.stdout.rstrip())
    assert "/site-packages/paceline/bench/report" not in (run / "report.html").read_text()


def test_their_own_pytest_knows_nothing_of_us(installed, theirs):
    done = call(installed / "python", "-m", "pytest", "-q", folder=theirs)
    assert "1 passed" in done.stdout


def test_an_unknown_benchmark_and_a_wrong_option_are_one_line(installed, theirs):
    done = call(installed / "paceline", "run", "strategy", folder=theirs, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("paceline run: error: unknown benchmark 'strategy': known are batch_size, ")
    done = call(installed / "paceline", "run", "--suite", "fast", folder=theirs, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.splitlines() == ["ERROR: unknown suite 'fast': known are quick, standard, full", ""]
    assert not (theirs / "results").exists()


def test_the_help_names_every_command_benchmark_and_option(installed, theirs):
    from paceline.bench.options import OPTIONS

    whole = call(installed / "paceline", "--help", folder=theirs).stdout
    for command in ("doctor", "run", "plan", "tune", "report", "merge", "export"):
        assert f"  paceline {command}" in whole
        assert call(installed / "paceline", command, "--help", folder=theirs).stdout.startswith(
            f"usage: paceline {command}"
        )
    run = call(installed / "paceline", "run", "--help", folder=theirs).stdout
    for path in (ROOT / "bench").glob("bench_*.py"):
        assert f"  {path.stem.removeprefix('bench_')} " in run
    assert all(option.name in run for option in OPTIONS)
    assert max(map(len, run.splitlines())) <= 88


def test_the_version_is_the_packages(installed, theirs):
    from importlib.metadata import version

    assert call(installed / "paceline", "--version", folder=theirs).stdout == f"paceline {version('paceline')}\n"


def test_a_plan_is_said_and_nothing_is_trained_or_written(installed, theirs):
    options = ["--workload", "mine.py:MINE", "--suite", "quick", "--minutes", "2"]
    lines = call(installed / "paceline", "plan", "strategies", "scaling", *options, folder=theirs).stdout.splitlines()
    assert lines[0].split() == ["cells", "blocks", "trials", "about"]
    assert lines[1].split()[:4] == ["strategies", "6", "3", "21"]  # three of them the anchor's
    assert lines[2].split()[0] == "scaling"
    assert lines[-1].endswith("what does not fit into 2:00 is cut, and named.")
    assert not (theirs / "results").exists()
    wrong = call(installed / "paceline", "plan", "--suite", "fast", folder=theirs, check=False)
    assert wrong.stderr.startswith("ERROR: unknown suite 'fast'")
