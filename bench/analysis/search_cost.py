"""What the trials of a search for the learning rate took in all."""

import math
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Cost:
    """What the trials of a search took in all, whichever of them were any use.

    Attributes:
        trials: how many.
        diverged, missed, failed: how many ended so; ``failed`` is without a result.
        train_seconds: seconds of training.
        wall_seconds: of the trials' processes, from start to end; NaN if one did not live to tell.
        samples: samples trained on.
        diverged_share, missed_share: of ``train_seconds``, what trials took that diverged, or missed the target.
    """

    trials: int
    diverged: int
    missed: int
    failed: int
    train_seconds: float
    wall_seconds: float
    samples: float
    diverged_share: float
    missed_share: float


def cost_of(trials: pd.DataFrame) -> Cost:
    """Return what ``trials`` took, all those of a search."""
    seconds, status = trials["train_seconds"].fillna(0.0), trials["status"]
    total = float(seconds.sum())
    diverged, missed = status == "diverged", status.isin(["missed", "plateaued"])
    return Cost(
        len(trials),
        int(diverged.sum()),
        int(missed.sum()),
        int((~(diverged | missed | (status == "reached"))).sum()),
        total,
        float(trials["wall_seconds"].sum(skipna=False)),
        float(trials["samples"].sum()),
        float(seconds[diverged].sum() / total) if total else math.nan,
        float(seconds[missed].sum() / total) if total else math.nan,
    )
