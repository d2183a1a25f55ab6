"""Leave the tests alone where only benchmarks were asked for."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Under ``--benchmark-only`` no test would run, yet importing them all takes seconds."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    ours = Path(__file__).parent in collection_path.parents  # pytest asks for the other folders, too
    return True if ours and config.getoption("benchmark_only") and not named else None
