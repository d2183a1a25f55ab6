"""A limit on the private memory of this process, and what it has of it: Linux's ``RLIMIT_DATA``.

It counts what is allocated or mapped privately to be written, in memory or not: the heap, torch's tensors, stacks of
threads; and not what is read from files. Whoever asks for more than is left is refused, and is told so: a control group
(cgroup) would kill it. What is mapped before the limit is set does not count.

Source: setrlimit(2); proc(5), ``VmData`` and ``RssAnon`` of ``/proc/[pid]/status``.
"""

import sys
from typing import Any

from paceline.bench.probes.procfs import data_bytes, rss_parts_bytes

if sys.platform != "win32":
    import resource


def can_limit() -> bool:
    """Return whether this system holds a process to a limit of its private memory."""
    return sys.platform == "linux" and data_bytes() is not None


def limit_private_memory(more_bytes: int) -> None:
    """Have this process be refused memory once it has taken ``more_bytes`` more than it has now."""
    taken = data_bytes()
    assert taken is not None, "asked before: can_limit"
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = taken + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def lift_limit() -> None:
    """Let this process have what it asks for again."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def private_bytes() -> int | None:
    """Return the private memory that is in place, in bytes: what the process has written to."""
    anonymous, _, _ = rss_parts_bytes()
    return anonymous


def with_private_bytes(seen: dict[str, list[Any]], samples: int) -> dict[str, list[Any]]:
    """Return ``seen``, to which is added what this process has now, after so many ``samples``: ``Record.memory``."""
    seen["samples"].append(samples)
    seen["private_bytes"].append(private_bytes())
    return seen
