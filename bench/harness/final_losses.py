"""The losses of the last model of a trial, on each part of its workload's samples."""

from torch import nn

from paceline.bench.workloads.data import Samples, at_random
from paceline.bench.workloads.workload import Workload
from paceline.trainers.samples import InMemory, Stream
from paceline.trainers.task import Task

# The mean training loss is taken on so many samples at most, drawn at random.
MOST_SAMPLES = 10_000

# The same of samples that have to be read, and how many of them are put together: they need not be of one shape.
MOST_READ, READ_AT_ONCE = 1_024, 64


def final_losses(
    workload: Workload, model: nn.Module, task: Task, validation: list[Samples], test: list[Samples], at_once: int
) -> dict[str, float]:
    """Return the mean loss of ``model`` on "train", "validation" and "test" samples, ``at_once`` of them at a time.

    A stream has no training samples left to take it on.
    """
    parts = {"train": some_of_training(task), "validation": validation, "test": test}
    return {name: workload.mean_loss(model, *part, at_once=at_once) for name, part in parts.items() if part}


def tokens_per_sample(workload: Workload, task: Task, validation: list[Samples]) -> float | None:
    """Return how many tokens a training sample has on average; of a stream a validation sample. None without tokens."""
    if workload.tokens is None:
        return None
    parts = some_of_training(task) or validation
    return sum(workload.tokens(part.x).sum().item() for part in parts) / sum(part.n for part in parts)


def some_of_training(task: Task) -> list[Samples]:
    """Return training samples, drawn at random, for they may be sorted; none of a stream."""
    if isinstance(task.samples, Stream):
        return []
    n = len(task)
    if isinstance(task.samples, InMemory):
        return [Samples(*task[at_random(n, MOST_SAMPLES) if n > MOST_SAMPLES else slice(None)])]
    return [Samples(*task[part]) for part in at_random(n, MOST_READ).split(READ_AT_ONCE)]
