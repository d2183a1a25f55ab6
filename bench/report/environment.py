"""The machine and the software that a run was measured with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from paceline.bench.analysis.frames import Results, environments_of
from paceline.bench.report.wording import MISSING, listed, number


def table(results: Results) -> pd.DataFrame:
    """Return the machine and the software, a row each; of several environments, a column each."""
    labels = sorted(set(results.trials["environment"])) or [""]
    columns = {}
    for label in labels:
        own = results.trials[results.trials["environment"] == label]
        facts = _facts(environments_of(label, results.environment) or [{}], own)
        column = "value" if len(labels) == 1 else f"environment {label}"
        columns[column] = {what: str(fact or MISSING) for what, fact in facts.items()}
    return pd.DataFrame(columns).rename_axis("what").reset_index()


def runs_of(environment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the environments of all runs that were merged into one, merges of merges too; of a run alone, its own."""
    if "merged" not in environment:
        return [environment]
    return [run for source in environment["merged"] for run in runs_of(source["environment"])]


def commits(runs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the commits of Paceline that measured ``runs``, each once: "0123456789ab with changes"."""
    return list(dict.fromkeys(filter(None, (_commit(run.get("git")) for run in runs))))


def loads(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the load average before a run; of several runs, from the least to the largest of the last minute."""
    known = [run["load_average"] for run in runs if run.get("load_average")]
    if len(runs) == 1:
        return ", ".join(number(x) for x in known[0]) if known else ""
    minute = [float(each[0]) for each in known]
    return f"{number(min(minute))} to {number(max(minute))}" if minute else ""


def _facts(runs: Sequence[Mapping[str, Any]], trials: pd.DataFrame) -> dict[str, Any]:
    """Return what is true of all ``runs``, which were merged since they are alike, and of each what is not."""
    facts, used = runs[0], commits(runs)
    one = {} if len(runs) == 1 else {"runs": f"{len(runs)}, merged"}
    load = "load average before the run" if len(runs) == 1 else "load average before the runs"
    return one | {
        "processor": _join(facts.get("cpu"), facts.get("cpu_capability")),
        "cores": facts.get("cores"),
        "memory": f"{number(facts['memory_bytes'] * 1e-9)} GB" if facts.get("memory_bytes") else None,
        "GPUs": _gpus(facts),
        load: loads(runs),
        "waiting for a core while training": _waiting(trials),
        "operating system": facts.get("os"),
        "Python": facts.get("python"),
        "torch": _join(facts.get("torch"), f"CUDA {facts['cuda']}" if facts.get("cuda") else None),
        "matrix library": _matrix_library(facts.get("kernel_libraries") or {}) or facts.get("blas"),
        "Paceline": _join(facts.get("paceline"), f"commit{'s' * (len(used) > 1)} {listed(used)}" if used else None),
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
    return f"{str(git.get('commit'))[:12]}{' with changes' if git.get('dirty') else ''}"


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
