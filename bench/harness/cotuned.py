"""What may be searched beside the learning rate: settings of an optimizer, by names that mean the same in all."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from paceline.trainers.schedules import Warmup

if TYPE_CHECKING:
    from paceline.trainers.optimizers import Optimizer

# By how much the second moment forgets at a step, 1 - beta2, under the names that optimizers have for its decay.
FORGETTING = ("betas", "rho", "alpha")

# Of these, weight decay acts on the weights in proportion to the rate, which is small; of all others it is a penalty.
DECOUPLED = ("AdamW", "Lion", "Muon", "ScheduleFreeAdamW")


def ranges(optimizer: "Optimizer", steps: int) -> dict[str, tuple[float, float]]:
    """Return what is searched of ``optimizer`` beside its rate, and between which ends, on a logarithmic scale.

    Weight decay and the steps of a warm-up of all, from a hundredth to a third of the run; of those with a second
    moment by how much it forgets at a step.
    """
    decoupled = type(optimizer).__name__ in DECOUPLED
    found = {"weight_decay": (1e-3, 1.0) if decoupled else (1e-6, 1e-2), "warmup": (steps / 100, steps / 3)}
    if any(hasattr(optimizer, name) for name in FORGETTING):
        found["forgetting"] = (1e-3, 0.1)
    return found


def with_settings(optimizer: Any, settings: Mapping[str, float]) -> Any:
    """Return ``optimizer`` with ``settings``, by the names of ``ranges``; all else is kept.

    Raises:
        ValueError: if it has no such setting.
    """
    for name, value in settings.items():
        if name == "warmup":
            optimizer = replace(optimizer, schedule=Warmup(max(1, round(value)), then=optimizer.schedule))
        elif name == "forgetting":
            decay = round(1 - value, 6)
            field = next((field for field in FORGETTING if hasattr(optimizer, field)), None)
            if field is None:
                raise ValueError(f"{type(optimizer).__name__} has no second moment that could forget")
            optimizer = replace(optimizer, **{field: (optimizer.betas[0], decay) if field == "betas" else decay})
        else:
            optimizer = replace(optimizer, **{name: value})
    return optimizer
