"""scaling: training seconds per step.

What do more workers buy? DDP over ranks, one thread a rank: strong scaling holds the global batch fixed, weak
scaling the batch of each rank. The full suite runs more ranks than cores too, marked as oversubscribed.
"""

from collections.abc import Callable

from bench.durations import seconds_per_step
from bench.plan import Plan, scaled_down
from bench.record import Record
from bench.trial import Trial
from trainers import Ddp

PER_RANK = 256  # samples per step and rank at the start of both kinds of scaling


def cells(plan: Plan) -> dict[str, Trial]:
    """Return DDP over ranks 1, 2, 4, ... up to the cores, then one size beyond in the full suite."""
    if not plan.allows("Ddp"):
        return {}
    seconds = plan.of_suite(quick=0.3, standard=0.7, full=5.0)
    room = plan.most_ranks()
    ranks = [2**k for k in range(16) if 2**k <= room]
    if plan.device == "cpu" and plan.suite == "full":
        ranks.append(2 * ranks[-1])  # oversubscribed; GPUs cannot be
    found = {}
    for workload in plan.workloads_or("mnist5k-wide"):
        for world_size in ranks:
            kinds = {"strong": PER_RANK, "weak": PER_RANK * world_size}
            if world_size == 1:
                kinds = {"one": PER_RANK}  # where both begin
            for kind, batch_size in kinds.items():
                trainer = scaled_down(plan.tuned(Ddp(), workload), batch_size)
                found[f"{workload.name}-Ddp-{kind}-x{world_size}"] = Trial(
                    workload,
                    trainer,
                    world_size=world_size,
                    threads=1,
                    device=plan.device,
                    seconds=plan.seconds or seconds,
                    stop_at_target=False,
                    score_along=False,
                )
    return found


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=8)


def test_scaling(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
