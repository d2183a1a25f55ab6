"""phases: training seconds per step, each slowed by being profiled.

Where does a step's time go: waiting for data, copying them to the device, forward, backward, the update, communication,
or the rest, which is Python's? Told by ``torch.profiler`` in trials of their own, on a small network and a wider one.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.plan import STRATEGIES, Plan
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record

# The first builds the model; the next thirty are looked at.
LOOKED_AT = 32

# On the wider network, below the full suite: one process, and ranks.
WIDE, ON_WIDE = "mnist5k-wide", ("MiniBatch", "Ddp")


def cells(plan: Plan) -> dict[str, Trial]:
    """Return every strategy, and some or all on a wider network; in the quick suite only those that the user names."""
    if plan.suite == "quick" and not plan.trainers:
        return {}
    found = {}
    for workload in plan.workloads_or("mnist5k", WIDE):
        few = plan.suite != "full" and workload.name == WIDE
        for name, trainer in plan.trainers_or(*(ON_WIDE if few else STRATEGIES)).items():
            trial = plan.trial(
                workload, plan.tuned(trainer, workload), seconds=2.0, label=name if plan.trainers else ""
            )
            found[f"{workload.name}-{name}"] = replace(
                trial, steps=LOOKED_AT, stop_at_target=False, score_along=False, phases=True
            )
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds: shares of a step differ little from one to the next."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=5)


def test_phases(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
