"""What must be set to train as a trial did, as Python: ``MiniBatch(optimizer=Sgd(lr=0.1), batch_size=64)``."""

import re
from collections.abc import Mapping
from typing import Any

# Settings that are off unless they are named, so that they need not be. Two optimizers decay weights by default.
OFF = {
    "momentum", "nesterov", "weight_decay", "schedule", "l1", "centered", "initial_accumulator", "floor", "passes",
    "find_unused_parameters",
}  # fmt: skip
ON = {"AdamW", "Muon"}


def python(name: str, settings: Mapping[str, Any]) -> str:
    """Return the expression that constructs a trainer, an optimizer or a schedule.

    Args:
        name: of its class, or what a user called it.
        settings: its fields as a trial's record holds them; one that is an object itself is a mapping with its "name".
    """
    shown = [
        f"{key}={_value(value)}" for key, value in settings.items() if key != "name" and not _off(name, key, value)
    ]
    return f"{name}({', '.join(shown)})"


def imports(expression: str) -> str:
    """Return the line that imports what ``expression`` names."""
    names = dict.fromkeys(re.findall(r"([A-Za-z_]\w*)\(", expression))
    return f"from paceline.trainers import {', '.join(names)}"


def _off(name: str, key: str, value: Any) -> bool:
    unset = value in (0, False, None) or (isinstance(value, Mapping) and value.get("name") == "Constant")
    return unset and key in OFF and name not in ON


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return python(str(value.get("name", "dict")), value)
    if isinstance(value, list):
        return f"({', '.join(map(_value, value))}{',' * (len(value) == 1)})"
    return f"{value:.6g}" if isinstance(value, float) and value == float(f"{value:.6g}") else repr(value)
