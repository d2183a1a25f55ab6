"""scaling: training seconds per step.

What do more workers buy? DDP over ranks, one thread a rank: strong scaling holds the global batch fixed, weak
scaling the batch of each rank. The full suite runs more ranks than cores too, marked as oversubscribed.
"""

from collections.abc import Callable

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import LEAST_PER_RANK, LeftOut, Plan, scaled_down
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.trainers import Ddp

PER_RANK = 256  # samples per step and rank at the start of both kinds of scaling; fewer where there are fewer


def cells(plan: Plan) -> dict[str, Trial | LeftOut]:
    """Return DDP over ranks 1, 2, 4, ... up to the cores, then one size beyond in the full suite."""
    if not plan.allows("Ddp"):
        return {}
    seconds = plan.of_suite(quick=0.3, standard=0.7, full=5.0)
    most = plan.of_suite(quick=4, standard=8, full=64)  # each rank loads torch: 0.3 GB, and a second on a slow machine
    ranks = [2**k for k in range(16) if 2**k <= min(plan.most_ranks(), most)]
    if plan.device == "cpu" and plan.suite == "full":
        ranks.append(2 * ranks[-1])  # oversubscribed; GPUs cannot be
    found: dict[str, Trial | LeftOut] = {}
    for workload in plan.workloads_or("mnist5k-wide"):
        _, train_samples = DATA_FILES.prepare(workload)
        # The same for all ranks, or they could not be compared: what the largest batch of weak scaling leaves each.
        per_rank = min(PER_RANK, max(LEAST_PER_RANK, train_samples // ranks[-1]), train_samples)
        for world_size in ranks:
            kinds = {"strong": per_rank, "weak": per_rank * world_size}
            if world_size == 1:
                kinds = {"one": per_rank}  # where both begin
            for kind, batch_size in kinds.items():
                cell = f"{workload.name}-Ddp-{kind}-x{world_size}"
                if batch_size > train_samples:
                    found[cell] = LeftOut(f"{batch_size} samples a step, of which {workload.name} has {train_samples}")
                    continue
                if world_size > 1 and batch_size < 2 * world_size:
                    found[cell] = LeftOut(f"{world_size} ranks would share {batch_size} samples a step")
                    continue
                trainer = scaled_down(plan.tuned(Ddp(), workload), batch_size)
                found[cell] = Trial(
                    workload,
                    trainer,
                    world_size=world_size,
                    threads=1,
                    device=plan.device,
                    seconds=plan.seconds or seconds,
                    patience=plan.patience,
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
