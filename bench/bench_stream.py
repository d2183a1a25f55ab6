"""stream: training seconds per step, the wait for samples included.

Who follows a stream that drifts? Each sample is predicted, and then learned from: one by one, in mini-batches, or by
retraining on the last of them. They come when the trainer asks for them, which shows how well each follows; at a rate
it may keep up with, by the clock, which shows how late each is; and at one it may not, which shows who falls behind.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.arrivals import Arrivals
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import LeftOut, Plan
from paceline.bench.harness.trial import Trial, is_distributed
from paceline.bench.records.record import Record
from paceline.bench.workloads.digits_stream import drifting_digits
from paceline.bench.workloads.workload import Workload

# Samples per second: a step on one sample takes some 0.3 ms, and one on 64 hardly more.
PACED, FLOODED = 1_000.0, 10_000.0

# A trial is given so many times the seconds that its samples take to arrive, or that 1,000 a second would take.
GIVEN = 3.0


def cells(plan: Plan) -> dict[str, Trial | LeftOut]:
    """Return each strategy on the same samples, which come in three ways. The quick suite has no time for it."""
    if plan.suite == "quick" and not plan.trainers:
        return {}
    found: dict[str, Trial | LeftOut] = {}
    for workload in plan.workloads_or("digits-stream"):
        endless = workload if plan.workloads else replace(workload, data=_never_resting)
        for name, trainer in plan.trainers_or("Online", "MiniBatch", "Retrain").items():
            why = _why_not(name, endless, is_distributed(trainer))
            for kind, arrivals in kinds(plan).items():
                cell = f"{workload.name}-{name}-{kind}"
                if why:
                    found[cell] = LeftOut(why)
                    continue
                seconds = GIVEN * arrivals.samples / min(arrivals.per_second or PACED, PACED)
                trial = plan.trial(endless, plan.tuned(trainer, workload), seconds, name)
                found[cell] = replace(trial, stop_at_target=False, score_along=False, arrivals=arrivals)
    return found


def kinds(plan: Plan) -> dict[str, Arrivals]:
    """Return how samples arrive: when asked for, at a rate to keep up with, and at ten times that."""
    asked, paced, flooded = plan.of_suite((1_000, 300, 1_000), (6_000, 1_000, 3_000), (20_000, 6_000, 20_000))
    return {
        "asked": Arrivals(asked),
        "paced": Arrivals(paced, PACED),
        "flooded": Arrivals(flooded, FLOODED),
    }


def _never_resting() -> tuple[object, ...]:
    """Return the stream of digits that never stops to drift, and what is held out of the one that does."""
    from paceline.bench.workloads.digits_stream import stream_and_held_out

    _, *held_out = stream_and_held_out()
    return drifting_digits, *held_out


def _why_not(name: str, workload: Workload, distributed: bool) -> str:
    if DATA_FILES.count(workload) is not None:
        return f"{workload.name} is no stream: its samples are there from the beginning"
    if distributed:
        return f"{name}: the samples of a stream by the clock arrive at one rank"
    return "FullBatch: a stream has no whole that a step could take in" if name == "FullBatch" else ""


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=6)


def test_stream(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
