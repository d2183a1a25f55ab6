"""The shape of the source: who imports whom, and how far each trainer is from the one it differs from."""

import ast
import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

VOCABULARY = {
    "task",
    "samples",
    "optimizers",
    "newer_optimizers",
    "schedules",
    "rate_rules",
    "noise",
}  # what strategies share; every other file is one strategy
STRATEGIES = sorted(p for p in (ROOT / "trainers").glob("*.py") if p.stem not in VOCABULARY | {"__init__"})
# Who may know whom: data flow one way. ``bench`` is the top, which knows all: benchmarks, plugin, command line.
MAY_KNOW = {
    "trainers": {"trainers"},
    "workloads": {"workloads", "trainers"},
    "records": {"records"},
    "probes": {"probes", "records", "trainers"},
    "harness": {"harness", "probes", "records", "workloads", "trainers"},
    "analysis": {"analysis", "records"},
    "report": {"report", "analysis", "records"},
}
FILES = sorted([*(ROOT / "bench").rglob("*.py"), *(ROOT / "trainers").glob("*.py")])
WITHOUT_TORCH = [path for path in FILES if {"records", "analysis", "report"} & set(path.relative_to(ROOT).parts)]


def module_of(path: Path) -> str:
    """Return the name by which a file is imported."""
    return "paceline." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def wing_of(module: str) -> str:
    """Return the folder of ``bench`` that a module stands in, "trainers", or "bench" for what stands at the top."""
    parts = module.split(".")
    return "trainers" if parts[1] == "trainers" else parts[2] if len(parts) > 2 and parts[2] in MAY_KNOW else "bench"


def ours_imported(path: Path) -> set[str]:
    """Return the modules of ours that a file imports, at whatever depth, those for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= whole if whole else {node.module}
    return {name for name in found if name.startswith("paceline")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_data_flow_one_way(path):
    own = wing_of(module_of(path))
    if own in MAY_KNOW:
        assert {wing_of(module) for module in ours_imported(path)} <= MAY_KNOW[own]


def test_no_circles():
    """Counting imports within functions and for type checkers: none of them hides that two files are one."""
    known = {name: ours_imported(path) & MODULES.keys() - {name} for name, path in MODULES.items()}

    def reached(start):
        seen, ahead = set(), [start]
        while ahead:
            for module in known[ahead.pop()] - seen:
                seen.add(module)
                ahead.append(module)
        return seen

    assert not [name for name in known if name in reached(name)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_read_in_one_go_or_says_why_not(path):
    reason = "In one file: " in (ast.get_docstring(ast.parse(path.read_text())) or "")
    assert len(path.read_text().splitlines()) <= 350 or reason


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_imported_by_a_bare_name(path):
    assert not {m for m in modules_imported(path) if m.split(".")[0] in ("bench", "trainers")}


def modules_imported(path: Path) -> set[str]:
    """Return every module that a file imports, at whatever depth of the code, by either form of import."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def class_of(path: Path) -> ast.ClassDef:
    (cls,) = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    return cls


SOURCES = {class_of(path).name: path for path in STRATEGIES}


def code(path: Path) -> list[str]:
    """Return the class of ``path`` as lines, without its name, docstrings and comments."""
    cls = class_of(path)
    cls.name = "_"
    for node in ast.walk(cls):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.unparse(cls).splitlines()


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: path.stem)
def test_a_strategy_imports_torch_and_the_vocabulary_alone(path):
    allowed = {"torch", "dataclasses", "typing"}
    ours = {f"paceline.trainers.{name}" for name in VOCABULARY}
    assert {m for m in modules_imported(path) if m.split(".")[0] not in allowed} <= ours


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: path.stem)
def test_a_strategy_neither_times_nor_prints_nor_chooses_a_device(path):
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not (names | attributes) & {
        "print",
        "time",
        "perf_counter",
        "environ",
        "cuda",
        "synchronize",
        "eval",
    }


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - {"MiniBatch"}))
def test_a_strategy_is_its_diff(name):
    stated = re.search(r"^Differs from (\w+): ", ast.get_docstring(class_of(SOURCES[name])), re.MULTILINE)
    assert stated, f"{name} must say 'Differs from <trainer>: ...'"
    changes = [x for x in difflib.ndiff(code(SOURCES[stated[1]]), code(SOURCES[name])) if x[0] in "+-"]
    assert len(changes) <= 14, "\n".join(changes)


def test_every_strategy_is_exported_and_known_to_the_command_line():
    from paceline import trainers
    from paceline.bench.harness import plan

    assert set(SOURCES) <= set(trainers.__all__)
    assert set(SOURCES) == set(plan.TRAINERS)
    assert all(plan.find_trainer(name)[1] == trainer for name, trainer in plan.TRAINERS.items())


def test_six_strategies_are_compared_unless_others_are_asked_for():
    from paceline.bench import bench_strategies
    from paceline.bench.harness import plan

    six = ["FullBatch", "MiniBatch", "Online", "Accumulate", "Amp", "Ddp"]
    assert [name.removeprefix("mnist5k-") for name in bench_strategies.cells(plan.Plan(suite="quick"))] == six
    asked = plan.Plan(suite="quick", trainers=(plan.find_trainer("NoiseBatch"),))
    assert list(bench_strategies.cells(asked)) == ["mnist5k-NoiseBatch"]


def test_results_are_read_without_torch():
    """In a fresh interpreter in which torch is not to be had."""
    program = f"""
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTorch())
from tests.paths import ROOT
from paceline.bench import compare, load_results
import importlib
for name in {[module_of(path) for path in WITHOUT_TORCH]!r}:
    importlib.import_module(name)
results = load_results({str(ROOT / "results" / "reference")!r})
print(len(results.trials))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


@pytest.mark.parametrize("path", WITHOUT_TORCH, ids=lambda path: str(path.relative_to(ROOT)))
def test_analysis_has_no_clock(path):
    assert not modules_imported(path) & {"time", "timeit"}
