"""Families of verdicts: of many that are read together, at most 5 % of runs get any wrong."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from paceline.bench.analysis.paired import Pair
from paceline.bench.analysis.statistics import ERROR


def stand(p_values: Sequence[float]) -> list[bool]:
    """Return which of a family of verdicts stand when together they may err in 5 % of runs.

    The smallest must be at most 5 % over their number, the next 5 % over one less, until one is not.

    Source: S. Holm 1979, Scand. J. Statist. 6, 65-70.
    """
    order, kept = np.argsort(p_values, kind="stable"), [False] * len(p_values)
    for before, place in enumerate(order):
        if not p_values[place] <= ERROR / (len(p_values) - before) * (1 + 1e-6):
            break
        kept[place] = True
    return kept


def together(pairs: Sequence[Pair]) -> list[Pair]:
    """Return ``pairs``, of which those are undecided whose verdicts do not stand in a family of so many."""
    kept = stand([pair.comparison.p for pair in pairs])
    return [
        pair if stands else replace(pair, comparison=replace(pair.comparison, verdict="undecided"))
        for pair, stands in zip(pairs, kept, strict=True)
    ]
