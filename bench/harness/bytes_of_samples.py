"""What samples take of memory."""

from paceline.bench.workloads.data import Samples
from paceline.bench.workloads.mapped_files import described
from paceline.trainers.samples import tensors
from paceline.trainers.task import Task


def dataset_bytes(task: Task, *held_out: Samples) -> int:
    """Return what all samples take, in bytes; those that are read, or mapped from files, take none."""
    own = [] if any(map(described, tensors(task.x))) else tensors((task.x, task.y))
    return sum(tensor.nbytes for tensor in [*own, *tensors(held_out)])


def sample_bytes(task: Task) -> int:
    """Return what the first training sample takes once it is in memory, in bytes."""
    return sum(tensor.nbytes for tensor in tensors(task[slice(0, 1)]))
