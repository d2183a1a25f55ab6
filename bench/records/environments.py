"""What must be alike for trials of two runs to be one sample."""

from collections.abc import Mapping
from typing import Any

# What decides how fast anything runs here: numbers from environments that differ in these are not one sample.
WHAT_MATTERS = ("torch", "cuda", "cpu", "cores")


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return in what two environments differ that matters, as "torch 2.9.0 and 2.10.0; ..."; "" if in nothing."""
    names = {name: (one.get(name), other.get(name)) for name in WHAT_MATTERS}
    names["GPUs"] = (_gpus(one), _gpus(other))
    return "; ".join(f"{name} {a} and {b}" for name, (a, b) in names.items() if a != b)


def _gpus(environment: Mapping[str, Any]) -> list[str]:
    return sorted(str(gpu.get("name")) for gpu in environment.get("gpus") or [])
