"""Searches of more than a learning rate: what was searched along, and what the best had of it."""

import json
from typing import Any

from paceline.bench.analysis.rate_searches import Searched

RATE = "optimizer.lr"


def found_along(found: Searched) -> dict[str, Any]:
    """Return what else than the rate its trials differ in, by its place among the hyperparameters, as the best has it.

    Of a search for the rate alone there is nothing.
    """
    of_rates = {
        float(lr): _flat(json.loads(text))
        for lr, text in zip(found.trials["lr"], found.trials["hyperparameters"], strict=True)
    }
    # What only some have, such as a schedule's own settings, differs as well.
    names = dict.fromkeys(name for settings in of_rates.values() for name in settings)
    differing = [name for name in names if len({settings.get(name) for settings in of_rates.values()}) > 1]
    best = of_rates[float(found.rates[found.best])]
    return {name.removeprefix("optimizer."): best.get(name) for name in differing if name != RATE}


def _flat(tree: Any, place: str = "") -> dict[str, Any]:
    """Return the leaves of nested dictionaries and lists by their places: "optimizer.betas.1"."""
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        return {place: tree}
    return {
        name: leaf for key, below in tree.items() for name, leaf in _flat(below, f"{place}.{key}".lstrip(".")).items()
    }
