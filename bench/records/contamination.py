"""Which trials tell of their surroundings more than of their strategy."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np

from paceline.bench.records.over_ranks import largest, of_the_machine, total
from paceline.bench.records.record import Record

# Waiting for a core, cores lent to other machines, or being held back by a quota, beyond this share of a trial's
# training seconds (summed over ranks) makes the trial contaminated: it tells of its surroundings more than of its
# strategy.
LARGEST_CLEAN_SHARE = 0.10

# A trial was slowed down if the probe of the machine's speed took longer around it than around the others: by more than
# the share above, and by more than lies so many interquartile ranges above their upper quartile, which 4 in 1000 normal
# values do. Fewer than so many trials have no quartiles to speak of.
FENCE, FEWEST = 1.5, 8

# Bits of NVML's clock event reasons that say the GPU was slowed down by something else than the work, its power limit
# and its settings. Source: nvml.h, nvmlClocksEventReason*.
SLOWDOWNS = {
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


def contaminated(record: Record) -> bool:
    """Return whether others used the cores or the GPU so much, a quota held it back so long, or a GPU was slowed down.

    Its times are then not its own.

    More threads than cores must wait for each other, which says nothing of anybody else. So do the threads of one
    rank (with DDP, those that communicate): others kept them waiting for no longer than they ran.
    """
    if gpu_throttled(record) or gpu_shared(record):
        return True
    seconds = total(record, "train_seconds")
    # The largest, not the sum: a thread that a quota holds back may be counted as waiting for a core as well.
    counts = (of_the_machine(record, name) for name in ("steal_seconds", "throttled_seconds"))
    waited = np.fmin(total(record, "runqueue_wait_seconds"), others_seconds(record))
    lost = np.nanmax([0.0, waited, *counts])
    return bool(lost > LARGEST_CLEAN_SHARE * seconds) and not oversubscribed(record)


def probe_seconds(record: Record) -> float:
    """Return the seconds of the probe of the machine's speed, of which each rank made one before and one after.

    Their mean, of the slowest rank; NaN where there are none. See ``probes.machine_speed``.
    """
    return (largest(record, "probe_before_seconds") + largest(record, "probe_after_seconds")) / 2


Kind = tuple[str, str, int]


def _kind(record: Record) -> Kind:
    """Return whose probes can be compared: ranks that run at once have a slower clock, or share a core's threads."""
    return record.environment, record.device, record.world_size


def slow_limits(records: Iterable[Record]) -> dict[Kind, float]:
    """Return above which seconds of the probe a trial was slowed down, as ``records`` have it.

    What half of them suffered is the rule and no exception: that the machine drifts is for the anchors to show.

    Source: J. W. Tukey 1977, Exploratory Data Analysis, section 2D (the fence), on logarithms.
    """
    logs: dict[Kind, list[float]] = defaultdict(list)
    for record in records:
        seconds = probe_seconds(record)
        if seconds > 0:
            logs[_kind(record)].append(np.log(seconds))
    found = {}
    for kind, values in logs.items():
        if len(values) >= FEWEST:
            low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
            least = middle + np.log1p(LARGEST_CLEAN_SHARE)
            found[kind] = float(np.exp(max(least, high + FENCE * (high - low))))
    return found


def slowed(record: Record, limits: Mapping[Kind, float]) -> bool:
    """Return whether the machine was slower around ``record`` than ``slow_limits`` says it usually is."""
    return bool(probe_seconds(record) > limits.get(_kind(record), np.inf))


def oversubscribed(record: Record) -> bool:
    """Return whether a trial had more threads, over its ranks, than cores."""
    return record.device == "cpu" and record.world_size * record.threads > record.cores


def gpu_throttled(record: Record) -> bool:
    """Return whether a GPU was seen slowed down while it trained."""
    return any((rank.get("clock_event_reasons") or 0) & sum(SLOWDOWNS) for rank in record.ranks)


def gpu_shared(record: Record) -> bool:
    """Return whether another process used a trial's GPU while it ran, or was there and may have used it."""
    for rank in record.ranks:
        share = rank.get("gpu_others_share")
        if (rank.get("gpu_other_processes") or 0) > 0 and (share is None or share > LARGEST_CLEAN_SHARE):
            return True
    return False


def gpu_neighbours(record: Record) -> float:
    """Return how many other processes computed on a GPU of the trial's, the most at once; NaN where none tells."""
    return largest(record, "gpu_other_processes")


def others_seconds(record: Record) -> float:
    """Return the CPU seconds that other processes took of this trial's cores, from its first step to its last.

    NaN where the system does not tell. Counted in ticks, so to some 0.02 s.
    """
    return float(np.maximum(0.0, of_the_machine(record, "busy_seconds") - total(record, "own_seconds")))
