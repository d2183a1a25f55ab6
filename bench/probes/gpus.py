"""Which GPUs there are, as NVIDIA's management library describes them."""

from dataclasses import dataclass, field, fields
from typing import Any

from paceline.bench.probes.nvml import ask, close_library, open_library, pynvml, total_bytes, used_bytes


@dataclass(frozen=True)
class Gpu:
    """One physical GPU, as NVML describes it at one moment. A field is None (a name empty) if unknown.

    Source: NVML API Reference, Device Queries.
    """

    uuid: str = ""  # "GPU-..."
    name: str = ""
    driver: str = ""  # the driver's version
    total_bytes: int | None = None
    used_bytes: int | None = None
    processes: int | None = None  # compute processes on it that this user may see
    sm_clock_hz: int | None = None  # now, which is low on an idle GPU
    max_sm_clock_hz: int | None = None
    clock_event_reasons: int | None = None  # bit mask of why the clock is held down now
    unmeasured: dict[str, str] = field(default_factory=dict)  # name of a field -> why it is unknown


def gpus() -> tuple[list[Gpu], str]:
    """List every physical GPU that NVML sees; one that it cannot open is listed too, with the reason.

    Returns:
        The GPUs in NVML's order (that of the PCI bus, which need not be CUDA's: compare UUIDs), and
        why there are none, in one sentence, or "" if there are some.

    Source: NVML API Reference, nvmlInitWithFlags, nvmlDeviceGetCount_v2, nvmlDeviceGetHandleByIndex_v2.
    """
    if reason := open_library():
        return [], reason
    try:
        refused: dict[str, str] = {}
        count = ask(refused, "count", pynvml.nvmlDeviceGetCount)
        found = [_describe(index) for index in range(count or 0)]
    finally:
        close_library()
    return found, "" if found else refused.get("count", "NVML sees no GPU")


def _describe(index: int) -> Gpu:
    refused: dict[str, str] = {}
    driver = ask(refused, "driver", pynvml.nvmlSystemGetDriverVersion) or ""
    handle = ask(refused, "uuid", pynvml.nvmlDeviceGetHandleByIndex, index)
    if handle is None:
        unknown = [each.name for each in fields(Gpu) if each.name not in ("driver", "unmeasured")]
        return Gpu(driver=driver, unmeasured=refused | dict.fromkeys(unknown, refused["uuid"]))
    return Gpu(
        uuid=ask(refused, "uuid", pynvml.nvmlDeviceGetUUID, handle) or "",
        name=ask(refused, "name", pynvml.nvmlDeviceGetName, handle) or "",
        driver=driver,
        total_bytes=ask(refused, "total_bytes", total_bytes, handle),
        used_bytes=ask(refused, "used_bytes", used_bytes, handle),
        processes=ask(refused, "processes", _processes, handle),
        sm_clock_hz=ask(refused, "sm_clock_hz", _sm_clock_hz, handle),
        max_sm_clock_hz=ask(refused, "max_sm_clock_hz", _max_sm_clock_hz, handle),
        clock_event_reasons=ask(refused, "clock_event_reasons", pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle),
        unmeasured=refused,
    )


def _processes(handle: Any) -> int:
    return len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))


def _sm_clock_hz(handle: Any) -> int:
    return int(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)) * 1_000_000


def _max_sm_clock_hz(handle: Any) -> int:
    return int(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM)) * 1_000_000
