"""An optimizer as it is named on the command line."""

import ast
from typing import Any

from paceline import trainers
from paceline.bench.workloads import from_file
from paceline.trainers import Optimizer

# The rates that torch, or the paper, gives each, where the user gives none: a search begins there.
USUAL_RATES = {
    "Sgd": 0.1, "Adagrad": 0.01, "Adadelta": 1.0, "RmsProp": 1e-3, "Adam": 1e-3, "AdamW": 1e-3,
    "Lion": 1e-4, "Muon": 0.02, "ScheduleFreeAdamW": 2.5e-3,
}  # fmt: skip


def find_optimizer(text: str) -> Optimizer:
    """Return what ``text`` names: "Adam", "Sgd(momentum=0.9)", or the one of a file, "FILE.py:NAME".

    Nothing in it is executed, but for the file.

    Raises:
        ValueError: if it names none; one line.
    """
    if ":" in text:
        found: Any = from_file(text)
        if not hasattr(found, "lr") or not callable(found):
            raise ValueError(
                f"--optimizer {text}: it is no optimizer, which has a rate lr and is called with parameters"
            )
        return found  # type: ignore[no-any-return]
    name, settings = _read(text)
    if name not in USUAL_RATES:
        raise ValueError(f"--optimizer: unknown {name!r}; known are {', '.join(USUAL_RATES)}, or FILE.py:NAME")
    try:
        built: Optimizer = getattr(trainers, name)(**{"lr": USUAL_RATES[name]} | settings)
    except TypeError as error:
        raise ValueError(f"--optimizer {text}: {error}") from error
    return built


def _read(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and settings of "Sgd(momentum=0.9)"."""
    try:
        tree = ast.parse(text, mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.args:
            return tree.func.id, {str(given.arg): ast.literal_eval(given.value) for given in tree.keywords}
    except (SyntaxError, ValueError):
        pass
    raise ValueError(f"--optimizer {text}: write it as Adam, or with settings, as 'Sgd(lr=0.1, momentum=0.9)'")
