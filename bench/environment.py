"""What the trials ran on: machine and software, captured once a run."""

import os
import platform
import subprocess
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.nvml import gpus
from bench.trial import cores


def capture() -> dict[str, Any]:
    """Return what identifies the machine and the software, as plain JSON values."""
    found, reason = gpus()
    return {
        "paceline": version("paceline"),
        "git": git_state(Path(__file__).parent),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "os": platform.platform(),
        "cpu": cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": list(os.getloadavg()),
        "blas": next((s for s in torch.__config__.show().split("\n") if "MKL" in s or "BLAS" in s), "").strip(" -"),
        "gpus": [{"name": gpu.name, "uuid": gpu.uuid, "driver": gpu.driver, "bytes": gpu.total_bytes} for gpu in found],
        "no_gpu_because": reason,
        "packages": sorted(f"{d.metadata['Name']}=={d.version}" for d in distributions()),
    }


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
