"""loading: training seconds per step.

How many processes that read samples are enough? Images are turned and shifted as they are read, by the trial's own
process or by others ahead of it, at a small batch and a large one: samples a second, the share of a step that waits,
and the memory of all processes. More of them than cores are run in the full suite, marked as oversubscribed.
"""

from collections.abc import Callable
from dataclasses import replace

from paceline.bench.analysis.round_seconds import seconds_per_step
from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.plan import LeftOut, Plan, scaled_down
from paceline.bench.harness.trial import Trial
from paceline.bench.records.record import Record
from paceline.bench.workloads.data import Data, OfDataset
from paceline.trainers import MiniBatch


def cells(plan: Plan) -> dict[str, Trial | LeftOut]:
    """Return mini-batch training over numbers of workers and batch sizes; in the quick suite none, unless asked for."""
    if not plan.allows("MiniBatch") or (plan.suite == "quick" and not plan.workloads):
        return {}
    found: dict[str, Trial | LeftOut] = {}
    for workload in plan.workloads_or("augmented-digits"):
        file, train_samples = DATA_FILES.prepare(workload)
        if not isinstance(Data.load(file, mmap=True).train, OfDataset):
            continue  # what is in memory, or comes as a stream, is not read by others
        sizes = plan.batch_sizes or plan.of_suite((64,), (16, 256), (16, 64, 256))
        for workers in numbers(plan.most_ranks() if plan.device == "cpu" else plan.cores_of_a_trial(), plan.suite):
            read_so = replace(workload, workers=workers)
            for size in dict.fromkeys(min(size, train_samples) for size in sizes):
                trainer = scaled_down(plan.tuned(MiniBatch(), workload), size)
                seconds = plan.of_suite(quick=0.3, standard=0.7, full=3.0)
                # Of one thread, so that up to the cores but one each worker has its own.
                found[f"{workload.name}-workers{workers}-B{size}"] = replace(
                    plan.trial(read_so, trainer, seconds), threads=1, stop_at_target=False, score_along=False
                )
    return found


def numbers(cores: int, suite: str) -> list[int]:
    """Return how many workers are tried: 0, 1, 2, 4, ... up to the cores; in the full suite twice as many too."""
    most = {"quick": 2, "standard": 8}.get(suite, 64)
    found = [0, *(2**k for k in range(8) if 2**k <= min(cores, most))]
    return [*found, 2 * found[-1]] if suite == "full" else found


def blocks(plan: Plan) -> int:
    """Return the number of seeds."""
    return plan.seeds or plan.of_suite(quick=1, standard=3, full=6)


def test_loading(replay: Callable[[Callable[[Record], float]], None]) -> None:
    """Report the cell's training seconds per step."""
    replay(seconds_per_step)
