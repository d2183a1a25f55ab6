"""``advise``: one configuration to train a workload with, what it takes, and how sure that is."""

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from paceline.bench.advice_of_run import advice_of
from paceline.bench.advised_run import AdvisedRun
from paceline.bench.advised_timings import Asked
from paceline.bench.analysis.advice import Advice
from paceline.bench.analysis.advising import Advisor
from paceline.bench.analysis.frames import load_results
from paceline.bench.analysis.noise_along_run import series
from paceline.bench.analysis.quadratic_advisor import QuadraticAdvisor
from paceline.bench.harness.advised_trials import AdvisedTrials
from paceline.bench.harness.as_python import as_python
from paceline.bench.harness.budget import Budget
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.environment import capture
from paceline.bench.harness.optimizers_by_name import find_optimizer
from paceline.bench.harness.plan import make_plan
from paceline.bench.harness.run_folder import RunFolder
from paceline.bench.harness.trial import hyperparameters
from paceline.bench.records import quantities
from paceline.bench.workloads import BUILT_IN, OF_ONE_QUESTION, find_workload
from paceline.bench.workloads.workload import Workload
from paceline.trainers import MiniBatch, Optimizer, square_root_rule

# Training seconds of a trial of the default, where nothing else limits it.
SECONDS = 600.0

# The strategies of one batch size and rate throughout, which one and the same search serves.
FIXED = ("MiniBatch", "Amp", "Ddp", "Accumulate", "FullBatch", "Compiled")


def advise(
    workload: Workload | str,
    minutes: float = 5.0,
    *,
    memory_bytes: float | None = None,
    stream: bool = False,
    deadline: float | None = None,
    device_seconds: bool = False,
    optimizer: Optimizer | str | None = None,
    device: str = "auto",
    results: str | Path = "results",
    resume: bool = False,
    advisor: Advisor | None = None,
    tell: Callable[[str], None] = print,
) -> Advice:
    """Find the configuration that takes ``workload`` to its target in the least time, within ``minutes`` of wall time.

    Steps are timed at batch sizes from small to large, in every way to make one; batch size and rate are searched; and
    the best two run against the default on seeds of their own, until they are decided or the time is used up. Every
    trial is kept in a run's folder in ``results`` as it ends, so that nothing is lost by an interrupt.

    Args:
        workload: what to train: a workload, the name of one of ours, or ``"FILE.py:NAME"``.
        minutes: of wall time, from now on.
        memory_bytes: that all processes of a training run may take together; on a GPU, there. None is no limit.
        stream: whether each sample may be looked at once only.
        deadline: seconds of training in which the target must be reached; None is no limit.
        device_seconds: whether to spend the least seconds times devices (cores, GPUs) in place of seconds.
        optimizer: whose rate is searched, from its own; or its name, "Sgd(momentum=0.9)". None is plain SGD.
        device: "cpu", "cuda" or "auto".
        results: where runs are kept, and where a start is looked for.
        resume: whether to go on with the newest run in ``results``.
        advisor: which says what to run next; None is ours.
        tell: takes a line of progress for each trial.

    Returns:
        The advice. Where nothing is known its ``configuration`` is None, and ``reason`` says why.

    Raises:
        ValueError: if something that was asked for cannot be; one line.
    """
    began = time.monotonic()
    for name, value in (("memory", memory_bytes), ("deadline", deadline)):
        if value is not None and not value > 0:
            raise ValueError(f"--{name} must be more than 0, got {value:g}")
    results = Path(results)
    asked = replace(
        _asked(workload, minutes, optimizer, device, results),
        memory_bytes=memory_bytes,
        stream=stream,
        deadline=deadline,
        device_seconds=device_seconds,
    )
    folder, first = _folder(asked, results, resume)
    trials = AdvisedTrials(folder, Budget(asked.seconds, time.monotonic() - began), tell)
    try:
        return carry_out(AdvisedRun(replace(asked, first=first), trials, advisor or QuadraticAdvisor()))
    finally:
        folder.unlock()


