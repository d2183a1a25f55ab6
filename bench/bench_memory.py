"""memory: training seconds per step.

Data beyond memory: who can train at all under a limit that the samples do not fit in, and does memory stay flat? The
samples are in files that are mapped; the limit, Linux's ``RLIMIT_DATA``, is on what the trial takes beside them. Full
batch ends there, as a row that says so; mini-batches and online training go on, over up to a million samples.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.plan import LeftOut, Plan
from paceline.bench.harness.trial import Trial, is_distributed
from paceline.bench.probes.memory_limit import can_limit
from paceline.bench.records.record import Record
from paceline.trainers import FullBatch

# Of private memory, in bytes: below the 192 MB of larger-than-memory's inputs, of which a full batch's hidden layer
# alone takes 256 MB.
LIMIT = 128_000_000

# Online training passes over as many samples as others at most: one takes some 0.2 ms.
ONLINE = {"quick": 2_000, "standard": 10_000, "full": 1_000_000}
OTHERS = {"quick": 64_000, "standard": 1_000_000, "full": 1_000_000}


def cells(plan: Plan) -> dict[str, Trial | LeftOut]:
    """Return each strategy under the limit, for a number of samples. The quick suite has no time for it.

    All have one thread: each of torch's takes memory of its own.
    """
    if plan.suite == "quick" and not plan.trainers:
        return {}
    found: dict[str, Trial | LeftOut] = {}
    for workload in plan.workloads_or("larger-than-memory"):
        for name, trainer in plan.trainers_or("FullBatch", "MiniBatch", "Online").items():
            cell = f"{workload.name}-{name}"
            if plan.device != "cpu" or not can_limit():
                found[cell] = LeftOut("a limit of private memory is held to on the CPU, by Linux")
            elif is_distributed(trainer):
                found[cell] = LeftOut(f"{name}: each of several ranks would have a limit of its own")
            else:
                samples = (ONLINE if name == "Online" else OTHERS)[plan.suite]
                size = getattr(trainer, "batch_size", 1)
                trial = plan.trial(workload, plan.tuned(trainer, workload), samples / 1_000, name)
                steps = 2 if isinstance(trainer, FullBatch) else max(1, samples // size)
                found[cell] = replace(
                    trial,
                    threads=1,
                    steps=steps,
                    stop_at_target=False,
                    score_along=False,
                    memory_limit_bytes=LIMIT,
                )
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=3)


def test_memory(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
