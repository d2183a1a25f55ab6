"""scaling: training seconds per step.

What do more workers buy? DDP over ranks, one thread a rank: strong scaling holds the global batch fixed, weak
scaling the batch of each rank. Beside the ranks stands one process with as many threads, at the same batch: whether
ranks pay is asked at equal cores. The full suite runs more ranks than cores too, marked as oversubscribed.
"""

from collections.abc import Callable

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import LEAST_PER_RANK, LeftOut, Plan, scaled_down
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Ddp, MiniBatch, Trainer

PER_RANK = 256  # samples per step and rank at the start of both kinds of scaling; fewer where there are fewer


def cells(plan: Plan) -> dict[str, Trial | LeftOut]:
    """Return DDP over ranks 1, 2, 4, ... up to the cores, and one process on as many threads, at the same batch.

    The full suite has one number of ranks beyond the cores. Of GPUs one process takes one.
    """
    if not plan.allows("Ddp"):
        return {}
    most = plan.of_suite(quick=4, standard=8, full=64)  # each rank loads torch: 0.3 GB, and a second on a slow machine
    ranks = [2**k for k in range(16) if 2**k <= min(plan.most_ranks(), most)]
    processes = ranks[:1] if plan.device == "cuda" else ranks.copy()
    if plan.device == "cpu" and plan.suite == "full":
        ranks.append(2 * ranks[-1])  # oversubscribed; GPUs cannot be
    found: dict[str, Trial | LeftOut] = {}
    for workload in plan.workloads_or("mnist5k-wide"):
        _, train_samples = DATA_FILES.prepare(workload)
        # The same for all ranks, or they could not be compared: what the largest batch of weak scaling leaves each.
        per_rank = min(PER_RANK, max(LEAST_PER_RANK, train_samples // ranks[-1]), train_samples)
        for threads in processes:
            found[f"{workload.name}-MiniBatch-threads-x{threads}"] = _trial(
                plan, workload, MiniBatch(), per_rank, 1, threads
            )
        for world_size in ranks:
            kinds = {"strong": per_rank, "weak": per_rank * world_size}
            if world_size == 1:
                kinds = {"one": per_rank}  # where both begin
            for kind, batch_size in kinds.items():
                cell = f"{workload.name}-Ddp-{kind}-x{world_size}"
                if batch_size > train_samples:
                    found[cell] = LeftOut(f"{batch_size} samples a step, of which {workload.name} has {train_samples}")
                elif world_size > 1 and batch_size < 2 * world_size:
                    found[cell] = LeftOut(f"{world_size} ranks would share {batch_size} samples a step")
                else:
                    found[cell] = _trial(plan, workload, Ddp(), batch_size, world_size, 1)
    return found


def _trial(plan: Plan, workload: Workload, trainer: Trainer, batch_size: int, world_size: int, threads: int) -> Trial:
    return Trial(
        workload,
        scaled_down(plan.tuned(trainer, workload), batch_size),
        world_size=world_size,
        threads=threads,
        device=plan.device,
        seconds=plan.seconds or plan.of_suite(quick=0.3, standard=0.7, full=5.0),
        patience=plan.patience,
        stop_at_target=False,
        score_along=False,
    )


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=8)


def test_scaling(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
