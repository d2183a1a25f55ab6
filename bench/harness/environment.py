"""What the trials ran on: machine and software, captured once a run."""

import functools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import psutil
import torch

from paceline.bench.harness.doctor import governors, load_average
from paceline.bench.probes.cgroup import cpu_limit, memory_limit_bytes
from paceline.bench.probes.cores import cores
from paceline.bench.probes.gpus import Gpu, gpus
from paceline.bench.workloads import torch_settings
from paceline.bench.workloads.characters import text_sha256
from paceline.bench.workloads.workload import Workload

# What tells the libraries that compute how many threads to use, and where.
VARIABLES = (
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "KMP_AFFINITY",
    "GOMP_CPU_AFFINITY", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD",
)  # fmt: skip


def capture(workloads: Iterable[Workload] = ()) -> dict[str, Any]:
    """Return what identifies the machine and the software, as plain JSON values; None is "not to be had".

    What torch is set to is what trials are given: all the same, but for what the file of a workload sets.

    CUDA is not touched: GPUs are described by NVML.
    """
    found, reason = gpus()
    own = torch_settings.read()
    return {
        "captured": datetime.now(UTC).isoformat(timespec="seconds"),
        "paceline": version("paceline"),
        "git": git_state(Path(__file__).parent),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "os": platform.platform(),
        "cpu": cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": load_average(),
        "kernel_libraries": kernel_libraries(),
        "torch_settings": own,
        "torch_settings_of": {
            workload.name: {n: v for n, v in torch_settings.given(workload.settings).items() if own.get(n) != v}
            for workload in workloads
            if workload.settings
        },
        "threads": torch.get_num_threads(),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "governors": list(governors()),
        "cpu_limit": cpu_limit(),
        "memory_limit_bytes": memory_limit_bytes(),
        "variables": {name: os.environ.get(name) for name in VARIABLES},
        "gpus": [describe(gpu) for gpu in found],
        "no_gpu_because": reason,
        "characters_sha256": text_sha256(),  # the text of the workload "characters" comes with Python
        "packages": sorted(f"{d.metadata['Name']}=={d.version}" for d in distributions()),
    }


def describe(gpu: Gpu) -> dict[str, Any]:
    """Return what NVML says of ``gpu`` at this moment: bytes, Hz, and why its clock is held down (a bit mask)."""
    return {
        "name": gpu.name,
        "uuid": gpu.uuid,
        "driver": gpu.driver,
        "bytes": gpu.total_bytes,
        "used_bytes": gpu.used_bytes,
        "processes": gpu.processes,
        "sm_clock_hz": gpu.sm_clock_hz,
        "max_sm_clock_hz": gpu.max_sm_clock_hz,
        "clock_event_reasons": gpu.clock_event_reasons,
        "unmeasured": gpu.unmeasured,
    }


def kernel_libraries() -> dict[str, Any]:
    """Return which libraries torch multiplies matrices with: those it was built with, and those it has here.

    MKL and oneDNN can differ by a factor of two on the same processor.
    """
    configuration = torch.__config__.show()
    settings = dict(re.findall(r"\b(BLAS_INFO|LAPACK_INFO|USE_MKL|USE_MKLDNN|USE_OPENMP)=(\w+)", configuration))
    # Lines as "- Intel(R) MKL-DNN v3.7.1 (Git Hash ...)"; the compiler's and the flags are of no interest here.
    lines = [line.strip(" -") for line in configuration.splitlines()]
    return {
        "built_with": settings,
        "versions": [line for line in lines if re.match(r"Intel\(R\)|oneAPI|OpenMP|OpenBLAS|CuDNN|NNPACK", line)],
        "mkl": torch.backends.mkl.is_available(),
        "onednn": torch.backends.mkldnn.is_available(),
        "openmp": torch.backends.openmp.is_available(),
        "ran": libraries_that_ran(),
    }


MULTIPLIES = """
import torch
for dtype in (torch.float32, torch.bfloat16):
    print("dtype", str(dtype).removeprefix("torch."), flush=True)
    a = torch.ones(256, 256, dtype=dtype)
    a @ a
"""


@functools.cache  # a process of its own, which takes seconds: for the libraries look at what they print but once
def libraries_that_ran() -> dict[str, str]:
    """Return which library multiplied two matrices of each dtype on the CPU, by what the libraries say themselves."""
    verbose = os.environ | {"MKL_VERBOSE": "1", "ONEDNN_VERBOSE": "1"}
    command = [sys.executable, "-c", MULTIPLIES]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=verbose)
    return which_ran(done.stdout)


def which_ran(output: str) -> dict[str, str]:
    """Return the library named after each "dtype" line of ``output``: MKL, oneDNN, or neither of them."""
    ran: dict[str, str] = {}
    dtype = ""
    for line in output.splitlines():
        if line.startswith("dtype "):
            dtype = line.split()[1]
            ran[dtype] = "neither MKL nor oneDNN"
        elif dtype and re.match(r"MKL_VERBOSE \w*GEMM", line):
            ran[dtype] = f"MKL, {line.split()[1].split('(')[0]}"
        elif dtype and "primitive,exec,cpu,matmul" in line:
            ran[dtype] = f"oneDNN, {line.split('matmul,')[1].split(',')[0]}"
    return ran


def cpu_model() -> str:
    """Return the CPU's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit checked out at ``folder`` and whether it was changed since; None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None
