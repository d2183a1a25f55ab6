"""What a benchmark reports to pytest-benchmark as the duration of a round: from a record, NaN if it has none."""

from paceline.bench.analysis.frames import trials_frame
from paceline.bench.records.record import Record


def seconds_to_target(record: Record) -> float:
    """Return the training seconds to target."""
    return float(trials_frame((record,))["seconds_to_target"].iloc[0])


def seconds_per_step(record: Record) -> float:
    """Return the training seconds per step."""
    return float(trials_frame((record,))["seconds_per_step"].iloc[0])
