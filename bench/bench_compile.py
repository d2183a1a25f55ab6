"""compile: training seconds per step, those in which the model was compiled included.

Does ``torch.compile`` pay, and after how many steps? A compiled model and the same as it was written make the same
steps, over batches that are all of one size, over passes whose last batch is smaller, and over batches that grow: at a
size it has not met the compiler begins anew. Every trial compiles for itself, without what others have left in a cache.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import LeftOut, Plan
from paceline.bench.harness.trial import Trial
from paceline.bench.probes.compiler import missing
from paceline.bench.records.record import Record
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Compiled, GrowingBatch, MiniBatch, Sgd, Trainer

OPTIMIZER = Sgd(lr=0.05)

# Samples a step at most; fewer where the training set has no such part.
LARGEST = 64

# In so many steps a batch doubles twice or three times: at the second size the compiler begins anew, for any size.
GROWING_STEPS = 600


@dataclass(frozen=True)
class CompiledModel:
    """A model factory whose models are compiled: for a strategy that does not compile its own."""

    model: Callable[[], nn.Module]

    def __call__(self) -> nn.Module:
        """Build the model, to be compiled at its first use."""
        return torch.compile(self.model())  # type: ignore[return-value]  # a module, of which torch says less


def cells(plan: Plan) -> dict[str, Trial | LeftOut]:
    """Return each model compiled and not, over batches of one size, ragged and growing ones.

    A trial that compiles takes a quarter of a minute before its first step: below the full suite there are none, unless
    the user asks for ``Compiled``.
    """
    if not (plan.allows("MiniBatch") and plan.allows("Compiled")) or (plan.suite != "full" and not plan.trainers):
        return {}
    found: dict[str, Trial | LeftOut] = {}
    why = missing(plan.device)
    for workload in plan.workloads_or("mnist5k", *plan.of_suite((), (), ("mnist5k-wide",))):
        _, train_samples = DATA_FILES.prepare(workload)
        for kind, (trainer, compiled, steps) in kinds(train_samples, plan.of_suite(500, 1_000, 2_000)).items():
            found[f"{workload.name}-plain-{kind}"] = _trial(plan, workload, trainer, steps)
            name = f"{workload.name}-compiled-{kind}"
            if why:
                found[name] = LeftOut(why)
            elif compiled is None:
                itself = replace(workload, model=CompiledModel(workload.model))
                found[name] = _trial(plan, itself, trainer, steps, f"Compiled{type(trainer).__name__}")
            else:
                found[name] = _trial(plan, workload, compiled, steps)
    return found


def kinds(train_samples: int, steps: int) -> dict[str, tuple[Trainer, Trainer | None, int]]:
    """Return by the kind of batches: who makes them, who compiles (None: the model comes compiled), and how many steps.

    Of fewer samples than make a kind there is none: a prime number of them has no whole batches.
    """
    sizes = range(2, min(LARGEST, train_samples // 2) + 1)
    even = max((size for size in sizes if train_samples % size == 0), default=0)
    ragged = max((size for size in sizes if train_samples % size > 1), default=0)  # of one sample is a case of its own
    found: dict[str, tuple[Trainer, Trainer | None, int]] = {}
    for kind, size in (("even", even), ("ragged", ragged)):
        if size:
            found[kind] = MiniBatch(OPTIMIZER, size), Compiled(OPTIMIZER, size), steps
    if even:
        every = -(-GROWING_STEPS * even // (2 * train_samples))
        found["growing"] = GrowingBatch(OPTIMIZER, even, every=every), None, GROWING_STEPS
    return found


def _trial(plan: Plan, workload: Workload, trainer: Trainer, steps: int, label: str = "") -> Trial:
    trial = plan.trial(workload, trainer, seconds=60.0, label=label)
    return replace(trial, steps=steps, stop_at_target=False, score_along=False)


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=3, standard=3, full=6)


def test_compile(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
