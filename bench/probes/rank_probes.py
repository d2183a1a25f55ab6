"""What a rank measures of itself while it trains, evaluation left out: memory, waiting for a core, energy."""

import os
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from paceline.bench.probes import procfs, rapl
from paceline.bench.probes.clock import second_clock
from paceline.bench.probes.energy_windows import EnergyWindows
from paceline.bench.probes.gpu_probe import GpuProbe
from paceline.bench.probes.windowed_counts import windowed_counts

NCCL_WATCHDOG_SECONDS = 0.1


class Probes:
    """Peaks and totals over the training windows of one rank.

    ``reset`` after warm-up, ``pause`` when a window ends and ``resume`` when the next begins, then
    ``finish``. What cannot be measured is left out of the result and named in ``unmeasured`` with a reason.
    """

    def __init__(self, device: torch.device) -> None:
        """Look at ``device`` before this process has used it."""
        self._device = device
        self._cuda = device.type == "cuda"
        self._peak_rss: int | None = None
        self._start_rss: int | None = None
        self._family: int | None = None
        self._counts = windowed_counts()
        self._peak_allocated = self._start_allocated = 0
        # Of what torch's allocator has reserved, what training needs and what evaluation left in it.
        self._own_reserved, self._spare = 0, 0
        self._warmed_up = False
        self._can_reset = True
        self._reset_rss: int | None = None
        self._window_seconds = 0.0
        self._window_began = second_clock()
        self._busy_start: float | None = None
        self._own_start = 0.0
        self._packages = EnergyWindows(rapl.Packages().joules, rapl.SHORTEST_WINDOW)
        self._gpu: GpuProbe | None = None
        if self._cuda:  # before the CUDA context exists, so that the context counts as ours
            self._uuid = str(torch.cuda.get_device_properties(device).uuid)
            self._gpu = GpuProbe(
                self._uuid, os.getpid(), reserved=lambda: _reserved_bytes(device), spare=lambda: self._spare
            )
            self._gpu.start()

    def mark(self, what: str) -> None:
        """Note what the GPU holds beyond torch's allocator, before training: after "context", after "communication"."""
        if self._gpu is not None:
            torch.cuda.synchronize(self._device)
            self._gpu.mark(what)

    def steps_follow(self) -> None:
        """Give back what the first steps of the warm-up took: to find the fastest kernels takes space of its own."""
        if self._cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)

    def evaluation_follows(self) -> None:
        """Note what the steps of the warm-up have reserved on the GPU: training needs it, and finds it there.

        Evaluation reserves more, for itself. Were that given back, the next steps would have to ask for theirs anew,
        on the clock; so it stays, and is not counted.
        """
        if self._cuda:
            self._own_reserved, self._warmed_up = torch.cuda.max_memory_reserved(self._device), True

    def reset(self) -> None:
        """Begin: what happened before, warm-up included, leaves no trace in the peaks."""
        procfs.release_freed_memory()
        if self._cuda:
            if not self._warmed_up:  # then it was not evaluated either
                self._own_reserved = _reserved_bytes(self._device)
            _give_back_what_was_exchanged(self._device)
            self._start_allocated = torch.cuda.memory_allocated(self._device)
        if self._gpu is not None:
            self._gpu.reset_peak()
        self._start_rss = procfs.rss_bytes()
        self._packages.reset()
        self._window_seconds = 0.0
        for count in self._counts:
            count.reset()
        self._own_start = time.process_time()
        self._busy_start = procfs.busy_seconds()
        if procfs.reset_peak_rss():
            self._reset_rss = procfs.peak_rss_bytes()  # that it is no more than the start shows that warm-up is out
        self.resume()

    def built(self) -> None:
        """Forget what building the model took, within the first window: it is no training."""
        for count in self._counts:
            count.reset()
            count.begin()
        if not self._cuda:
            self._packages.reset()
            self._packages.begin()
        if self._gpu is not None:
            self._gpu.reset_energy()

    def pause(self) -> None:
        """End a window of training: take its peaks and its waiting in."""
        self._window_seconds += second_clock() - self._window_began  # first, for what follows takes time
        if self._can_reset:
            self._peak_rss = max(self._peak_rss or 0, procfs.peak_rss_bytes() or 0) or None
        for count in self._counts:
            count.end()
        if not self._cuda:
            self._packages.end()
        if self._cuda:
            self._peak_allocated = max(self._peak_allocated, torch.cuda.max_memory_allocated(self._device))
            # What was reserved on top of it, or else taken from the spare.
            grown = torch.cuda.max_memory_reserved(self._device) - self._spare
            self._own_reserved = max(self._own_reserved, grown, self._peak_allocated)
        if self._gpu is not None:
            self._gpu.pause()
        procfs.keep_freed_memory(procfs.LEAST_KEPT)  # what evaluation takes is given back, not left to the trainer

    def last_step_made(self) -> None:
        """Note what this process holds with all that it has started: what reads samples ends with the trainer."""
        self._family = procfs.family_pss_bytes()

    def resume(self, meet: Callable[[], None] | None = None) -> None:
        """Begin the next window of training, on all ranks at once if told how they ``meet``."""
        procfs.keep_freed_memory(procfs.MOST_KEPT)  # where glibc ends up by itself in a loop of large blocks
        self._can_reset = procfs.reset_peak_rss()
        for count in self._counts:
            count.begin()
        if not self._cuda:
            self._packages.begin()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats(self._device)
            self._spare = max(0, _reserved_bytes(self._device) - self._own_reserved)
        if self._gpu is not None:
            self._gpu.resume()
        if meet is not None:  # late, for what precedes it takes one rank longer than another
            meet()
        self._window_began = second_clock()  # last, for the same reason

    def finish(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the observations of this rank, and the reasons for those that are missing."""
        seen: dict[str, Any] = {
            "pid": os.getpid(),
            "start_rss_bytes": self._start_rss,
            "window_seconds": self._window_seconds,
        }
        unmeasured: dict[str, str] = {}
        self._cores(seen, unmeasured)
        if self._family is None:
            unmeasured["family_bytes"] = "this system does not tell what processes share (/proc/PID/smaps_rollup)"
        else:
            seen["family_pss_bytes"] = self._family
        self._resident_memory(seen, unmeasured)
        self._windowed_counts(seen, unmeasured)
        if self._cuda:
            self._allocator(seen, unmeasured)
        else:
            unmeasured["peak_allocated_bytes"] = "torch counts allocations on GPUs only; the trial ran on the CPU"
            unmeasured["peak_device_bytes"] = "no GPU: the trial ran on the CPU"
            self._package_energy(seen, unmeasured)
        if self._gpu is not None:
            self._gpu_readings(self._gpu, seen, unmeasured)
        return seen, unmeasured

    def _cores(self, seen: dict[str, Any], unmeasured: dict[str, str]) -> None:
        """Add for how long the cores were busy, and with this process; or why it is not known."""
        busy = procfs.busy_seconds()
        # Over the whole run, evaluations included: a window is often shorter than the tick in which this is counted.
        if busy is not None and self._busy_start is not None:
            seen |= {"busy_seconds": busy - self._busy_start, "own_seconds": time.process_time() - self._own_start}
        else:
            unmeasured["others_seconds"] = "this system does not say how busy its cores are (/proc/stat)"

    def _resident_memory(self, seen: dict[str, Any], unmeasured: dict[str, str]) -> None:
        """Add the peak of resident memory, and what it is made of at the end."""
        if self._can_reset and self._peak_rss is not None:
            anonymous, files, in_memory = procfs.rss_parts_bytes()
            seen |= {
                "reset_rss_bytes": self._reset_rss,
                "rss_anonymous_bytes": anonymous,
                "rss_file_bytes": files,
                "rss_shared_bytes": in_memory,
                "peak_rss_bytes": self._peak_rss,
                "rss_bytes": procfs.rss_bytes(),
                "pss_bytes": procfs.pss_bytes(),
                "shared_bytes": procfs.shared_bytes(),
            }
        else:
            unmeasured["peak_rss_bytes"] = "this system does not let a process reset its peak (/proc/self/clear_refs)"

    def _windowed_counts(self, seen: dict[str, Any], unmeasured: dict[str, str]) -> None:
        for count in self._counts:
            if count.total is None:
                unmeasured[count.name] = count.why_unknown
            else:
                seen[count.name] = count.total

    def _allocator(self, seen: dict[str, Any], unmeasured: dict[str, str]) -> None:
        """Add what torch counted of its own memory on the GPU."""
        seen |= {
            "start_allocated_bytes": self._start_allocated,
            "peak_allocated_bytes": self._peak_allocated,
            "peak_reserved_bytes": self._own_reserved,
        }
        workspaces = _workspace_bytes(self._device)
        if workspaces is None:
            unmeasured["workspaces_bytes"] = "this torch does not let go of its cuBLAS workspaces when asked"
        else:
            seen["workspaces_bytes"] = workspaces

    def _gpu_readings(self, probe: GpuProbe, seen: dict[str, Any], unmeasured: dict[str, str]) -> None:
        """Add what NVML counted on the GPU."""
        readings = probe.stop()
        device_bytes, source = readings.best_memory()
        if device_bytes is None:  # the driver tells nothing: torch's own count lacks the context, but is exact
            unmeasured["nvml_memory"] = source
            device_bytes, source = self._own_reserved, "torch_max_reserved"
        seen |= {
            "gpu_uuid": self._uuid,
            "gpu_other_processes": readings.other_processes,
            "gpu_others_share": readings.others_share,
            "peak_device_bytes": device_bytes,
            "peak_device_source": source,
            "nvml_process_peak_bytes": readings.process_peak_bytes,
            "nvml_device_peak_bytes": readings.device_peak_bytes,
            "nvml_longest_gap_seconds": readings.longest_gap_seconds,
            "nvml_device_baseline_bytes": readings.device_baseline_bytes,
            "energy_joules": readings.energy_joules,
            "energy_window_seconds": readings.energy_window_seconds,
            "clock_event_reasons": readings.clock_event_reasons,
            "power_limit_watts": readings.power_limit_watts,
        }
        of_others = {"other_processes": "gpu_other_processes", "others_share": "gpu_others_share"}
        unmeasured |= {of_others.get(name, name): reason for name, reason in readings.unmeasured.items()}
        for name in ("context", "communication", "peak"):
            if name in readings.beyond_torch:
                seen[f"beyond_torch_{name}_bytes"] = readings.beyond_torch[name]
        if "communication" not in readings.beyond_torch:
            unmeasured["communication_bytes"] = "the trial joined no group of ranks, or the driver does not tell"

    def _package_energy(self, seen: dict[str, Any], unmeasured: dict[str, str]) -> None:
        """Add what the CPU's packages took while training; or why it is not known."""
        if self._packages.refused:
            unmeasured["energy_joules"] = rapl.UNREADABLE
        elif why := self._packages.why_unknown:
            unmeasured["energy_joules"] = f"{why} (the CPU's)"
        else:
            seen |= {"package_joules": self._packages.joules, "package_window_seconds": self._packages.seconds}


def _give_back_what_was_exchanged(device: torch.device) -> None:
    """Have NCCL let go of the tensors of collectives that are over: it holds the last ones, and they count as taken.

    Its watchdog, which looks every 100 ms, puts them aside, and the next collective drops what lies there. Seen on an
    H200: DDP of a model of 288 MiB began so much too high. (That this mends it has not been seen on a GPU.)

    Source: ``ProcessGroupNCCL.hpp`` of PyTorch 2.11, ``shelvesToUnstash_``.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_backend() == "nccl":
        torch.cuda.synchronize(device)
        time.sleep(3 * NCCL_WATCHDOG_SECONDS)
        dist.all_reduce(torch.zeros(1, device=device))
        torch.cuda.synchronize(device)


def _reserved_bytes(device: torch.device) -> int:
    """Return what torch's allocator has reserved, without the tables of all it counts that torch makes of it."""
    counts = getattr(torch._C, "_cuda_memoryStats", None)
    if counts is None or not torch.cuda.is_initialized():
        return torch.cuda.memory_reserved(device)
    return int(counts(device.index or 0)["reserved_bytes"]["all"]["current"])


def _workspace_bytes(device: torch.device) -> int | None:
    """Return what cuBLAS works in, in bytes, by giving it back to the allocator, of which torch took it."""
    clear = getattr(torch._C, "_cuda_clearCublasWorkspaces", None)
    if clear is None:
        return None
    before = torch.cuda.memory_allocated(device)
    clear()
    return before - torch.cuda.memory_allocated(device)
