"""How fast a core is at this moment, told by a fixed piece of work.

A clock that is held down, or a neighbour on the core's other thread, slows a trial without having it wait for a core:
no count of the system tells of it.
"""

import statistics
import time

import torch

# One product takes some 0.2 ms, all of them some 5 ms.
SIDE, TIMES = 192, 25


def product_seconds() -> float:
    """Return the seconds that a product of two float64 matrices ``[192, 192]`` takes on one thread: the median of 25.

    On one thread, since several wait for each other, which the run queue tells already; in float64, which no setting
    of torch makes less of. A median does not mind the moments at which another process had the core.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left = torch.ones(SIDE, SIDE, dtype=torch.float64, device="cpu")
    product = torch.empty_like(left)
    seconds = []
    for _ in range(TIMES + 2):
        began = time.perf_counter()
        torch.mm(left, left, out=product)
        seconds.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    return statistics.median(seconds[2:])  # the first ones load what they need
