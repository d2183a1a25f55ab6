"""Ways to make a step: one rank or several, with how many threads, in which precision, compiled or not.

They change what a step takes, and, but for precision, not one bit of how many steps lead to the target: they are timed
without training to the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from paceline.bench.harness.data_files import DATA_FILES
from paceline.bench.harness.trial import Trial
from paceline.bench.workloads.data import Data, OfDataset
from paceline.bench.workloads.workload import Workload
from paceline.trainers import Accumulate, Amp, Compiled, Ddp, FullBatch, MiniBatch, Online, Optimizer, Trainer


@dataclass(frozen=True)
class Way:
    """How a step is made.

    Attributes:
        ranks: processes that share a batch.
        threads: CPU threads of each.
        precision: of the forward pass.
        compiled: whether the model is.
        micro_batch_size: samples per backward pass; 0 takes the whole batch at once.
        workers: processes that read samples ahead of training; None is as the workload says.
    """

    ranks: int = 1
    threads: int = 1
    precision: Literal["float32", "bfloat16"] = "float32"
    compiled: bool = False
    micro_batch_size: int = 0
    workers: int | None = None

    @property
    def label(self) -> str:
        """What tells it from others, as in the name of a cell: "float32-1x2" is one rank of two threads."""
        parts = [self.precision, f"{self.ranks}x{self.threads}"]
        parts += ["compiled"] if self.compiled else []
        parts += [f"micro{self.micro_batch_size}"] if self.micro_batch_size else []
        parts += [] if self.workers is None else [f"workers{self.workers}"]
        return "-".join(parts)

    @property
    def complexity(self) -> tuple[int, bool, bool, bool, int]:
        """By which the simplest of ways that take equally long is found: the least."""
        return self.ranks, self.compiled, self.precision != "float32", self.workers is not None, self.threads

    def devices(self, device: str) -> int:
        """Return how many devices it keeps: cores, or GPUs."""
        return self.ranks if device == "cuda" else self.ranks * self.threads

    def trainer(self, optimizer: Optimizer, batch_size: int, samples: int | None) -> Trainer:
        """Return the strategy that makes steps of ``batch_size`` samples in this way.

        Args:
            optimizer: with its rate.
            batch_size: over all ranks.
            samples: in the training set; None of a stream, or where each is looked at once: then there is no full
                batch, and a batch of one is online SGD.
        """
        if self.ranks > 1:
            return Ddp(optimizer, batch_size)
        if self.micro_batch_size:
            return Accumulate(optimizer, batch_size, self.micro_batch_size)
        if self.compiled:
            return Compiled(optimizer, batch_size)
        if self.precision == "bfloat16":
            return Amp(optimizer, batch_size)
        if samples is None and batch_size == 1:
            return Online(optimizer, passes=1)
        return FullBatch(optimizer) if batch_size == samples else MiniBatch(optimizer, batch_size)


def ways(cores: int, gpus: int, device: str, reads_ahead: int | None = None) -> list[Way]:
    """Return the ways to make a step that are timed, the usual one first; a compiled model is a matter of its own.

    Args:
        cores: that a trial may take.
        gpus: that CUDA shows.
        device: "cpu" or "cuda".
        reads_ahead: of a workload of a ``Dataset``, how many processes it has read samples; None where it has none.
    """
    if device == "cuda":
        usual = Way(threads=cores)
        shared = [Way(ranks=gpus, threads=max(1, cores // gpus))] if gpus > 1 else []
    else:
        usual = Way(threads=cores)
        shared = [Way(), *(Way(n, cores // n) for n in range(2, cores + 1) if cores % n == 0)] if cores > 1 else []
        if len(shared) > 3:  # of many cores: one thread, two ranks, and the most
            shared = [*shared[:2], shared[-1]]
    found = [usual, *shared, replace(usual, precision="bfloat16")]
    if reads_ahead is not None:
        found.append(replace(usual, workers=0 if reads_ahead else min(2, cores)))
    return found


def reads_ahead(workload: Workload) -> int | None:
    """Return by how many processes samples are read ahead; None where they are in memory, or a stream's."""
    file, _ = DATA_FILES.prepare(workload)
    return workload.workers if isinstance(Data.load(file, mmap=True).train, OfDataset) else None


def sizes(samples: int | None, once: bool, most: int = 8) -> list[int]:
    """Return the batch sizes at which steps are timed, four times as large each, at most ``most``.

    The last is the training set, where each sample may be looked at again. A stream has none, and is taken in batches
    that leave a hundred steps.

    Args:
        samples: in the training set; None where nobody knows.
        once: whether each sample is looked at once.
        most: how many at most.
    """
    largest = 4096 if samples is None else max(1, samples // 100) if once else samples
    found = [size for size in (4**k for k in range(0 if once or largest < 64 else 1, 16)) if size <= largest][:most]
    if not once and samples is not None and len(found) < most:
        found = [*(size for size in found if 2 * size <= samples), samples]
    return found


def between(timed: Sequence[int], samples: int | None) -> list[int]:
    """Return the batch sizes that may be trained with: those that were timed, and the powers of two between them."""
    powers = {2**k for k in range(31) if timed[0] <= 2**k <= timed[-1]}
    return sorted(size for size in powers | set(timed) if samples is None or size == samples or 4 * size <= 3 * samples)


def trial_of(
    way: Way, workload: Workload, optimizer: Optimizer, batch_size: int, samples: int | None, device: str
) -> Trial:
    """Return the trial that trains in this way; its seed, its budget and its end are the caller's."""
    return Trial(
        workload,
        way.trainer(optimizer, batch_size, samples),
        world_size=way.ranks,
        threads=way.threads,
        device=device,
    )
