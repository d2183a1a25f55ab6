"""Measure training strategies and compare them.

``bench`` knows ``trainers``; ``trainers`` does not know ``bench``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.frames import Results, load_results
    from bench.record import Record
    from bench.statistics import Comparison, compare
    from bench.trial import Trial, run_trial
    from bench.workload import Workload

_HOME = {
    "Comparison": "bench.statistics",
    "Record": "bench.record",
    "Results": "bench.frames",
    "Trial": "bench.trial",
    "Workload": "bench.workload",
    "compare": "bench.statistics",
    "load_results": "bench.frames",
    "run_trial": "bench.trial",
}

__all__ = ["Comparison", "Record", "Results", "Trial", "Workload", "compare", "load_results", "run_trial"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: results are read on machines that have no torch."""
    if name == "batch_size":  # a module of its own, for its ``fit``
        return import_module("bench.batch_size")
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
