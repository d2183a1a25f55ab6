"""Leave the tests alone where only benchmarks were asked for; keep two that run at once out of each other's way."""

import os
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """A worker of pytest-xdist has one core, and the runs of pytest that its tests start are no workers."""
    if hasattr(config, "workerinput"):
        import torch  # here: a run of benchmarks alone has no use for it yet

        torch.set_num_threads(1)
        os.environ.pop("PYTEST_XDIST_WORKER", None)  # pytest-benchmark times nothing where it is set


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Under ``--benchmark-only`` no test would run, yet importing them all takes seconds."""
    named = config.args_source is pytest.Config.ArgsSource.ARGS
    ours = Path(__file__).parent in collection_path.parents  # pytest asks for the other folders, too
    return True if ours and config.getoption("benchmark_only") and not named else None
