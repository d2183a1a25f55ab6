"""The compiler behind ``torch.compile``: what it took, how often it began anew, and whether it can work here."""

import importlib.util
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from torch._dynamo.utils import calculate_time_spent, get_compilation_metrics

CACHES = {"TORCHINDUCTOR_CACHE_DIR": "", "TRITON_CACHE_DIR": "triton"}


def begin_without_cache(folder: Path) -> None:
    """Have this process compile into ``folder``: what other processes have compiled would make it look free."""
    for variable, part in CACHES.items():
        os.environ[variable] = str(folder / part)


def compiled_seconds() -> float:
    """Return how long this process has compiled so far, by the compiler's own account."""
    return float(calculate_time_spent()["total_wall_time"])


def recompilations() -> int:
    """Return how often this process compiled what it had compiled before, for another shape, say (64 at most)."""
    return sum(bool(compilation.recompile_reason) for compilation in get_compilation_metrics())


def missing(device: str) -> str:
    """Return what ``torch.compile`` lacks on this machine to compile for ``device``, and how to get it; "" if nothing.

    Source: ``torch._inductor.config.cpp.cxx`` and ``triton.runtime.build``, for which compiler is called.
    """
    if device == "cuda":
        if importlib.util.find_spec("triton") is None:
            return "torch.compile needs Triton to compile for a GPU: pip install triton"
        if not any(shutil.which(name) for name in filter(None, (os.environ.get("CC"), "gcc", "clang"))):
            return "torch.compile needs a C compiler to launch what Triton made: apt install gcc, or set CC"
        return ""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler, and there is no {compiler}: apt install g++, or set CXX"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "torch.compile needs Python's headers, and there is no Python.h: apt install python3-dev"
    return ""
