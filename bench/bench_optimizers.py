"""optimizers: training seconds per step, at the best learning rate.

Which optimizer, and which schedule, trains best when each is tuned equally well? Mini-batches of 64 and a fixed number
of samples for all: training goes on beyond the target, so that there is a final score too. The searches are the
result, rate by rate: see ``analysis.rate_sensitivity``.

In the full suite each optimizer is searched twice, with as many trials for all: for its rate alone, which shows what
hangs on the rate; and for its rate, weight decay, warm-up and the memory of its second moment together ("cotuned"),
which is how it would be tuned. A search is of as many trials however much of an optimizer there is to search.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.cotuned import ranges
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import LeftOut, Plan
from paceline.bench.harness.rate_search import Search, log_grid
from paceline.bench.records.record import Record
from paceline.bench.workloads.mnist5k import of_width
from paceline.trainers import (
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Constant,
    Cosine,
    ExponentialDecay,
    Lion,
    MiniBatch,
    Muon,
    Optimizer,
    RmsProp,
    ScheduleFreeAdamW,
    Sgd,
    StepDecay,
    TimeDecay,
    Warmup,
)
from paceline.trainers.newer_optimizers import hidden_matrices

BATCH_SIZE = 64
SPACING = 10**0.5  # between the rates of a grid


def optimizers(steps: int) -> dict[str, Optimizer]:
    """Return what is compared, each at its usual rate: the middle of its grid.

    The schedules are those of plain SGD, and make full use of ``steps`` steps: the step decay falls to a tenth after
    each third, the exponential one to a hundredth in all, the one over time to a tenth.
    """
    rise = max(1, steps // 10)
    return {
        "Sgd": Sgd(lr=0.1),
        "Momentum": Sgd(lr=0.01, momentum=0.9),
        "Nesterov": Sgd(lr=0.01, momentum=0.9, nesterov=True),
        "Adagrad": Adagrad(lr=0.01),
        "Adadelta": Adadelta(lr=1.0),
        "RmsProp": RmsProp(lr=0.001),
        "Adam": Adam(lr=0.001),
        "AdamW": AdamW(lr=0.001),
        "Lion": Lion(lr=0.0003),
        "Muon": Muon(lr=0.001),
        "ScheduleFreeAdamW": ScheduleFreeAdamW(lr=0.003),
        "SgdCosine": Sgd(lr=0.1, schedule=Cosine(steps)),
        "SgdStep": Sgd(lr=0.1, schedule=StepDecay(every=max(1, steps // 3), factor=0.1)),
        "SgdExponential": Sgd(lr=0.1, schedule=ExponentialDecay(factor=0.01 ** (1 / steps))),
        "SgdTimeDecay": Sgd(lr=0.1, schedule=TimeDecay(k=9 / steps)),
        "SgdWarmupCosine": Sgd(lr=0.1, schedule=Warmup(rise, then=Cosine(max(1, steps - rise)))),
    }


# What needs a hidden matrix is compared on a network that has one, beside what it is to be held against.
DEEPER, BESIDE_MUON = of_width(128), ("Sgd", "Adam", "AdamW", "Muon")


def cells(plan: Plan) -> dict[str, Search | LeftOut]:
    """Return a search of each optimizer and workload, of as many rates for all; none in the quick suite."""
    if plan.suite == "quick" or not plan.allows("MiniBatch"):
        return {}
    full = plan.suite == "full"
    chosen = tuple(optimizers(1)) if full else ("Sgd", "Momentum", "Adam", "SgdCosine")
    epochs, rates, refinements, seeds = (16, 7, 2, 3) if full else (8, 3, 1, 1)
    found: dict[str, Search | LeftOut] = {}
    deeper = (DEEPER,) if full and not plan.workloads else ()
    for workload in (*plan.workloads_or("mnist5k"), *deeper):
        _, train_samples = DATA_FILES.prepare(workload)
        batch_size = min(BATCH_SIZE, train_samples)
        steps = epochs * train_samples // batch_size
        for label, optimizer in optimizers(steps).items():
            name = f"{workload.name}-{label}"
            if label not in (BESIDE_MUON if workload is DEEPER else chosen):
                continue
            if label == "Muon" and not hidden_matrices(workload.model().parameters()):
                found[name] = LeftOut("Muon is for matrices between the first and the last, and there is none")
                continue
            # The steps are the budget: far more seconds than they take.
            trial = plan.trial(workload, MiniBatch(optimizer, batch_size), seconds=600.0)
            alone = Search(
                replace(trial, steps=steps, stop_at_target=False),
                log_grid(optimizer.lr, SPACING, rates),
                refinements,
                seeds,
            )
            found[name] = alone
            if full and getattr(optimizer, "schedule", None) == Constant():
                found[f"{name}-cotuned"] = replace(alone, along=tuple(ranges(optimizer, steps).items()))
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds at the best rate: no difference between optimizers has an interval below three."""
    return plan.seeds or plan.of_suite(quick=3, standard=3, full=6)


def test_optimizers(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the training seconds per step at the search's best rate."""
    replay(seconds_per_step)
