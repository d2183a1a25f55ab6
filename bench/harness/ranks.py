"""The ranks of a trial: how they find each other, and what they must agree on."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from paceline.bench.harness.trial import Trial

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """What ranks must agree on. With one rank, nothing is sent anywhere."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the one that decides."""
        return self.rank == 0

    def meet(self) -> None:
        """Make a first collective: it is then that NCCL connects the ranks, and takes its buffers."""
        dist.all_reduce(torch.zeros(1, device=self.device))

    def go_on_together(self) -> None:
        """Wait until all ranks have come here."""
        if self.world_size > 1:
            dist.all_reduce(torch.zeros(1, device=self.device))

    def total(self, value: float) -> float:
        """Return the sum of ``value`` over ranks."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item()

    def slowest_and_mean(self, seconds: float, loss: float) -> tuple[float, float]:
        """Return the largest ``seconds`` and the mean ``loss`` over ranks."""
        if self.world_size == 1:
            return seconds, loss
        both = [torch.tensor(value, dtype=torch.float64, device=self.device) for value in (seconds, loss)]
        dist.all_reduce(both[0], dist.ReduceOp.MAX)
        dist.all_reduce(both[1], dist.ReduceOp.SUM)
        return both[0].item(), both[1].item() / self.world_size

    def from_first(self, value: T) -> T:
        """Return rank 0's ``value`` on every rank."""
        if self.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=self.device)
        return values[0]


@contextmanager
def process_group(trial: Trial, rank: int, rendezvous: str, device: torch.device) -> Iterator[Ranks]:
    """Join the ranks of a distributed trainer; for any other there is no group."""
    ranks = Ranks(rank, trial.world_size, device)
    if not getattr(trial.trainer, "distributed", False):
        yield ranks
        return
    loopback_only()
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        device_id=device if device.type == "cuda" else None,
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=trial.world_size,
        timeout=timedelta(seconds=2 * trial.patience),  # so that the parent loses patience first, and says so
    )
    try:
        yield ranks
        dist.barrier()  # without it a rank that leaves early can abort the others
    except BaseException:
        _leave_at_once()  # what went wrong is the news, and must not wait for ranks that wait for this one
        raise
    dist.destroy_process_group()


def _leave_at_once() -> None:
    """Leave the group without waiting for what is under way in it."""
    if dist.get_backend() != "nccl":
        dist.destroy_process_group()
        return
    # To destroy it, NCCL first finishes what was begun, which may never end; torch's abort is not public as yet.
    abort = getattr(dist.distributed_c10d, "_abort_process_group", dist.destroy_process_group)
    with contextlib.suppress(Exception):
        abort()


def loopback_only() -> None:
    """Keep gloo and NCCL to this machine, unless told otherwise: nothing on the network can then reach a run."""
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, "lo0" if sys.platform == "darwin" else "lo")
