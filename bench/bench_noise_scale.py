"""noise scale: training seconds per step.

How noisy is the gradient along a run to the target, and so which batch size is worth its samples? Observed three ways
on the run itself: random batches of several sizes, single samples, and for free the parts of its own steps, which are
micro-batches here and ranks there. A run under Adam is beside them as a warning. What is observed slows the steps:
their seconds are no timing of a strategy.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.plan import Plan
from paceline.bench.harness.rate_search import with_rate
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.trainers import Adam, MiniBatch


def cells(plan: Plan) -> dict[str, Trial]:
    """Return accumulation, whose every step has parts; beyond the quick suite Adam; in full, ranks and mini-batch.

    Mini-batch training, and ranks, make the steps that accumulation makes: at the same batch, and all at the rate found
    for mini-batch training, since it is its critical batch size that the noise scale is held against.
    """
    seconds = plan.of_suite(quick=2.0, standard=10.0, full=60.0)
    usual = ["Accumulate"] + (["MiniBatch"] if plan.suite == "full" else [])
    usual += ["Ddp"] if plan.suite == "full" and plan.most_ranks() > 1 else []
    found = {}
    for workload in plan.workloads_or("mnist5k"):
        rate = None if plan.trainers else plan.rate(MiniBatch(), workload)
        trainers = {
            name: plan.tuned(trainer, workload) if rate is None else with_rate(trainer, rate)
            for name, trainer in plan.trainers_or(*usual).items()
        }
        if plan.suite != "quick" and not plan.trainers:
            trainers["Adam"] = MiniBatch(Adam(lr=0.001))  # the rate that Kingma & Ba recommend
        for name, trainer in trainers.items():
            trial = plan.trial(workload, trainer, seconds, label=name if plan.trainers else "")
            # Of one thread a rank: what is observed does not depend on them, and others on the cores disturb it less.
            found[f"{workload.name}-{name}"] = replace(trial, noise=True, threads=1)
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=6)


def test_noise_scale(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step, of which those that were looked at are slower."""
    replay(seconds_per_step)
