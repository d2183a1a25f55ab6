"""Call a function on the ranks of a gloo group, in fresh processes."""

import os
import pickle
import tempfile
from collections.abc import Callable
from typing import Any

import cloudpickle
import torch
import torch.distributed as dist

from paceline.bench.harness.fork_server import process_context


def on_ranks(function: Callable[[], Any], world_size: int) -> list[Any]:
    """Return what ``function`` returns on each of ``world_size`` ranks."""
    context = process_context()  # that of the trials: whoever starts the server first decides what it has loaded
    with tempfile.TemporaryDirectory() as folder:
        pipes, processes = [], []
        for rank in range(world_size):
            receiving, sending = context.Pipe(duplex=False)
            arguments = (
                cloudpickle.dumps(function),
                rank,
                world_size,
                f"file://{folder}/rendezvous",
                sending,
            )
            process = context.Process(target=_rank_main, args=arguments, daemon=True)
            process.start()
            sending.close()
            pipes.append(receiving)
            processes.append(process)
        try:
            return [pickle.loads(pipe.recv()) for pipe in pipes]
        finally:
            for process, pipe in zip(processes, pipes, strict=True):
                process.join(30)
                process.kill()
                pipe.close()


def _rank_main(function: bytes, rank: int, world_size: int, rendezvous: str, pipe: Any) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=world_size)
    pipe.send(pickle.dumps(pickle.loads(function)()))
    dist.barrier()
    dist.destroy_process_group()
