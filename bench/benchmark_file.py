"""How pytest finds the benchmarks: under their full names, whatever else is called "bench"."""

import importlib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Keep pytest from importing this folder as a package called "bench", which may well be a user's own."""
    return pytest.Dir.from_parent(parent, path=path) if path == HERE else None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Have the benchmarks come in under their full names."""
    ours = module_path.parent == HERE and module_path.name.startswith("bench_")
    return BenchmarkFile.from_parent(parent, path=module_path) if ours else None


class BenchmarkFile(pytest.Module):
    """A benchmark of ours."""

    def _getobj(self) -> Any:
        return importlib.import_module(f"paceline.bench.{self.path.stem}")
