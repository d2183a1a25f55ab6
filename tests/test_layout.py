"""The shape of the source: who imports whom, and how far each trainer is from the one it differs from."""

import ast
import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VOCABULARY = {
    "task",
    "optimizers",
    "schedules",
    "rate_rules",
    "noise",
}  # what strategies share; every other file is one strategy
STRATEGIES = sorted(p for p in (ROOT / "trainers").glob("*.py") if p.stem not in VOCABULARY | {"__init__"})
ANALYSIS = [
    "record",
    "statistics",
    "frames",
    "conservation",
    "durations",
    "plots",
    "tables",
    "claims",
    "decision",
    "null",
    "sequential",
    "pairs",
    "words",
    "exchange",
    "crossing",
    "least_squares",
    "sensitivity",
    "optimizer_claims",
    "noise_scale",
    "noise_report",
    "batch_size",
    "critical_batch",
    "reproductions",
    "regularization",
]


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


@pytest.mark.parametrize("path", sorted((ROOT / "trainers").glob("*.py")), ids=lambda path: path.stem)
def test_trainers_never_import_bench(path):
    assert not {m for m in modules_imported(path) if m.split(".")[0] == "bench"}


@pytest.mark.parametrize("path", STRATEGIES, ids=lambda path: path.stem)
def test_a_strategy_imports_torch_and_the_vocabulary_alone(path):
    allowed = {"torch", "dataclasses", "typing"}
    ours = {f"trainers.{name}" for name in VOCABULARY}
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
    import trainers
    from bench import plan

    assert set(SOURCES) <= set(trainers.__all__)
    assert set(SOURCES) == set(plan.TRAINERS)
    assert all(plan.find_trainer(name)[1] == trainer for name, trainer in plan.TRAINERS.items())


def test_six_strategies_are_compared_unless_others_are_asked_for():
    from bench import bench_strategies, plan

    six = ["FullBatch", "MiniBatch", "Online", "Accumulate", "Amp", "Ddp"]
    assert [name.removeprefix("mnist5k-") for name in bench_strategies.cells(plan.Plan())] == six
    asked = plan.Plan(trainers=(plan.find_trainer("NoiseBatch"),))
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
from bench import compare, load_results
import importlib
for name in {ANALYSIS!r}:
    importlib.import_module(f"bench.{{name}}")
results = load_results({str(ROOT / "results" / "reference")!r})
print(len(results.trials))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


@pytest.mark.parametrize("name", ANALYSIS)
def test_analysis_has_no_clock(name):
    (path,) = [p for p in (ROOT / "bench" / f"{name}.py", ROOT / "bench" / name) if p.exists()]
    imported = set().union(*map(modules_imported, path.glob("*.py") if path.is_dir() else [path]))
    assert not imported & {
        "time",
        "timeit",
        "bench.clock",
        "bench.measure",
    }
