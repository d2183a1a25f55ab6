"""How a process of a trial came to its end, in words."""

import errno
import re
import signal
from multiprocessing.process import BaseProcess

# What torch says of memory that has run out: "DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory",
# "CUBLAS_STATUS_ALLOC_FAILED", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", and of NCCL "Cuda failure 2 'out of memory'"
# or "Failed to CUDA calloc async 4 bytes".
OUT_OF_MEMORY = re.compile(
    r"DefaultCPUAllocator|out of memory|STATUS_ALLOC_FAILED|Failed to CUDA \w*alloc", re.IGNORECASE
)

# What else may have sent a signal than somebody.
BY_ITSELF = {
    "SIGKILL": " (if nobody sent it, the system ran out of memory)",
    "SIGBUS": " (a file that its samples are mapped from may have become shorter, or its disk be full)",
}


def exit_of(process: BaseProcess) -> str:
    """Return how ``process`` ended: by an exit code or a signal."""
    code = process.exitcode
    if code is None:
        return "closed its connection and went on"
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name
    return f"killed by {name}{BY_ITSELF.get(name, '')}"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory has run out, of the CPU or of a GPU.

    Only torch's own allocator on a GPU says so by a type. That on the CPU, CUDA itself, its libraries and NCCL raise a
    RuntimeError, told apart by its text alone.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(OUT_OF_MEMORY.search(str(error)))
