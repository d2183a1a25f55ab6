"""reproductions: training seconds per step.

Do published results come out here? MNIST-1D's table with the published recipe, and Adam at batch size 1: what becomes
of the score where the decay of its second moment is scaled with the batch size, and where it is not? In the full suite
only. A third one, the critical batch size of Fashion-MNIST, is the sweep of ``bench_critical_batch.py``:

    pytest --benchmark-only --suite full --workload fashion-mnist-validation bench/bench_critical_batch.py
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.reproductions import LANGUAGE, LARGER, MNIST1D
from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import Plan
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.bench.workloads import find_workload
from paceline.bench.workloads.cyclic_trainer import Cyclic
from paceline.trainers import Adam, MiniBatch, Optimizer, Sgd

STEPS = 6_000  # of MNIST-1D's recipe

# Samples that every trial at batch size 1, or at the larger one, may learn from: five epochs, and 6 in 10 of one.
SAMPLES = {"mnist5k": 20_000, LANGUAGE: 3_072}


def optimizers(workload: str) -> dict[str, tuple[Optimizer, int]]:
    """Return what is compared on a workload: optimizer and batch size by label.

    Each at the best of the learning rates, a factor of three apart, tried: four or five with the seeds 1000 to
    1002 on the digits, three (of Adam with beta2 scaled two) with the seed 1000 on the text.
    """
    batch_size = LARGER[workload]
    beta2, rates = (0.999, (0.003, 3e-4, 3e-4, 0.01)) if workload == "mnist5k" else (0.95, (0.003, 0.003, 0.003, 0.3))
    # The second moment's half-life, counted in samples, stays what it is at the larger batch.
    scaled = beta2 ** (1 / batch_size)
    return {
        f"Adam-B{batch_size}": (Adam(rates[0], betas=(0.9, beta2)), batch_size),
        "Adam-B1": (Adam(rates[1], betas=(0.9, beta2)), 1),
        "Adam-B1-scaled": (Adam(rates[2], betas=(0.9, scaled)), 1),
        "Sgd-B1": (Sgd(rates[3]), 1),
    }


def cells(plan: Plan) -> dict[str, Trial]:
    """Return a trial of each published model, and of each optimizer at each batch size."""
    if plan.suite != "full" or plan.workloads or plan.trainers:
        return {}  # these are recipes: there is nothing to choose
    found = {name: _trial(plan, name, Cyclic(), STEPS) for name in MNIST1D}
    for workload, samples in SAMPLES.items():
        for label, (optimizer, batch_size) in optimizers(workload).items():
            trial = _trial(plan, workload, MiniBatch(optimizer, batch_size), samples // batch_size)
            found[f"{workload}-{label}"] = trial
    return found


def _trial(plan: Plan, workload: str, trainer: Cyclic | MiniBatch, steps: int) -> Trial:
    """Return a trial of ``steps`` steps, of one thread: these networks are too small for two."""
    problem = find_workload(workload)
    DATA_FILES.prepare(problem)  # that a package is missing is said before anything runs
    trial = plan.trial(problem, trainer, seconds=3600.0)
    return replace(trial, steps=steps, threads=1, stop_at_target=False, score_along=False)


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or 5


def test_reproductions(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
