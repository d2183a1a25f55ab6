"""Measure training strategies and compare them.

Data flow one way: workloads and trainers -> harness, with its probes -> ``record`` -> analysis -> report. What one runs
or reads first stands here, at the top: the benchmarks, one question a file, the pytest plugin and the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paceline.bench.advisor import advise
    from paceline.bench.analysis.advice import Advice
    from paceline.bench.analysis.frames import Results, load_results
    from paceline.bench.analysis.statistics import Comparison, compare
    from paceline.bench.harness.run import run_trial
    from paceline.bench.harness.trial import Trial
    from paceline.bench.records.record import Record
    from paceline.bench.workloads.workload import Workload, mean_over_samples

_HOME = {
    "Advice": "paceline.bench.analysis.advice",
    "Comparison": "paceline.bench.analysis.statistics",
    "Record": "paceline.bench.records.record",
    "Results": "paceline.bench.analysis.frames",
    "Trial": "paceline.bench.harness.trial",
    "Workload": "paceline.bench.workloads.workload",
    "advise": "paceline.bench.advisor",
    "compare": "paceline.bench.analysis.statistics",
    "mean_over_samples": "paceline.bench.workloads.workload",
    "load_results": "paceline.bench.analysis.frames",
    "run_trial": "paceline.bench.harness.run",
}

__all__ = [
    "Advice",
    "Comparison",
    "Record",
    "Results",
    "Trial",
    "Workload",
    "advise",
    "compare",
    "load_results",
    "mean_over_samples",
    "run_trial",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: results are read on machines that have no torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'paceline.bench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