def carry_out(run: AdvisedRun) -> Advice:
    """Time, search and verify; return the advice, which is kept as well when it is interrupted."""
    try:
        run.timings.time_steps()
        run.search()
        run.verify()
    except KeyboardInterrupt:
        with contextlib.suppress(ValueError):  # too early to say anything
            advice_of(run)
        raise
    return advice_of(run)


def _asked(
    workload: Workload | str, minutes: float, optimizer: Optimizer | str | None, device: str, results: Path
) -> Asked:
    """Return what is asked for, limits apart, and where to start from."""
    reference = workload if isinstance(workload, str) else _reference(workload)
    found = find_workload(workload) if isinstance(workload, str) else workload
    given = find_optimizer(optimizer) if isinstance(optimizer, str) else optimizer
    plan = make_plan(minutes=minutes, device=device, results=results)
    default = plan.trial(found, plan.tuned(MiniBatch() if given is None else MiniBatch(given), found), SECONDS)
    fitted: Any = default.trainer
    return Asked(
        workload=found,
        reference=reference,
        default=default,
        optimizer=fitted.optimizer,
        optimizer_as_given=optimizer if isinstance(optimizer, str) else "" if given is None else as_python(given),
        samples=DATA_FILES.count(found),
        seconds=60 * minutes,
        first=start(found, fitted, results),
        device_as_given=device,
        device=plan.device,
        gpus=plan.gpus,
        cores=plan.cores_of_a_trial(),
    )


def _reference(workload: Workload) -> str:
    """Return how a workload is named on the command line; one of the user's own as a file that is yet to be named."""
    return workload.name if workload.name in BUILT_IN | OF_ONE_QUESTION else "FILE.py:NAME"


def _folder(asked: Asked, results: Path, resume: bool) -> tuple[RunFolder, tuple[int, float]]:
    """Return the run's folder, locked, and batch size and rate to start from: of a run that goes on, its own.

    Raises:
        ValueError: if there is none to go on with, or it is of something else; one line.
    """
    environment = capture((asked.workload,))
    if not resume:
        of = {"workload": asked.workload.name, "first": list(asked.first)}
        folder = RunFolder.new(results, environment | {"advise": of})
        folder.lock()
        return folder, asked.first
    folder = RunFolder.newest(results, environment)
    before = folder.environment().get("advise")
    if before is None or before["workload"] != asked.workload.name:
        raise ValueError(f"--resume: {folder.path} is no run of advise on {asked.workload.name}; run without --resume")
    folder.lock()
    folder.went_on(environment)
    size, lr = before["first"]
    return folder, (size, lr)


# Where to start from


def start(workload: Workload, trainer: MiniBatch, results: Path) -> tuple[int, float]:
    """Return batch size and rate to start from: the best of the newest run in ``results``, else ``trainer``'s own.

    Where that run observed the gradient's noise, the batch size is the noise scale, and the rate goes by its root.
    """
    own = trainer.batch_size, trainer.optimizer.lr
    try:
        run = load_results(results)
    except (FileNotFoundError, ValueError):  # an older one, or a newer one's
        return own
    records = [record for record in run.records if record.workload == workload.name]
    settings = _but_for_rate(hyperparameters(trainer)["optimizer"])
    reached: dict[tuple[int, float], list[float]] = {}
    for record in records:
        alike = _but_for_rate(record.hyperparameters.get("optimizer") or {}) == settings
        if record.status == "reached" and alike and record.trainer in FIXED:
            place = int(quantities.batch_size(record)), quantities.learning_rate(record)
            reached.setdefault(place, []).append(quantities.crossing(record).seconds)
    if reached:
        return min(reached, key=lambda place: statistics.median(reached[place]))
    scales = [scale for record in records for found in series(record).values() if (scale := found.average()) > 0]
    if not scales:
        return own
    size = max(1, round(statistics.median(scales)))
    return size, square_root_rule(own[1], own[0], size)


def _but_for_rate(optimizer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in optimizer.items() if name != "lr"}
