"""Measure the peak of this machine: how many FLOP/s its matrix multiplications reach, in a fresh process a rank.

What a data sheet promises is another number: the share of a *measured* peak (MFU) says how much a step could still
gain here, with these libraries, threads and ranks.
"""

import itertools
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from paceline.bench.harness.fork_server import process_context
from paceline.bench.harness.processes import call_in_processes
from paceline.bench.probes.float32_precision import multiply_in

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial

# Squares find a machine's best; the flat one is how a layer of a network is shaped. From small to large.
SHAPES = {
    "cpu": ((256, 256, 256), (512, 512, 512), (128, 1024, 1024), (1024, 1024, 1024)),
    "cuda": ((1024, 1024, 1024), (512, 4096, 4096), (4096, 4096, 4096), (8192, 8192, 8192)),
}
SECONDS = 0.02  # for one way to multiply one shape; the peak is the best of all
# A product that takes longer is no small piece of work, as where bfloat16 is emulated: larger shapes are then left out.
LONGEST_PRODUCT = 0.05
PATIENCE = 60.0  # seconds: a process may have to load torch first


class Machine(NamedTuple):
    """What a peak depends on: ``dtype`` as records name it, ``threads`` a rank, and ranks that run at once."""

    device: str
    dtype: str
    threads: int
    world_size: int


def machines(trials: Iterable["Trial"]) -> list[Machine]:
    """Return what ``trials`` need the peaks of."""
    found = (
        Machine(trial.device, dtype, trial.threads_per_rank, trial.world_size)
        for trial in trials
        for dtype in trial.dtypes_of_peaks
    )
    return sorted(set(found))


def measured(trials: Iterable["Trial"], tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return the peaks that ``trials`` need, ``tell``ing a line each; one that failed has None and a ``reason``."""
    peaks = []
    for machine in machines(trials):
        try:
            peak = gemm_peak(machine)
        except ValueError as error:
            peak = machine._asdict() | {"flops_per_second": None, "reason": str(error)}
        peaks.append(peak)
        rate = peak["flops_per_second"]
        found = peak["reason"] if rate is None else f"{rate * 1e-9:.0f} GFLOP/s"
        ranks = f"{machine.world_size} x {machine.threads} threads"
        tell(f"peak of {machine.dtype} on {machine.device}, {ranks}: {found}")
    return peaks


@cache  # the machine stays the same while this process runs
def gemm_peak(machine: Machine) -> dict[str, Any]:
    """Return the peak of ``machine`` in FLOP/s, over all ranks, as ``environment.json`` holds it.

    Every rank multiplies the same shape in the same way at the same time, and their best rates are added up: what
    they reach together is no more than that. ``shape`` is where rank 0 was fastest.

    Raises:
        ValueError: if a process ended without an answer; one line.
    """
    barrier, stop = process_context().Barrier(machine.world_size), process_context().Value("i", len(SHAPES["cpu"]) * 4)
    try:
        rates = call_in_processes(_rank_rates, (machine, barrier, stop), machine.world_size, PATIENCE)
    except ValueError as error:
        raise ValueError(f"the peak of {machine.dtype} on {machine.device} could not be measured: {error}") from error
    best = max(range(len(rates[0])), key=lambda i: sum(rate[i][0] for rate in rates))
    return machine._asdict() | {
        "flops_per_second": sum(rate[best][0] for rate in rates),
        "shape": list(rates[0][best][1]),
        "how": rates[0][best][2],
    }


def _rank_rates(rank: int, machine: Machine, barrier: Any, stop: Any) -> list[tuple[float, tuple[int, int, int], str]]:
    """Return this rank's (FLOP/s, shape, way) of every way to multiply every shape: the entry point of its process.

    ``stop`` is the turn before which all ranks end, once products take one of them too long.
    """
    device = torch.device("cuda", rank) if machine.device == "cuda" else torch.device("cpu")
    # One thread as well: while others use the cores, several that wait for each other can be slower than one.
    threads = sorted({1, machine.threads}) if machine.device == "cpu" else (machine.threads,)
    of_a_shape = 2 * len(threads)
    dtype = multiply_in(machine.dtype)
    rates = []
    with torch.inference_mode():
        for turn, (shape, number, how) in enumerate(
            itertools.product(SHAPES[machine.device], threads, ("matmul", "linear"))
        ):
            barrier.wait(PATIENCE)
            if turn >= stop.value:
                break
            torch.set_num_threads(number)
            rate = _rate(shape, how, dtype, device)
            rates.append((rate, shape, how))
            m, k, n = shape
            if 2 * m * k * n / rate > LONGEST_PRODUCT:
                with stop.get_lock():
                    stop.value = min(stop.value, (turn // of_a_shape + 1) * of_a_shape)
    return rates


def _rate(shape: tuple[int, int, int], how: str, dtype: torch.dtype, device: torch.device) -> float:
    """Return the best FLOP/s of ``[m, k] @ [k, n]``, plain or as ``nn.Linear`` does it: transposed, with a bias."""
    m, k, n = shape
    x = torch.randn(m, k, device=device).to(dtype)
    w = torch.randn(n, k, device=device).to(dtype)
    b = torch.zeros(n, device=device, dtype=dtype)

    def multiply() -> Tensor:
        return x @ w.mT.contiguous() if how == "matmul" else nn.functional.linear(x, w, b)

    if how == "matmul":
        w = w.mT.contiguous().mT  # so that ``contiguous`` above has nothing left to copy
    multiply()
    _synchronize(device)
    best, until = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < until or best == float("inf"):
        calls = 1 if device.type == "cpu" else 10
        began = time.perf_counter()
        for _ in range(calls):
            multiply()
        _synchronize(device)
        best = min(best, (time.perf_counter() - began) / calls)
    return 2 * m * k * n / best


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
