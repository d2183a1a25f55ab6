"""The random numbers of a process: torch's, Python's and numpy's are seeded together, and put back together."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_all(seed: int, rank: int = 0) -> None:
    """Seed what models and trainers may draw from; on each rank otherwise.

    Equal dropout masks on all ranks would be one mask for that many samples: noise that does not average out.
    """
    torch.manual_seed(seed + rank)
    random.seed(seed + rank)
    np.random.seed((seed + rank) % 2**32)  # the global generator is what people's code draws from


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Have all of them seeded for a while, then as they were."""
    before = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            seed_all(seed)
            yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
