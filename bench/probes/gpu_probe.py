"""What a trial takes from one GPU while it runs, as NVIDIA's management library counts it: memory and energy."""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from paceline.bench.probes.energy_windows import EnergyWindows
from paceline.bench.probes.gpu_neighbours import Neighbours
from paceline.bench.probes.nvml import ask, close_library, open_library, pynvml, used_bytes

SHORTEST_ENERGY_WINDOW = 1.0  # seconds; the counter moves only every 20 to 100 ms


@dataclass(frozen=True)
class GpuReadings:
    """What a `GpuProbe` saw of one GPU. Each None has its reason in ``unmeasured``."""

    process_peak_bytes: int | None  # largest sample of the process's own memory since the last reset
    device_peak_bytes: int | None  # largest sample of the device's used memory, everybody's, likewise
    device_baseline_bytes: int | None  # the device's used memory at the start
    energy_joules: float | None  # of the whole device and everybody on it, over stretches of training
    energy_window_seconds: float | None  # of these stretches; where they do not tell of the trial, of all training
    power_limit_watts: float | None  # enforced at the start
    samples: int  # looks since the last reset; what comes and goes between two of them is not seen
    unmeasured: dict[str, str] = field(default_factory=dict)  # name of a field -> why it is None
    clock_event_reasons: int | None = None  # every reason seen for which the clock was held down: a bit mask
    longest_gap_seconds: float | None = None  # between two looks, pauses left out: a shorter burst may be missed
    other_processes: int | None = None  # that computed on the device, the most at once
    others_share: float | None = None  # of the device's multiprocessors, the most that one of them used
    # What there was beyond the bytes that torch's allocator had reserved: at each `mark` by its name, and the largest
    # sample since the last reset as "peak". Of the process, or as the device's rise, as `best_memory` chooses.
    beyond_torch: dict[str, int] = field(default_factory=dict)

    def best_memory(self) -> tuple[int | None, str]:
        """Choose the most trustworthy peak memory there is.

        Returns:
            Bytes and their source: ``nvml_process``, the process's own; or ``nvml_device_delta``, the
            rise of the whole device over its baseline, which holds for an otherwise quiet GPU. Or None
            and the reason why there is neither.
        """
        if self.process_peak_bytes is not None:
            return self.process_peak_bytes, "nvml_process"
        # One failure often takes every field; dict.fromkeys says it once, in order.
        reasons = list(dict.fromkeys(self.unmeasured[name] for name in _MEMORY if name in self.unmeasured))
        if self.device_peak_bytes is not None and self.device_baseline_bytes is not None:
            rise = self.device_peak_bytes - self.device_baseline_bytes
            if rise > 0:
                return rise, "nvml_device_delta"
            # Not "it needed nothing": the baseline came too late, or a neighbour freed memory.
            reasons.append("device memory did not rise above its baseline")
        return None, "; ".join(reasons)


_MEMORY = ("process_peak_bytes", "device_peak_bytes", "device_baseline_bytes")
_ENERGY = ("energy_joules", "energy_window_seconds")
_OTHERS = ("other_processes", "others_share")
_MEASURED = (*_MEMORY, *_ENERGY, "power_limit_watts", "clock_event_reasons", "longest_gap_seconds", *_OTHERS)


class _Memory(NamedTuple):
    """What NVML counted at one moment, in bytes; None is refused, or not listed.

    Without what torch's allocator keeps cached of others than training. ``beyond`` is what torch's allocator had not
    reserved: by the process's own count, by the device's rise. ``processes`` are those that compute on the device.
    """

    device: int | None
    process: int | None
    beyond: tuple[int | None, int | None]
    processes: list[Any]


