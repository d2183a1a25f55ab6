"""What CONTRIBUTING.md says of adding a trainer and a workload is followed to the letter, on a copy of the tree."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text()

# An instruction within a step. The code it names may be broken over lines, as any text may.
INSTRUCTION = re.compile(
    r"Copy `(?P<source>[^`]+)` to `(?P<copy>[^`]+)`"
    r"|module of the \[README\]\(README\.md\) to `(?P<module>[^`]+)`"
    r"|In `(?P<file>[^`]+)`"
    r"|`(?P<old>[^`]+)` becomes `(?P<new>[^`]+)`"
    r"|after `(?P<above>[^`]+)` comes `(?P<below>[^`]+)`"
)


def section(title: str) -> str:
    """Return the text under a heading, each run of white space as one blank."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def follow(title: str, tree: Path) -> int:
    """Do in ``tree`` what the section tells to do; return how many instructions there were."""
    at, count = None, 0
    for count, said in enumerate(INSTRUCTION.finditer(re.sub(r"\s+", " ", section(title))), 1):  # noqa: B007
        if said["source"]:
            at = tree / said["copy"]
            shutil.copyfile(tree / said["source"], at)
        elif said["module"]:
            at = tree / said["module"]
            (block,) = re.findall(r"```python\n(.*?)```", (tree / "README.md").read_text(), re.DOTALL)
            at.write_text(block)
        elif said["file"]:
            at = tree / said["file"]
        elif said["old"]:
            text = at.read_text()
            assert text.count(said["old"]) == 1, f"{said['old']} stands {text.count(said['old'])} times in {at}"
            at.write_text(text.replace(said["old"], said["new"]))
        else:
            at.write_text(with_line_after(at.read_text(), said["above"], said["below"]))
    return count


def with_line_after(text: str, above: str, below: str) -> str:
    """Return ``text`` with ``below`` as a line of its own after the one line that ends with ``above``."""
    lines = text.splitlines()
    (place,) = [i for i, line in enumerate(lines) if re.search(rf"(?:^|\s){re.escape(above)}$", line)]
    indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    lines.insert(place + 1, indent + below)
    return "\n".join(lines) + "\n"


@pytest.fixture
def tree(tmp_path):
    """Return a copy of the tree, in which `paceline` is the copy's own."""
    copy = tmp_path / "copy"
    leave = shutil.ignore_patterns("__pycache__", ".*", "results", "*.egg-info", "build")
    shutil.copytree(ROOT, copy, ignore=leave, symlinks=True)
    (tmp_path / "path" / "paceline").mkdir(parents=True)
    for folder in ("bench", "trainers"):
        (tmp_path / "path" / "paceline" / folder).symlink_to(copy / folder)
    return copy


def run(tree: Path, *command: str) -> str:
    """Run Python in the copy and return what it printed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree.parent / "path")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


TRAINS = """
import paceline.trainers
from paceline.bench import Trial, run_trial
from paceline.bench.harness.plan import find_trainer
from paceline.bench.workloads import find_workload
from tests.problems import GAUSSIANS

if __name__ == "__main__":
    print(paceline.trainers.__file__)
    workload = {workload}
    name, trainer = find_trainer("{trainer}")
    print(workload.name, name, run_trial(Trial(workload, trainer, threads=1)).status)
"""


def train(tree: Path, trainer: str, workload: str) -> list[str]:
    """Train in the copy; return the names of the workload and the trainer, and how it ended."""
    (tree / "train.py").write_text(TRAINS.format(trainer=trainer, workload=workload))
    where, ended = run(tree, "train.py").splitlines()
    assert Path(where).resolve().is_relative_to(tree)
    return ended.split()


def put_in_order(tree: Path) -> None:
    """Do what the last step says, and see that nothing is left to mend."""
    assert "`ruff format . && ruff check --fix .`" in GUIDE
    for command in (["format"], ["check", "--fix"], ["format", "--check"]):
        run(tree, "-m", "ruff", *command, "--quiet", ".")


def test_a_trainer_is_added_as_written(tree):
    assert follow("How to add a trainer", tree) == 14
    put_in_order(tree)
    passed = run(
        tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "clipped or Clipped or exported",
        "tests/test_layout.py", "tests/trainers/test_trainers.py",
    )  # fmt: skip
    assert int(re.search(r"(\d+) passed", passed)[1]) >= 10
    assert train(tree, "Clipped", "GAUSSIANS") == ["gaussians", "Clipped", "reached"]


def test_a_workload_is_added_as_written(tree):
    assert follow("How to add a workload", tree) == 5
    put_in_order(tree)
    passed = run(
        tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "scans or found_by_its_name",
        "tests/test_layout.py", "tests/workloads/test_workloads.py",
    )  # fmt: skip
    assert int(re.search(r"(\d+) passed", passed)[1]) >= 3
    assert train(tree, "MiniBatch", 'find_workload("scans")') == ["scans", "MiniBatch", "reached"]


ADDITIONS = ["trainer", "optimizer", "workload", "benchmark", "benchmark to the report", "metric", "plot", "claim"]


@pytest.mark.parametrize("what", ADDITIONS)
def test_each_addition_takes_fewer_than_ten_lines(what):
    assert 0 < len(section(f"How to add an? {what}").strip().splitlines()) < 10


def test_the_files_it_names_are_there():
    """But for those that whoever follows it writes: they are called x, or after what is added."""
    named = set(re.findall(r"`((?:bench|trainers|tests)/[\w/.]*)`", GUIDE))
    written = {name for name in named if re.search(r"(?:^|[/_])(?:x|clipped|scans)\.py$", name)}
    assert {"trainers/clipped.py", "bench/workloads/scans.py", "bench/bench_x.py"} <= written
    assert not [name for name in named - written if not (ROOT / name).exists()]
