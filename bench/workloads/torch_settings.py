"""What a program sets in torch for all that follows: read in one process, applied in another.

A trial's process starts with torch's defaults. Whatever a user's file sets at its top (a default dtype, a precision of
matrix products, deterministic algorithms) has to be carried there. Threads are not among these: they are the trial's.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn

Settings = Mapping[str, Any]  # plain values by the names below


def _attribute(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _deterministic(value: str) -> None:
    torch.use_deterministic_algorithms(value != "off", warn_only=value == "warn")


def _is_deterministic() -> str:
    if not torch.are_deterministic_algorithms_enabled():
        return "off"
    return "warn" if torch.is_deterministic_algorithms_warn_only_enabled() else "on"


def _flushes_denormals() -> bool:
    """Return what torch can be told and not asked: the processor's flag, seen by what it does."""
    return sys.float_info.min / 2 == 0.0


# How each is read and written, in this order. There are several ways to say in how many bits float32 is multiplied.
# The older ones change what the newer ones say, so these (at the end) are written last; and once a newer one was used,
# torch refuses to tell the older: what cannot be read is left out.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "default_dtype": (
        lambda: str(torch.get_default_dtype()).removeprefix("torch."),
        lambda name: torch.set_default_dtype(getattr(torch, name)),
    ),
    "cuda.matmul.allow_tf32": _attribute(cuda.matmul, "allow_tf32"),
    "float32_matmul_precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "cuda.matmul.allow_fp16_reduced_precision_reduction": _attribute(
        cuda.matmul, "allow_fp16_reduced_precision_reduction"
    ),
    "cuda.matmul.allow_bf16_reduced_precision_reduction": _attribute(
        cuda.matmul, "allow_bf16_reduced_precision_reduction"
    ),
    "cuda.flash_sdp": (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    "cuda.mem_efficient_sdp": (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    "cuda.math_sdp": (cuda.math_sdp_enabled, cuda.enable_math_sdp),
    "cuda.cudnn_sdp": (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
    "cudnn.enabled": _attribute(cudnn, "enabled"),
    "cudnn.benchmark": _attribute(cudnn, "benchmark"),
    "cudnn.deterministic": _attribute(cudnn, "deterministic"),
    "cudnn.allow_tf32": _attribute(cudnn, "allow_tf32"),
    "deterministic_algorithms": (_is_deterministic, _deterministic),
    "fill_uninitialized_memory": _attribute(torch.utils.deterministic, "fill_uninitialized_memory"),
    "detect_anomaly": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "flush_denormal": (_flushes_denormals, torch.set_flush_denormal),
    "fp32_precision": _attribute(torch.backends, "fp32_precision"),
    "cuda.matmul.fp32_precision": _attribute(cuda.matmul, "fp32_precision"),
    "cudnn.fp32_precision": _attribute(cudnn, "fp32_precision"),
    "cudnn.conv.fp32_precision": _attribute(getattr(cudnn, "conv", None), "fp32_precision"),
    "cudnn.rnn.fp32_precision": _attribute(getattr(cudnn, "rnn", None), "fp32_precision"),
    "mkldnn.fp32_precision": _attribute(mkldnn, "fp32_precision"),
    "mkldnn.matmul.fp32_precision": _attribute(getattr(mkldnn, "matmul", None), "fp32_precision"),
    "mkldnn.conv.fp32_precision": _attribute(getattr(mkldnn, "conv", None), "fp32_precision"),
    "mkldnn.rnn.fp32_precision": _attribute(getattr(mkldnn, "rnn", None), "fp32_precision"),
}


def read() -> dict[str, Any]:
    """Return what this process has set, by name; what this torch does not have, or does not tell, is left out."""
    found = {}
    for name, (get, _) in SETTINGS.items():
        with contextlib.suppress(AttributeError, RuntimeError):
            found[name] = get()
    return found


def apply(settings: Settings) -> None:
    """Set what of ``settings`` this process does not have so already."""
    for name, (_, write) in SETTINGS.items():
        if name in settings and _read_one(name) != settings[name]:
            write(settings[name])


def given(settings: Settings) -> dict[str, Any]:
    """Return all that a process has that is to have what this one has, and ``settings`` on top of it."""
    with applied(settings):
        return read()


def _read_one(name: str) -> Any:
    """Return one setting; None where torch does not tell."""
    with contextlib.suppress(AttributeError, RuntimeError):
        return SETTINGS[name][0]()
    return None


@contextlib.contextmanager
def applied(settings: Settings) -> Iterator[None]:
    """Have ``settings`` hold for a while."""
    with kept_apart():
        apply(settings)
        yield


@contextlib.contextmanager
def kept_apart() -> Iterator[dict[str, Any]]:
    """Take back whatever is set in here; yield a dictionary that holds those changes at the end."""
    before, changes = read(), dict[str, Any]()
    try:
        yield changes
    finally:
        changes |= {name: value for name, value in read().items() if before.get(name) != value}
        apply(before)
