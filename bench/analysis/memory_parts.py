"""What a trial's memory was made of, and by how much the samples of a GPU's memory may have missed its peak."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from paceline.bench.records.over_ranks import largest, total
from paceline.bench.records.quantities import or_nan, peak_union_bytes
from paceline.bench.records.record import Record


def memory_parts(record: Record) -> dict[str, float]:
    """Return what a trial's memory was made of, in bytes summed over ranks; NaN where it was not measured.

    Resident memory is split as it was at the end of training: what is file-backed, mostly libraries, does not
    change while a trial trains, so the peak less that was anonymous. ``residual`` is what training took beyond
    parameters, gradients, optimizer state and what was saved for backward: temporaries, communication buffers,
    and what the allocator keeps. These need not peak at once, so that it can be negative.

    On a GPU, what the process held beyond torch's allocator is told apart by when it came: ``context`` by the time
    that data and context were there, ``communication`` (NCCL) with the first collective after that, ``libraries``
    from there to the largest sample of training (kernels loaded, buffers of cuBLAS and cuDNN, and of NCCL what it
    took later). torch lets cuBLAS work in memory of its allocator: ``workspaces`` are a part of what is allocated.
    """
    parts = {name: total(record, f"{name}_bytes") for name in ("parameter", "gradient", "optimizer", "saved")}
    kind = "allocated" if record.device == "cuda" else "rss"
    took = total(record, f"peak_{kind}_bytes") - total(record, f"start_{kind}_bytes")
    mapped = total(record, "rss_file_bytes") + total(record, "rss_shared_bytes")
    context, connected = (total(record, f"beyond_torch_{name}_bytes") for name in ("context", "communication"))
    return {
        "nvml_device": total(record, "nvml_device_peak_bytes"),
        "nvml_process": total(record, "nvml_process_peak_bytes"),
        "reserved": total(record, "peak_reserved_bytes"),
        "allocated": total(record, "peak_allocated_bytes"),
        "rss_anonymous": total(record, "peak_rss_bytes") - mapped,
        "rss_file": mapped,
        "union": peak_union_bytes(record),
        "dataset": total(record, "dataset_bytes"),
        **parts,
        "residual": took - sum(parts.values()),
        "beyond": total(record, "nvml_process_peak_bytes") - total(record, "peak_reserved_bytes"),
        "context": context,
        "communication": connected - context,
        "libraries": total(record, "beyond_torch_peak_bytes") - (context if np.isnan(connected) else connected),
        "workspaces": total(record, "workspaces_bytes"),
        "cached": total(record, "peak_reserved_bytes") - total(record, "peak_allocated_bytes"),
    }


class Missed(NamedTuple):
    """By how much NVML's samples may be below the true peak of a trial. NaN if not measured.

    Attributes:
        at_least: bytes, summed over ranks; 0 where no miss is known.
        at_most: bytes, likewise.
        gap_seconds: the longest time between two samples, of any rank.
    """

    at_least: float
    at_most: float
    gap_seconds: float


def nvml_missed(record: Record) -> Missed:
    """Return between which bounds lies what NVML's samples have missed.

    What torch's allocator reserved is memory of the process, and its peak is exact: a process cannot have had less.
    Nor can it have had more than that peak and, at the same moment, the most that was ever held beyond the allocator.
    That most is sampled: context, NCCL and libraries take memory seldom and keep it. If they let go within the gap
    between two samples of what they had taken within it, that was counted by no one.

    Where NVML does not tell of the process, the rise of the device stands for it, as in ``GpuProbe.best_memory``.
    """
    missed = [_missed(rank) for rank in record.ranks]
    if not missed:
        return Missed(np.nan, np.nan, np.nan)
    at_least, at_most = np.sum(missed, axis=0)
    return Missed(float(at_least), float(at_most), largest(record, "nvml_longest_gap_seconds"))


def _missed(rank: Mapping[str, Any]) -> tuple[float, float]:
    sampled, reserved = rank.get("nvml_process_peak_bytes"), or_nan(rank.get("peak_reserved_bytes"))
    if sampled is None:
        sampled = or_nan(rank.get("nvml_device_peak_bytes")) - or_nan(rank.get("nvml_device_baseline_bytes"))
    most = reserved + np.maximum(0.0, or_nan(rank.get("beyond_torch_peak_bytes")))
    return float(np.maximum(0.0, reserved - sampled)), float(np.maximum(0.0, most - sampled))
