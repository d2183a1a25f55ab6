"""Whatever ends a run, every trial that was finished is kept, and no process stays behind."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import psutil
import pytest

from paceline.bench import Trial, run_trial
from paceline.bench.harness import fork_server
from paceline.bench.records.anchors import apart
from paceline.bench.records.record import read
from tests.inner_pytest import PLUGIN
from tests.paths import ROOT
from tests.problems import POINTS, Sleeper

pytest_plugins = ["pytester"]

# Slow sleeps in the seeds it is told to, for as long as it may, after having said which process it is.
MINE = """
import os, time
import torch
from pathlib import Path
from torch import nn
from dataclasses import dataclass
from paceline.bench import Workload
from paceline.trainers import MiniBatch, Sgd, Step

def data():
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    y = (x.sum(dim=1) > 0).long()
    return x[:200], y[:200], x[200:], y[200:]

MINE = Workload(name="mine", model=lambda: nn.Linear(4, 2), data=data, target=0.9)

@dataclass(frozen=True)
class Quick(MiniBatch):
    optimizer: Sgd = Sgd(lr=0.5)

@dataclass(frozen=True)
class Slow(MiniBatch):
    optimizer: Sgd = Sgd(lr=0.5)

    def __call__(self, task):
        if task.seed == 1 and Path("hang").exists():
            Path("pid").write_text(str(os.getpid()))
            time.sleep(600)
        yield from super().__call__(task)

@dataclass(frozen=True)
class Long(MiniBatch):  # learns too little to be done, and so leaves a long curve
    optimizer: Sgd = Sgd(lr=1e-6)

    def __call__(self, task):
        yield from __import__("itertools").islice(super().__call__(task), 1000)

@dataclass(frozen=True)
class Killed(MiniBatch):
    def __call__(self, task):
        yield from __import__("itertools").islice(super().__call__(task), 3)
        if task.seed == 1:
            os.kill(os.getpid(), 9)
        yield from super().__call__(task)
