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


def changed_code(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Return what of ``Record.code`` differs between two trials of a cell, as "the code of its trainer"; "" if nothing.

    Two versions of Python compile the same code differently, and what is not known is taken to be the same.
    """
    compared = ["data", *(["trainer", "workload"] if one.get("python") == other.get("python") else [])]
    found = [name for name in compared if name in one and name in other and one[name] != other[name]]
    words = {"trainer": "the code of its trainer", "workload": "the code of its workload", "data": "its data"}
    return " and ".join(words[name] for name in found)