class GpuProbe:
    """Watches one GPU from a thread while a trial runs: peak memory, and energy.

    Construct and `start` it before the process first touches CUDA, so that the baseline is the GPU
    without this process; call `reset_peak` after warm-up. A probe serves one trial. No method raises on
    an NVML error, and none does anything where NVML is absent: the readings say why they are empty.

    A refusal in the middle (a lost GPU, say) ends that quantity: it is None, since the peak so far may
    not be the peak, until a `reset_peak` asks anew. A process that is not listed yet is no refusal: its
    CUDA context may still be to come. A process of its number that is there before it is none of ours: where PIDs have
    namespaces, NVML may tell those of another.

    Source: NVML API Reference, nvmlDeviceGetMemoryInfo_v2, nvmlDeviceGetComputeRunningProcesses_v3,
    nvmlDeviceGetTotalEnergyConsumption, nvmlDeviceGetEnforcedPowerLimit.
    """

    def __init__(
        self,
        uuid: str,
        pid: int | None = None,
        period: float = 0.05,
        reserved: Callable[[], int] | None = None,
        spare: Callable[[], int] = lambda: 0,
    ) -> None:
        """Touch nothing yet.

        Args:
            uuid: the device's UUID, bare as torch writes it or with NVML's "GPU-" or "MIG-".
            pid: the process whose memory is wanted; this one if None.
            period: seconds between samples.
            reserved: gives what torch's allocator has reserved on the device in this process, in bytes; called at
                each sample, from the thread too.
            spare: likewise, what of that is no memory of the trial's: cached from evaluations.
        """
        self._uuid, self._pid, self._period = uuid, os.getpid() if pid is None else pid, period
        self._unmeasured = dict.fromkeys(_MEASURED, "the probe was never started")
        self._initialized, self._paused = False, False
        self._handle: Any = None  # None: not started, no such GPU, or stopped
        self._process_peak, self._device_peak, self._samples, self._listed = 0, 0, 0, 0
        self._reserved, self._spare = reserved, spare
        self._neighbours = Neighbours(self._pid)
        self._stranger = False  # whether another process has this one's number
        self._beyond: dict[str, tuple[int | None, int | None]] = {}
        self._clock_events = 0
        self._looked_at: float | None = None  # perf_counter of the last look, or of when a pause ended
        self._longest_gap = 0.0  # seconds
        self._baseline: int | None = None
        self._power_limit: int | None = None  # mW
        self._energy = EnergyWindows(self._joules, SHORTEST_ENERGY_WINDOW)
        self._readings: GpuReadings | None = None
        self._lock = threading.Lock()  # around each look: after pause() returns none is under way
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gpu-probe", daemon=True)

    def start(self) -> None:
        """Record the baseline and begin to sample."""
        reason, refused = open_library(), dict[str, str]()
        self._initialized = not reason
        if self._initialized:
            self._handle = ask(refused, "handle", _find, self._uuid)
            reason = f"no handle for GPU {self._uuid}: {refused['handle']}" if refused else ""
        self._unmeasured = dict.fromkeys(_MEASURED, reason) if reason else {}
        if self._handle is None:
            return
        before = ask({}, "before", pynvml.nvmlDeviceGetComputeRunningProcesses, self._handle) or []
        self._stranger = any(process.pid == self._pid for process in before)
        self._baseline = self._ask("device_baseline_bytes", used_bytes)
        self._power_limit = self._ask("power_limit_watts", pynvml.nvmlDeviceGetEnforcedPowerLimit)
        self.reset_peak()
        self._thread.start()

    def reset_peak(self) -> None:
        """Forget peaks, samples and energy so far, and begin again from now. The baseline stays."""
        if self._handle is None:
            return
        with self._lock:
            self._process_peak, self._device_peak, self._samples = 0, 0, 0
            self._clock_events = 0
            self._beyond.pop("peak", None)
            self._looked_at, self._longest_gap = None, 0.0
            for name in ("process_peak_bytes", "device_peak_bytes", "clock_event_reasons", *_ENERGY, *_OTHERS):
                self._unmeasured.pop(name, None)
            self._neighbours.reset()
        self.reset_energy()
        self._look()

    def reset_energy(self) -> None:
        """Forget the energy so far, and begin again from now."""
        with self._lock:
            if self._handle is not None:
                self._energy.reset()
                if not self._paused:
                    self._energy.begin()

    def mark(self, name: str) -> None:
        """Note under ``name`` what there is now beyond what torch's allocator has reserved. A reset does not forget it.

        Between two marks lies what was loaded there: the context of CUDA, the buffers of NCCL.
        """
        with self._lock:
            if self._handle is not None and self._reserved is not None:
                refused: dict[str, str] = {}  # of this moment only: no sample is lost
                self._beyond[name] = self._memory_now(refused).beyond

    def pause(self) -> None:
        """Look once more, then ignore memory and energy until `resume`.

        What torch's allocator takes in a pause and then keeps cached is still seen after it.
        """
        self._end_window()
        self._look()
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        """Sample again."""
        with self._lock:
            if self._paused:  # what came and went in the pause is not wanted: it is no gap
                self._looked_at = time.perf_counter()
                if self._handle is not None:
                    self._energy.begin()
            self._paused = False

    def stop(self) -> GpuReadings:
        """Look a last time unless paused, end the thread and close NVML. Called again, repeat the answer.

        Returns:
            What was seen since the last reset.
        """
        if self._readings is None:
            if self._handle is not None:
                self._end_window()
                self._done.set()
                self._thread.join()
                self._look(last=True)
            self._readings = self._read()
            self._handle = None
            if self._initialized:
                close_library()
        return self._readings

    def _end_window(self) -> None:
        with self._lock:
            if self._handle is not None and not self._paused:
                self._energy.end()

    def _watch(self) -> None:
        while not self._done.wait(self._period):
            self._look()

    def _look(self, last: bool = False) -> None:
        with self._lock:
            if self._paused or self._handle is None:
                return
            self._samples += 1
            began = time.perf_counter()
            events = self._ask("clock_event_reasons", pynvml.nvmlDeviceGetCurrentClocksEventReasons)
            self._clock_events |= events or 0  # likewise: a refusal stays
            now = self._memory_now(self._unmeasured)  # a refusal stays in it
            self._neighbours.look(self._handle, now.processes, last)
            self._device_peak = max(self._device_peak, now.device or 0)
            self._process_peak = max(self._process_peak, now.process or 0)
            if self._reserved is not None:
                so_far = self._beyond.get("peak", (None, None))
                process, rise = (_larger(*both) for both in zip(so_far, now.beyond, strict=True))
                self._beyond["peak"] = (process, rise)
            # From before one look to after the next: NVML may have read the memory at either end.
            if self._looked_at is not None:
                self._longest_gap = max(self._longest_gap, time.perf_counter() - self._looked_at)
            self._looked_at = began

    def _memory_now(self, refused: dict[str, str]) -> "_Memory":
        """Return what NVML counts at this moment; what it refuses goes into ``refused``."""
        reserved = self._reserved() if self._reserved is not None else 0
        used = ask(refused, "device_peak_bytes", used_bytes, self._handle)
        processes = ask(refused, "process_peak_bytes", pynvml.nvmlDeviceGetComputeRunningProcesses, self._handle)
        if self._stranger:
            processes = None
            refused["process_peak_bytes"] = f"another process had the PID {self._pid} here before (PID namespaces)"
        mine = [process.usedGpuMemory for process in processes or [] if process.pid == self._pid]
        self._listed = len(processes or [])
        if not all(mine):  # None, or a 0 that no process with a context can have
            reason = f"NVML lists process {self._pid} without its memory (MIG, WDDM or no permission)"
            refused["process_peak_bytes"] = reason
        # The allocator may have grown while NVML was asked: the lesser of the two leaves the more beyond it.
        reserved = min(reserved, self._reserved()) if self._reserved is not None else 0
        process = sum(mine) if mine and all(mine) else None
        rise = None if used is None or self._baseline is None else used - self._baseline
        beyond = (None if process is None else process - reserved, None if rise is None else rise - reserved)
        spare = self._spare()
        own = [None if held is None else held - spare for held in (used, process)]
        return _Memory(own[0], own[1], beyond, processes or [])

    def _read(self) -> GpuReadings:
        joules, window = self._read_energy()
        if self._handle is not None:
            if not self._samples:
                for name in (
                    "device_peak_bytes",
                    "process_peak_bytes",
                    "clock_event_reasons",
                    "longest_gap_seconds",
                ):
                    self._unmeasured.setdefault(name, "no sample was taken: all of the time was a pause")
            elif not self._process_peak:
                reason = f"NVML lists {self._listed} compute processes, but not process {self._pid}"
                reason += " (in a container it lists none, or by the PIDs of the host)"
                self._unmeasured.setdefault("process_peak_bytes", reason)
        others, others_share, unknown = self._neighbours.seen()
        for name, reason in unknown.items():
            self._unmeasured.setdefault(name, reason)
        of_process = "process_peak_bytes" not in self._unmeasured
        beyond = {name: process if of_process else rise for name, (process, rise) in self._beyond.items()}
        return GpuReadings(
            process_peak_bytes=self._process_peak if of_process else None,
            device_peak_bytes=None if "device_peak_bytes" in self._unmeasured else self._device_peak,
            device_baseline_bytes=self._baseline,
            energy_joules=joules,
            energy_window_seconds=window,
            power_limit_watts=None if self._power_limit is None else self._power_limit / 1e3,
            samples=self._samples,
            clock_event_reasons=(
                self._clock_events if self._samples and "clock_event_reasons" not in self._unmeasured else None
            ),
            longest_gap_seconds=None if "longest_gap_seconds" in self._unmeasured else self._longest_gap,
            other_processes=others,
            others_share=others_share,
            unmeasured=dict(self._unmeasured),
            beyond_torch={name: value for name, value in beyond.items() if value is not None},
        )

    def _read_energy(self) -> tuple[float | None, float | None]:
        """Return joules and seconds of the stretches of training; where they are too short, all seconds of training."""
        if self._handle is None or self._energy.refused:
            self._unmeasured.setdefault("energy_window_seconds", self._unmeasured["energy_joules"])
            return None, None
        if why := self._energy.why_unknown:
            self._unmeasured["energy_joules"] = why
            return None, self._energy.trained
        return self._energy.joules, self._energy.seconds

    def _joules(self) -> float | None:
        millijoules = self._ask("energy_joules", _energy_millijoules)
        return None if millijoules is None else millijoules / 1e3

    def _ask(self, name: str, question: Callable[..., Any]) -> Any:
        return ask(self._unmeasured, name, question, self._handle)


def _larger(*values: int | None) -> int | None:
    """Return the largest of those that are known."""
    return max((value for value in values if value is not None), default=None)


def _find(uuid: str) -> Any:
    for spelling in (uuid, f"GPU-{uuid}"):
        with contextlib.suppress(pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
            return pynvml.nvmlDeviceGetHandleByUUID(spelling)
    return pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")


def _energy_millijoules(handle: Any) -> int:
    # Where a driver does answer for an instance, it is about the whole GPU, neighbours included.
    if pynvml.nvmlDeviceIsMigDeviceHandle(handle):
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))
