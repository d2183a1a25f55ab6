"""How NVIDIA's management library is asked: each number alone, and a refusal is a reason, never 0.

These are the only files that talk to NVML: this one, ``gpus`` (which there are), ``gpu_probe`` (what a trial takes
from one) and ``gpu_neighbours`` (who else does). A number that NVML refuses is None, with the refusal under that
field's name in ``unmeasured``. Nothing
raises where there is no driver, no library or no GPU. Nothing changes a setting of the device either.

NVML counts what the driver gave out: CUDA's context, libraries and the allocator's cached blocks
included, so these bytes are more than torch's own counters of the same trial.
"""

import contextlib
from collections.abc import Callable
from typing import Any

try:
    import pynvml as pynvml  # the module of the distribution nvidia-ml-py, never that of the distribution pynvml
except ImportError:
    pynvml = None


def open_library() -> str:
    """Initialize NVML and return why that failed, or "". NVML counts: each success needs one `close_library`."""
    if pynvml is None:
        return "the package nvidia-ml-py is not installed"
    refused: dict[str, str] = {}
    ask(refused, "init", pynvml.nvmlInit)
    return refused.get("init", "")


def close_library() -> None:
    """Undo one `open_library`."""
    with contextlib.suppress(pynvml.NVMLError):  # every number is in by now
        pynvml.nvmlShutdown()


def ask(refused: dict[str, str], name: str, question: Callable[..., Any], *arguments: Any) -> Any:
    """Return the answer of NVML to one question; or None, and put the refusal in ``refused[name]``."""
    try:
        return question(*arguments)
    except pynvml.NVMLError as error:
        refused[name] = f"{type(error).__name__}: {error}"
        return None


def _memory(handle: Any) -> Any:
    """Return the device's memory; ``used`` is without the driver's reserve, save on a driver before 510."""
    with contextlib.suppress(pynvml.NVMLError_FunctionNotFound):
        return pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    return pynvml.nvmlDeviceGetMemoryInfo(handle)


def total_bytes(handle: Any) -> int:
    """Return the memory that the device has."""
    return int(_memory(handle).total)


def used_bytes(handle: Any) -> int:
    """Return what of the device's memory is used now, by anybody."""
    return int(_memory(handle).used)
