"""How processes start: forked from a server that has loaded what every trial needs."""

import contextlib
import json
import multiprocessing as mp
import os
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil

from paceline.bench.harness.dies_with_run import WITH
from paceline.bench.harness.preload import WANTED

# torch loads the compiler's front end when FLOPs are counted, which takes a second. The last one loads what the
# user's models need.
PRELOADED = [
    "paceline.bench.harness.dies_with_run",
    "torch.distributed", "torch.nn.parallel", "torch.utils.flop_counter", "torch._dynamo", "pynvml",
    "paceline.bench.harness.measure", "paceline.bench.harness.preload",
]  # fmt: skip

INSTALLED = tuple(sysconfig.get_path(part) for part in ("stdlib", "platstdlib", "purelib", "platlib"))

_asked_for: dict[str, float] = {}  # modules, and when their files were last written
_loaded: dict[str, float] = {}  # those that the server was told to load
_ours: set[int | None] = {None}  # process ids of the servers that were started here


def process_context() -> BaseContext:
    """Return how processes start: forked from the server; spawned where there is no such.

    The server is a process of its own that never touches CUDA, so neither do the trials inherit it.
    """
    if "forkserver" not in mp.get_all_start_methods():
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    if _server() is None:
        with _dying_with_this_process():
            forkserver.ensure_running()
        _ours.add(_server())
    return context


@contextlib.contextmanager
def _dying_with_this_process() -> Iterator[None]:
    """Have a server that starts in here die with this process: with its main thread, as the kernel has it."""
    if threading.current_thread() is threading.main_thread():
        os.environ[WITH] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.pop(WITH, None)


def ask_for(modules: Iterable[str]) -> None:
    """Have the server load ``modules`` as well, once, so that no trial has to: from the next ``renew`` on."""
    _asked_for.update(dict.fromkeys(modules, 0.0))


def renew() -> None:
    """Start the server anew if it runs without what was asked for, or with an older version of a user's own file.

    What a server loads is fixed when it starts; one that somebody else started has not even torch.
    """
    for name in _asked_for:
        _asked_for[name] = _written(name)
    if (_asked_for == _loaded and _server() in _ours) or mp.active_children():  # those that run are its children
        return
    if not _start_another(list(_asked_for)):
        _start_another([])
    _loaded.clear()
    _loaded.update(_asked_for)


def start(process: BaseProcess) -> None:
    """Start ``process``; where the server dies while it is asked, from another server."""
    try:
        process.start()
    except (ConnectionError, FileNotFoundError, EOFError):  # it was alive when that was looked at
        _ours.discard(_server())
        renew()
        process.start()


def _start_another(modules: list[str]) -> bool:
    """Start a server that loads ``modules``, wait until it has, and return whether it is fit to be forked."""
    pid = _server()
    if pid is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            server = psutil.Process(pid)
            server.kill()
            while server.status() != psutil.STATUS_ZOMBIE:  # then the next start finds it dead, and starts another
                time.sleep(0.001)
    descriptor, file = tempfile.mkstemp(prefix="paceline-preload-", suffix=".json")
    with open(descriptor, "w") as opened:
        json.dump({"path": sys.path, "modules": modules}, opened)
    os.environ[WANTED] = file
    try:
        with main_module_hidden(), _dying_with_this_process():
            process = process_context().Process(target=_end_unless_spoiled)  # type: ignore[attr-defined]
            process.start()
        _ours.add(_server())
        process.join()
        return bool(process.exitcode == 0)
    except (EOFError, OSError):  # what it loaded has killed it
        return False
    finally:
        del os.environ[WANTED]
        os.unlink(file)


def _server() -> int | None:
    """Return the process id of the server, which multiprocessing keeps to itself; None where there is none."""
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    return pid


def _end_unless_spoiled() -> None:
    """Exit with 1 if some module touched CUDA as it was loaded: no child of that server could use a GPU."""
    import torch

    sys.exit(int(torch.cuda._is_in_bad_fork()))


def _written(name: str) -> float:
    """Return when the file of a user's own module was written; 0 for what is installed, which stays as it is."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file or file.startswith(INSTALLED):
        return 0.0
    with contextlib.suppress(OSError):
        return Path(file).stat().st_mtime
    return 0.0


@contextlib.contextmanager
def main_module_hidden() -> Iterator[None]:
    """Keep multiprocessing from importing the user's script once more in every process it starts.

    A trial arrives whole (cloudpickle), so its process does not need the script; and a script without
    an ``if __name__ == "__main__"`` guard would start its trials again in there.
    """
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name) for name in ("__file__", "__spec__") if hasattr(main, name)}
    for name in hidden:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in hidden.items():
            setattr(main, name, value)
