"""A trainer as the Python that constructs it."""

from dataclasses import MISSING, fields, is_dataclass
from typing import Any

SEARCHED = ("optimizer", "batch_size", "lr")


def as_python(value: Any) -> str:
    """Return the expression that constructs ``value``, a dataclass or a plain value.

    Fields at their default are left out, but for what was searched.
    """
    if not is_dataclass(value) or isinstance(value, type):
        return repr(value)
    given = [
        f"{field.name}={as_python(getattr(value, field.name))}"
        for field in fields(value)
        if field.name in SEARCHED or getattr(value, field.name) != _default(field)
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def imports_of(value: Any) -> list[str]:
    """Return the lines that import what ``as_python(value)`` names."""
    found: dict[str, set[str]] = {}
    for each in _classes_in(value):
        module = "paceline.trainers" if each.__module__.startswith("paceline.trainers.") else each.__module__
        found.setdefault(module, set()).add(each.__name__)
    return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(found.items())]


def _classes_in(value: Any) -> set[type]:
    if not is_dataclass(value) or isinstance(value, type):
        return set()
    inner = [
        getattr(value, field.name)
        for field in fields(value)
        if field.name in SEARCHED or getattr(value, field.name) != _default(field)
    ]
    return {type(value)}.union(*map(_classes_in, inner))


def _default(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default
