"""The machine and the software that a run was measured with."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from paceline.bench.analysis.frames import Results, environments_of
from paceline.bench.report.wording import MISSING, number


def table(results: Results) -> pd.DataFrame:
    """Return the machine and the software, a row each; of several environments, a column each."""
    labels = sorted(set(results.trials["environment"])) or [""]
    columns = {}
    for label in labels:
        own = results.trials[results.trials["environment"] == label]
        facts = _facts(next(iter(environments_of(label, results.environment)), {}), own)
        column = "value" if len(labels) == 1 else f"environment {label}"
        columns[column] = {what: str(fact or MISSING) for what, fact in facts.items()}
    return pd.DataFrame(columns).rename_axis("what").reset_index()


def _facts(facts: Mapping[str, Any], trials: pd.DataFrame) -> dict[str, Any]:
    return {
        "processor": _join(facts.get("cpu"), facts.get("cpu_capability")),
        "cores": facts.get("cores"),
        "memory": f"{number(facts['memory_bytes'] * 1e-9)} GB" if facts.get("memory_bytes") else None,
        "GPUs": _gpus(facts),
        "load average before the run": ", ".join(number(x) for x in facts.get("load_average") or []),
        "waiting for a core while training": _waiting(trials),
        "operating system": facts.get("os"),
        "Python": facts.get("python"),
        "torch": _join(facts.get("torch"), f"CUDA {facts['cuda']}" if facts.get("cuda") else None),
        "matrix library": _matrix_library(facts.get("kernel_libraries") or {}) or facts.get("blas"),
        "Paceline": _join(facts.get("paceline"), _commit(facts.get("git"))),
    }


def _matrix_library(libraries: Mapping[str, Any]) -> str:
    """Return which library multiplied matrices of each dtype, else those that torch was built with."""
    ran = "; ".join(f"{dtype} by {library}" for dtype, library in (libraries.get("ran") or {}).items())
    return ran or "; ".join(each for each in libraries.get("versions") or [] if re.search("MKL|Math Kernel|BLAS", each))


def _join(*words: object) -> str:
    return ", ".join(str(word) for word in words if word)


def _commit(git: object) -> str | None:
    if not isinstance(git, dict):
        return None
    return f"commit {str(git.get('commit'))[:12]}{' with changes' if git.get('dirty') else ''}"


def _gpus(facts: Mapping[str, Any]) -> str:
    names = [gpu.get("name", "?") if isinstance(gpu, dict) else str(gpu) for gpu in facts.get("gpus") or []]
    return ", ".join(names) or f"none ({facts.get('no_gpu_because') or 'no reason recorded'})"


def _waiting(trials: pd.DataFrame) -> str:
    """Return the share of training time that a thread spent ready to run but without a core."""
    threads = trials["world_size"] * trials["threads"]
    share = (trials["runqueue_wait_seconds"] / (trials["train_seconds"] * threads)).dropna()
    if share.empty:
        return MISSING
    return f"{100 * share.median():.1f} % per thread (median over trials; at most {100 * share.max():.0f} %)"
