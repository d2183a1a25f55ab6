"""Laws that every trial must satisfy, whatever was trained: what was counted twice, left out or misread breaks one.

Each law compares observations that were made apart from each other. One that a record lacks, since nothing measured
it or an older Paceline wrote it, leaves the law unchecked, not broken.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from paceline.bench.records.quantities import steady
from paceline.bench.records.record import Record

# Between two phases lie a garbage collection, the probes' last readings and the end of the process group: some
# 10 ms. Two clocks are read microseconds apart, between which a busy machine may take the core away.
PHASES_TOLERANCE = 0.15, 0.05  # seconds, and share of the wall
CLOCKS_TOLERANCE = 0.02, 0.02  # seconds, and share of the longer
# A process starts from a loaded server in tens of milliseconds, or by itself, loading torch, in seconds.
START_ALLOWED = 60.0  # seconds

# The kernel counts pages in batches of 32 a core, and memory from warm-up that it did not get back is used again.
PAGES_TOLERANCE = 4 << 20, 128 << 10  # bytes, and bytes a core
MEMORY_SHARE = 0.95

MFU_TOLERANCE = 0.05  # the peak is itself a measurement, on a machine whose clock rate moves
POWER_TOLERANCE = 0.10  # a GPU overshoots its limit for milliseconds, and its counter moves every 20-100 ms

ENDED_EARLY = ("out_of_memory", "timed_out", "crashed", "failed")


def broken(record: Record, peak_flops: float | None = None, row: Mapping[str, Any] | None = None) -> list[str]:
    """Return the laws that ``record`` breaks, each as "name: numbers"; none is [].

    Args:
        record: what was observed.
        peak_flops: measured peak of all ranks together, FLOP/s, of the trial's dtype, device and threads.
        row: the trial's row as ``analysis.frames`` derived it, to be checked against ``record`` as well.
    """
    found = [*_outcome(record), *_curve(record)]
    if not found and record.curve["step"]:  # a curve out of order has no end to check
        found += [*_batch(record)]
        if record.status not in ENDED_EARLY:
            found += [*_steps(record), *_ranks(record), *_phases(record), *_clocks(record)]
        found += [*_mfu(record, peak_flops)]
        if row is not None:
            found += _throughput(record, row)
    return [*found, *_memory(record), *_energy(record)]


def names(laws: list[str]) -> str:
    """Return the names of ``laws``, joined: "phases, two clocks"."""
    return ", ".join(dict.fromkeys(law.split(":")[0] for law in laws))


def _outcome(record: Record) -> Iterator[str]:
    """The status says what the curve shows."""
    sign = 1 if record.higher_is_better else -1
    hit = any(sign * score >= sign * record.target for score in record.curve["score"] if score is not None)
    if record.status == "reached" and not hit:
        yield f"outcome: reached, yet no score is at the target {record.target:g}"
    if record.status == "missed" and hit:
        yield f"outcome: missed, yet a score is at the target {record.target:g}"
    if record.status != "reached" and not record.reason:
        yield f"outcome: {record.status} without a reason"
    if record.status in ENDED_EARLY and record.world_size == 1 and record.wall_seconds is not None:
        yield f"outcome: {record.status}, yet it measured itself to its end"
    if record.status in ("reached", "missed", "plateaued") and not record.curve["step"]:
        yield f"outcome: {record.status} without a step"


def _curve(record: Record) -> Iterator[str]:
    """Steps and samples count up from 1, and time goes on."""
    for name in ("step", "samples", "seconds"):
        values = record.curve[name]
        if any(value is None or not value >= 0 for value in values):
            yield f"curve: {name} holds a value that is no count or time"
        elif values and not values[0] > 0:
            yield f"curve: {name} begins at {values[0]}"
        else:
            # Two edges may fall within one tick of a coarse clock; a step takes at least one sample.
            backward = [(a, b) for a, b in pairwise(values) if b < a or (b == a and name != "seconds")]
            if backward:
                yield f"curve: {name} goes from {backward[0][0]:g} to {backward[0][1]:g}"


def _batch(record: Record) -> Iterator[str]:
    """Samples are updates times the batch size; at most the last batch of each pass over the data is smaller.

    Where the batch size varies, an update takes one sample at least and the training set at most.
    """
    size, n, each = batch_size(record), record.train_samples, _updates_a_step(record)
    if n is None or each is None:
        return
    if record.varies_batch_size:
        for step, samples in zip(record.curve["step"], record.curve["samples"], strict=True):
            if not step * each <= samples <= step * each * n:
                yield f"batch: {samples:g} samples in {step * each} updates of 1 to {n}"
                return
        return
    if size is None:
        return
    whole_pass = math.ceil(n / size)
    for step, samples in zip(record.curve["step"], record.curve["samples"], strict=True):
        passes, rest = divmod(step * each, whole_pass)
        if not passes * n + rest * size <= samples <= step * each * size:
            yield f"batch: {samples:g} samples in {step * each} updates of {size} (of {n})"
            return


def batch_size(record: Record) -> int | None:
    """Return the samples a step over all ranks that the trial was told to take; None where it was told none.

    Where the batch size varies they are those of the first step.
    """
    if record.trainer == "FullBatch":
        return record.train_samples
    if record.trainer == "Online":
        return 1
    size: int | None = record.hyperparameters.get("batch_size")
    return size


def _updates_a_step(record: Record) -> int | None:
    """Return the updates that each step stands for; None where it is not always the same number."""
    rank = record.ranks[0] if record.ranks else {}
    steps, updates = rank.get("steps"), rank.get("updates")
    if not steps or updates is None:
        return 1  # unknown: what all but a few trainers do
    return int(updates // steps) if updates % steps == 0 else None


def _steps(record: Record) -> Iterator[str]:
    """Every rank makes every step of the curve, each of one update or more; in float16 some overflow, and are none."""
    last = record.curve["step"][-1]
    for number, rank in enumerate(record.ranks):
        steps, updates = rank.get("steps"), rank.get("updates")
        if steps is not None and steps != last:
            yield f"steps: {last} in the curve, {steps} made by rank {number}"
        if steps is not None and updates is not None and updates < steps and record.dtype != "float16":
            yield f"steps: rank {number} made {updates} updates in {steps} steps"


def _own_seconds(record: Record) -> list[float]:
    own = [rank.get("train_seconds") for rank in record.ranks]
    return [seconds for seconds in own if seconds is not None] if None not in own else []


def _ranks(record: Record) -> Iterator[str]:
    """The trial took at least what its slowest rank took, and at most what they took one after the other."""
    own, seconds = _own_seconds(record), record.curve["seconds"][-1]
    if own and not max(own) * (1 - 1e-9) <= seconds <= sum(own) * (1 + 1e-9):
        yield f"ranks: {seconds:.4g} s of training, by ranks {'/'.join(f'{s:.4g}' for s in own)} s"


def _phases(record: Record) -> Iterator[str]:
    """Set-up, warm-up, training and evaluation make up the wall time, and that lies within what the parent waited."""
    parts = (record.setup_seconds, record.warmup_seconds, record.evaluation_seconds)
    wall = record.wall_seconds
    if wall is None or any(part is None for part in parts):
        return
    # All are rank 0's: the curve holds the slowest rank's.
    training = (_own_seconds(record) or record.curve["seconds"][-1:])[0]
    total = training + sum(part for part in parts if part is not None)
    if min(training, *(part for part in parts if part is not None)) < 0:
        yield "phases: one lasts less than nothing"
    elif not 0 <= wall - total <= _within(PHASES_TOLERANCE, wall) and not math.isclose(total, wall, rel_tol=1e-6):
        yield f"phases: they sum to {total:.4g} s of {wall:.4g} s"
    waited = record.elapsed_seconds
    if waited is not None and not wall - _within(CLOCKS_TOLERANCE, wall) <= waited <= wall + START_ALLOWED:
        yield f"phases: {wall:.4g} s in the trial's process, for which its parent waited {waited:.4g} s"


def _clocks(record: Record) -> Iterator[str]:
    """What the clock took for training is what a second one saw between evaluations, building the model apart."""
    for number, rank in enumerate(record.ranks):
        first, build, second = (rank.get(name) for name in ("train_seconds", "build_seconds", "window_seconds"))
        if first is None or build is None or second is None:
            continue
        if abs(second - build - first) > _within(CLOCKS_TOLERANCE, max(first + build, second)):
            yield f"two clocks: rank {number} trained for {first:.4g} s by one, {second - build:.4g} s by the other"


def _within(tolerance: tuple[float, float], whole: float) -> float:
    return tolerance[0] + tolerance[1] * whole


def _mfu(record: Record, peak_flops: float | None) -> Iterator[str]:
    """No step multiplies matrices faster than matrices can be multiplied here."""
    flops, seconds = record.flops_per_sample, record.curve["seconds"][-1]
    if not flops or not peak_flops or not seconds > 0:
        return
    mfu = flops * record.curve["samples"][-1] / seconds / peak_flops
    if mfu > 1 + MFU_TOLERANCE:
        yield f"mfu: {mfu:.3g} of the measured peak of {peak_flops:.3g} FLOP/s"


def _throughput(record: Record, row: Mapping[str, Any]) -> Iterator[str]:
    """Throughput x seconds = samples, of the curve, but for the first steps after evaluations."""
    samples, seconds = record.curve["samples"][-1], record.curve["seconds"][-1]
    rate, known = row["samples_per_second"], (row["samples"] == samples and row["train_seconds"] == seconds)
    _, steady_samples, steady_seconds = steady(record)
    if not known or not math.isclose(rate * steady_seconds, steady_samples, rel_tol=1e-9):
        yield (
            f"throughput: {rate:.4g} samples/s x {row['train_seconds']:.4g} s for {row['samples']:.4g} samples, "
            f"observed were {samples} in {seconds:.4g} s"
        )


def _memory(record: Record) -> Iterator[str]:
    """A peak is no less than its start nor than what training must hold, and was set back after warm-up."""
    kind = "allocated" if record.device == "cuda" else "rss"
    pages = PAGES_TOLERANCE[0] + PAGES_TOLERANCE[1] * record.cores
    slack = 0 if record.device == "cuda" else pages
    for number, rank in enumerate(record.ranks):
        peak, start = (rank.get(f"{part}_{kind}_bytes") for part in ("peak", "start"))
        reset, began = rank.get("reset_rss_bytes"), rank.get("start_rss_bytes")
        if reset is not None and began is not None and reset > began + pages:
            yield f"peak reset: rank {number} begins with a peak of {reset} bytes, of {began} held"
        if peak is None or start is None:
            continue
        needed = [rank.get(f"{part}_bytes") for part in ("parameter", "gradient", "optimizer")]
        held = MEMORY_SHARE * sum(part for part in needed if part is not None)
        if peak < start - slack:
            yield f"memory: rank {number} peaks at {peak} bytes, {start - peak} below its start"
        elif peak - start < held - slack:
            yield f"memory: rank {number} takes {peak - start} bytes for {held:.0f} of model, gradients and state"


def _energy(record: Record) -> Iterator[str]:
    """A GPU takes no more than its power limit."""
    for number, rank in enumerate(record.ranks):
        joules, seconds, watts = (rank.get(n) for n in ("energy_joules", "energy_window_seconds", "power_limit_watts"))
        if joules is None or seconds is None or watts is None:
            continue
        if not 0 <= joules <= watts * seconds * (1 + POWER_TOLERANCE):
            yield f"energy: rank {number} took {joules:.4g} J in {seconds:.4g} s at a limit of {watts:g} W"
