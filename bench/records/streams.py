"""What the samples of a stream say of a trial that followed it: how well it predicted them, how late, how far behind.

Each is a function of a record; NaN where a sample does not tell.
"""

import numpy as np
import numpy.typing as npt

from paceline.bench.records.record import Record

Floats = npt.NDArray[np.float64]

# Latencies are kept to so many seconds.
ROUNDED = 1e-6


def right(record: Record) -> Floats:
    """Return of each sample whether it was predicted right before it was learned from, 1 or 0, ``[N]``."""
    labels, predicted = (np.asarray(record.stream.get(name, []), int) for name in ("label", "predicted"))
    found: Floats = (labels == predicted).astype(float)
    return found


def latencies(record: Record) -> Floats:
    """Return the seconds from each sample's arrival to when the model had learned it, ``[N]``."""
    return np.asarray(record.stream.get("latency_seconds", []), float)


def learned_at(record: Record) -> Floats:
    """Return when the model had learned each sample, in seconds since the first arrived, ``[N]``."""
    rate = record.arrivals.get("per_second") or np.nan
    found = latencies(record)
    return np.arange(len(found)) / rate + found


def behind(record: Record) -> Floats:
    """Return how many samples had arrived, but were not learned, when the model had learned each one, ``[N]``."""
    rate, at = record.arrivals.get("per_second") or np.nan, learned_at(record)
    known = np.flatnonzero(~np.isnan(at))
    if not len(known):
        return at
    arrived = np.minimum(np.floor((at + ROUNDED) * rate) + 1, record.arrivals["samples"])
    # All of a batch are learned at once, the same to what times are rounded to.
    last = np.searchsorted(at[known], at + 2 * ROUNDED, side="right")
    waiting: Floats = arrived - (known[np.maximum(last - 1, 0)] + 1)
    return waiting


def prequential_score(record: Record) -> float:
    """Return the share of samples that were predicted right; NaN of what is no stream of classes."""
    found = right(record)
    return float(found.mean()) if len(found) else np.nan


def latency_quantile(record: Record, share: float) -> float:
    """Return the latency that so large a ``share`` of the samples had at most; NaN where none is known."""
    found = latencies(record)
    found = found[~np.isnan(found)]
    return float(np.quantile(found, share, method="higher")) if len(found) else np.nan


def most_behind(record: Record) -> float:
    """Return how many samples waited at the worst; NaN where they did not arrive at a rate."""
    found = behind(record)
    found = found[~np.isnan(found)]
    return float(found.max()) if len(found) else np.nan