"""

TRAINERS = ("Slow", "Quick")


def prepare(folder):
    (folder / "mine.py").write_text(MINE)
    (folder / "pytest.ini").write_text(f"[pytest]\npython_files = bench_*.py\naddopts = -p {PLUGIN}\n")


@pytest.fixture
def folder(tmp_path):
    prepare(tmp_path)
    yield tmp_path
    left = [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(tmp_path)]
    _, left = psutil.wait_procs(left, timeout=20)  # the fork server is on its way out
    for process in left:
        process.kill()
    assert not left, f"left behind: {[process.cmdline() for process in left]}"


def words(folder, *arguments, trainers=TRAINERS, seeds=3):
    """Return what to tell pytest for a run in ``folder``."""
    chosen = [word for name in trainers for word in ("--trainer", f"{folder}/mine.py:{name}")]
    return [
        "-c", folder / "pytest.ini", "-p", "no:cacheprovider", "--benchmark-only",
        ROOT / "bench" / "bench_strategies.py", "--suite", "quick", "--cores", "1",
        "--seeds", str(seeds), "--seconds", "2", "--workload", f"{folder}/mine.py:MINE", *chosen, *arguments,
    ]  # fmt: skip


def start(folder, *arguments, trainers=TRAINERS, seeds=3, **options):
    command = [sys.executable, "-m", "pytest", *words(folder, *arguments, trainers=trainers, seeds=seeds)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}

    def before() -> None:  # what runs in a shell's background is born deaf to Ctrl-C, and so are its children
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=before, **options)


@pytest.fixture
def inside(pytester):
    """Where pytest itself lives on, it need not be a process of its own: a run in this one loads nothing again."""
    prepare(pytester.path)

    def run(*arguments, **chosen):
        result = pytester.runpytest_inprocess(*words(pytester.path, *arguments, **chosen))
        return result.ret, "\n".join(result.outlines + result.errlines)

    return run


def finish(process):
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


def wait_for_hang(folder, process):
    """Return the process of the trial that hangs: a Slow one in the second block."""
    deadline = time.monotonic() + 60
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return psutil.Process(int((folder / "pid").read_text()))


def everything(folder):
    return list(read(folder / "results" / "latest" / "trials.jsonl"))


def kept(folder):
    """Return what is kept of what is compared; an anchor in each block comes on top."""
    return [(r.cell, r.block, r.status) for r in apart(everything(folder))[0]]


def gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


def interrupted(folder, how):
    """Start a run, interrupt it in its second block; return its exit status, its output and what was kept by then."""
    (folder / "hang").touch()
    process = start(folder, start_new_session=True)
    wait_for_hang(folder, process)
    family = psutil.Process(process.pid).children(recursive=True)
    before = kept(folder)
    how(process)
    status, output = finish(process)
    assert gone(family)
    (folder / "hang").unlink()
    return status, output, before


def check_complete(folder):
    """Six trials, each once, all reached: as if nothing had happened."""
    expected = [(f"mine-{name}", block, "reached") for name in TRAINERS for block in range(3)]
    assert sorted(kept(folder)) == sorted(expected)


@pytest.mark.parametrize(
    "how",
    [
        lambda process: os.killpg(process.pid, signal.SIGINT),  # as the terminal does it: to every process
        lambda process: process.send_signal(signal.SIGTERM),
    ],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_an_interrupt_keeps_and_draws_what_was_finished(folder, how):
    status, output, before = interrupted(folder, how)
    assert status == pytest.ExitCode.INTERRUPTED, output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    assert kept(folder) == before  # the one that was under way is absent
    assert len([row for row in before if row[1] == 0]) == 2
    run = (folder / "results" / "latest").resolve()
    assert (run / "summary.csv").exists()
    assert (run / "plots" / "convergence.png").exists()


def test_a_killed_parent_takes_its_trials_with_it_and_resume_does_the_rest(folder):
    status, _, before = interrupted(folder, lambda process: process.kill())
    assert status == -signal.SIGKILL
    assert kept(folder) == before
    run = (folder / "results" / "latest").resolve()
    first = (run / "trials.jsonl").read_bytes()
    left = 9 - len(everything(folder))
    status, output = finish(start(folder, "--resume"))
    assert status == 0, output
    assert (folder / "results" / "latest").resolve() == run
    assert (run / "trials.jsonl").read_bytes().startswith(first)  # nothing was touched
    check_complete(folder)
    assert f"[{left}/{left}, " in output
    report = json.loads((run / "benchmark.json").read_text())
    assert [benchmark["stats"]["rounds"] for benchmark in report["benchmarks"]] == [3, 3]  # the old ones too


def test_a_killed_trial_is_a_row_and_is_not_run_again(inside, pytester):
    trainers = ("Killed", "Quick")
    status, output = inside(trainers=trainers, seeds=2)
    assert status == 0, output
    rows = kept(pytester.path)
    assert len(rows) == 4
    assert ("mine-Killed", 1, "crashed") in rows
    status, output = inside("--resume", trainers=trainers, seeds=2)
    assert status == 0, output
    assert kept(pytester.path) == rows


def test_a_full_disk_is_said_in_one_line_and_finished_trials_stay(folder):
    """From the first record on no file may grow beyond a few: the kernel refuses to write, as a full disk does."""
    size = 40_000
    process = start(folder, trainers=("Long",), seeds=20)
    while not (folder / "results" / "latest" / "trials.jsonl").exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
    status, output = finish(process)
    assert status == pytest.ExitCode.INTERRUPTED, output
    said = [line for line in output.splitlines() if "could not be written" in line]
    assert len(said) == 1, output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    blocks = [block for _, block, _ in kept(folder)]
    lost = int(re.search(r"trial strategies (?:mine-Long|anchor)#(\d+)-", said[0])[1])
    assert 1 <= lost < 20
    # Where others use this machine the lost one may be the repeat of one that is there.
    assert sorted(set(blocks)) in (list(range(lost)), list(range(lost + 1)))


class TestResumeIsRefused:
    @pytest.fixture
    def refused(self, inside, pytester):
        def refused(message, *arguments):
            file = pytester.path / "results" / "latest" / "trials.jsonl"
            before = file.read_bytes() if file.exists() else None
            status, output = inside("--resume", *arguments, trainers=("Quick",), seeds=1)
            assert status == pytest.ExitCode.USAGE_ERROR, output
            (line,) = [line for line in output.splitlines() if line.startswith("ERROR")]
            assert message in line
            assert (file.read_bytes() if file.exists() else None) == before

        return refused

    def test_without_a_run(self, refused):
        refused("there is no run in results to continue")

    def test_where_a_cell_or_the_environment_is_another(self, inside, refused, pytester):
        status, output = inside(trainers=("Quick",), seeds=1)
        assert status == 0, output
        refused("strategies mine-Quick is not what it was: seconds_allowed was 2.0, is 3.0", "--seconds=3")
        mine = pytester.path / "mine.py"
        mine.write_text(MINE.replace("lr=0.5", "lr=0.25"))
        refused("hyperparameters was")
        mine.write_text(MINE)
        file = pytester.path / "results" / "latest" / "environment.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"cpu": "Z80"}))
        refused("was measured in another environment: cpu Z80 and ")


@pytest.mark.parametrize("number", range(6))
def test_a_server_that_dies_as_it_is_asked_is_replaced(number):
    """Its process may still be there when it no longer answers."""
    assert run_trial(Trial(POINTS, Sleeper(0.0), steps=2, threads=1)).curve["step"][-1] == 2
    os.kill(fork_server._server(), signal.SIGKILL)
    assert run_trial(Trial(POINTS, Sleeper(0.0), steps=2, threads=1)).curve["step"][-1] == 2
