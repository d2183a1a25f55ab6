"""Where trials run: what CUDA shows to one, or the CPU."""

import os
from functools import cache

from paceline.bench.harness.processes import call_in_processes


def chosen_device(name: str) -> tuple[str, int, tuple[str, ...]]:
    """Return the device, how many GPUs CUDA shows (0 for the CPU), and what was decided for the user, a line each."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"unknown device {name!r}: known are auto, cpu, cuda")
    if name == "cpu":
        return name, 0, ()
    import torch

    if not torch.backends.cuda.is_built():
        if name == "cuda":
            raise ValueError(f"--device cuda: the installed torch {torch.__version__} was built without CUDA")
        return "cpu", 0, ()
    count, reason = cuda_devices()
    if count:
        return "cuda", count, ()
    if name == "cuda":
        raise ValueError(f"--device cuda: CUDA shows no GPU to this process ({reason})")
    return "cpu", 0, (f"measuring on the CPU: this torch has CUDA, which shows no GPU ({reason})",)


@cache  # a process of its own
def cuda_devices() -> tuple[int, str]:
    """Return how many GPUs CUDA shows to a trial, and why none if so.

    Asked of CUDA itself, in a throw-away process, since this one must never touch it: NVML neither knows
    ``CUDA_VISIBLE_DEVICES``, MIG slices and drivers that are too old, nor is it everywhere that CUDA is.
    """
    try:
        (found,) = call_in_processes(_count_cuda_devices, (), 1, patience=60.0)
    except ValueError as error:
        return 0, str(error)
    return found  # type: ignore[no-any-return]


def _count_cuda_devices(rank: int) -> tuple[int, str]:
    import torch

    count = torch.cuda.device_count()
    if not count:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return 0, "no driver or no device" if visible is None else f"CUDA_VISIBLE_DEVICES={visible!r}"
    torch.cuda.init()  # raises where the driver does not serve this torch
    return count, ""
