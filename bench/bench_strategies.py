"""strategies: training seconds to target.

Which strategy reaches the target soonest, and what does it cost in steps, samples and memory?
Every strategy gets all cores: one rank of as many threads, or as many ranks of one thread.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from paceline.bench.analysis.round_seconds import seconds_to_target
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import STRATEGIES, LeftOut, Plan
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.bench.workloads.workload import Workload
from paceline.trainers import AdamW, FullBatch, Optimizer, Trainer

# Beside the digits: a problem whose answer is known, a convolution, a stream that drifts, samples in files.
FURTHER = ("streaming-least-squares", "mnist5k-cnn", "digits-stream", "larger-than-memory")
ALL = ("mnist5k-wide", "linear", *FURTHER, "fashion-files", "fashion-cnn", "text-bilstm", "text-encoder", "char-gpt")

# On these SGD gets nowhere in minutes, at any rate. On the texts it is slower than AdamW, and reaches the target: there
# the strategies have the rates that were searched for SGD, with equal effort, and none has been for AdamW.
OPTIMIZERS: dict[str, Optimizer] = {"char-gpt": AdamW(lr=1e-3), "char-gpt-m": AdamW(lr=1e-3)}

# Steps of these take seconds on a CPU.
FOR_GPUS = ("char-gpt-m",)


def cells(plan: Plan) -> dict[str, Trial | LeftOut]:
    """Return one cell a strategy and workload, each at the rate that the search found for it."""
    found: dict[str, Trial | LeftOut] = {}
    for workload in plan.workloads_or("mnist5k", *plan.of_suite(quick=(), standard=FURTHER, full=(*ALL, *FOR_GPUS))):
        why = "" if plan.workloads else _why_not(plan, workload)
        if why:
            found[workload.name] = LeftOut(why)
            continue
        # A part of the standard suite's time for each of the further ones: who does not get there in it has missed.
        further = workload.name in FURTHER and not plan.workloads
        seconds = plan.of_suite(quick=5.0, standard=2.0 if further else 8.0, full=60.0)
        for name, trainer in plan.trainers_or(*STRATEGIES).items():
            cell = f"{workload.name}-{name}"
            if isinstance(trainer, FullBatch) and DATA_FILES.count(workload) is None:
                found[cell] = LeftOut("a stream has no whole that a step could take in")
            else:
                found[cell] = plan.trial(workload, _at_its_best(plan, trainer, workload), seconds, name)
    return found


def _why_not(plan: Plan, workload: Workload) -> str:
    """Return why this machine cannot train on a workload that nobody named, "" if it can."""
    if workload.name in FOR_GPUS and plan.device == "cpu":
        return "a step takes seconds on a CPU; name it with --workload to run it all the same"
    try:
        DATA_FILES.prepare(workload)
    except ValueError as error:
        return str(error)
    return ""


def _at_its_best(plan: Plan, trainer: Trainer, workload: Workload) -> Trainer:
    """Return ``trainer`` at the rate that was searched for it; ours with the optimizer that the workload needs."""
    if workload.name in OPTIMIZERS and plan.is_built_in(trainer):
        ours: Any = trainer
        return replace(ours, optimizer=OPTIMIZERS[workload.name])  # type: ignore[no-any-return]
    return plan.tuned(trainer, workload)


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=3, standard=6, full=10)


def fewer(plan: Plan) -> dict[str, int]:
    """Return the number of seeds on the workloads that have not as many: those beside the digits."""
    if plan.seeds or plan.workloads or plan.until_decided:
        return {}
    return dict.fromkeys((*ALL, *FOR_GPUS), plan.of_suite(quick=3, standard=3, full=5))


def test_strategies(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds to target."""
    replay(seconds_to_target)
