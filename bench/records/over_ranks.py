"""How what each rank of a trial measured becomes one number of the trial."""

import numpy as np

from paceline.bench.records.record import Record


def total(record: Record, name: str) -> float:
    """Return the sum over ranks; NaN if any rank could not measure it."""
    values = [rank.get(name) for rank in record.ranks]
    return float(sum(values)) if values and None not in values else np.nan  # type: ignore[arg-type]


def of_the_machine(record: Record, name: str) -> float:
    """Return a count that is the machine's, or the container's, over training: each rank saw the same, not a part."""
    values = [rank[name] for rank in record.ranks if rank.get(name) is not None]
    return max(values, default=np.nan)


def largest(record: Record, name: str) -> float:
    """Return the largest of the ranks' values; NaN if any rank could not measure it."""
    values = [rank.get(name) for rank in record.ranks]
    return float(max(values)) if values and None not in values else np.nan  # type: ignore[type-var, arg-type]


# The ways to combine ranks, by the word that ``records.metrics`` uses.
OVER_RANKS = {"sum": total, "largest": largest, "machine": of_the_machine}
