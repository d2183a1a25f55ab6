"""Start a trial's ranks in fresh processes, listen to them, and turn whatever happens into a status."""

import contextlib
import gc
import multiprocessing as mp
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle

from paceline.bench.records.record import CURVE, WITH_RESULT

if TYPE_CHECKING:
    from paceline.bench.harness.trial import Trial

# What every trial needs, loaded once. torch loads the compiler's front end when FLOPs are counted, which takes a
# second. Nothing of ours: the server looks for modules in the working directory first, where a user may well
# have a folder called "bench".
PRELOADED = ["torch.distributed", "torch.nn.parallel", "torch.utils.flop_counter", "torch._dynamo", "pynvml"]

# How long the other ranks may take to say how they ended, once one of them has failed.
GRACE_SECONDS = 2.0


def process_context() -> BaseContext:
    """Return how processes start: forked from a server that has torch loaded; spawned where there is no such.

    The server is a process of its own that never touches CUDA, so neither do the trials inherit it.
    """
    if "forkserver" not in mp.get_all_start_methods():
        return mp.get_context("spawn")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@contextlib.contextmanager
def _main_module_hidden() -> Iterator[None]:
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


@dataclass
class _Rank:
    """What the parent knows of one rank."""

    process: BaseProcess
    connection: Connection
    log: Path
    ended: tuple[str, str] | None = None  # status and reason, once known
    fields: dict[str, Any] = field(default_factory=dict)


def run_in_processes(trial: "Trial", data_file: Path) -> dict[str, Any]:
    """Run ``trial`` and return the observed fields of its record: status, reason, curve and the rest."""
    payload = cloudpickle.dumps(trial)
    curve: dict[str, list[Any]] = {name: [] for name in CURVE}
    with tempfile.TemporaryDirectory(prefix="paceline-trial-") as folder:
        ranks: list[_Rank] = []
        try:
            for rank in range(trial.world_size):  # in here: an interrupt must find those that have started
                ranks.append(_start(trial, rank, payload, data_file, Path(folder)))
            _listen(ranks, curve, trial.patience)
        finally:
            for started in ranks:
                _end(started)
    status, reason = _verdict(ranks)
    observed = ranks[0].fields
    return observed | {
        "status": status,
        "reason": reason,
        "curve": curve,
        "ranks": [rank.fields.pop("rank", {}) for rank in ranks],
    }


def _start(trial: "Trial", rank: int, payload: bytes, data_file: Path, folder: Path) -> _Rank:
    context = process_context()
    receiving, sending = context.Pipe(duplex=False)
    log = folder / f"rank{rank}.log"
    arguments = (payload, str(data_file), rank, str(folder / "rendezvous"), str(log), sending)
    process = context.Process(target=_rank_main, args=arguments, daemon=True)  # type: ignore[attr-defined]
    with _main_module_hidden():
        process.start()
    sending.close()  # only the child holds it now: its death is our end of file
    return _Rank(process, receiving, log)


def _listen(ranks: list[_Rank], curve: dict[str, list[Any]], patience: float) -> None:
    """Take in what the ranks send until all have ended, one has failed, or none makes a sound."""
    open_ends = {rank.connection: rank for rank in ranks}
    grace_ends: float | None = None  # set when a rank has failed: the others may only explain themselves
    while open_ends:
        timeout = patience if grace_ends is None else max(0.0, grace_ends - time.monotonic())
        ready = wait(list(open_ends), timeout)
        if not ready:
            for rank in open_ends.values():
                rank.ended = rank.ended or (
                    ("timed_out", f"no step was finished and scored within {patience:g} s")
                    if grace_ends is None
                    else ("stopped", "another rank failed")
                )
            return
        for connection in ready:
            assert isinstance(connection, Connection)
            rank = open_ends[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):
                del open_ends[connection]
                rank.process.join(GRACE_SECONDS)
                rank.ended = rank.ended or ("crashed", _how_it_died(rank))
            else:
                if "point" in message:
                    for name in CURVE:
                        curve[name].append(message["point"][name])
                if "ended" in message:
                    rank.ended = message.pop("ended")
                rank.fields |= message.get("fields", {})
            if rank.ended and rank.ended[0] not in WITH_RESULT and grace_ends is None:
                grace_ends = time.monotonic() + GRACE_SECONDS


def _how_it_died(rank: _Rank) -> str:
    code = rank.process.exitcode
    if code is None:
        how = "closed its connection and went on"
    elif code < 0:
        how = f"killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            how += " (if nobody sent it, the system ran out of memory)"
    else:
        how = f"exited with code {code}"
    output = rank.log.read_text(errors="replace").strip().splitlines() if rank.log.exists() else []
    return how + (f"; its last words: {output[-1][:300]}" if output else "")


def _end(rank: _Rank) -> None:
    """Leave no process behind."""
    if rank.ended is not None and rank.ended[0] in WITH_RESULT:
        rank.process.join(10.0)  # it is on its way out
    if rank.process.is_alive():
        rank.process.kill()
    rank.process.join()
    rank.connection.close()


def _verdict(ranks: list[_Rank]) -> tuple[str, str]:
    """Return status and reason of the whole trial: the failure that explains the others, else rank 0's end.

    When one rank dies, the others fail in their next collective; theirs is not the reason.
    """
    for status in ("crashed", "out_of_memory", "timed_out", "failed"):
        for number, rank in enumerate(ranks):
            if rank.ended is not None and rank.ended[0] == status:
                where = f"rank {number}: " if len(ranks) > 1 else ""
                return status, where + rank.ended[1]
    ended = ranks[0].ended
    assert ended is not None, "a trial ended without a word from rank 0"
    return ended


def _rank_main(payload: bytes, data_file: str, rank: int, rendezvous: str, log: str, connection: Connection) -> None:
    """Run one rank: the entry point of a trial's process."""
    _live_no_longer_than_parent()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    from paceline.bench.harness.measure import measure  # here: the parent of these processes need not load it

    try:
        trial: Trial = pickle.loads(payload)  # from our own parent, through our own pipe
        # A full collection would go through all that torch has loaded: some 0.2 s, in the middle of training.
        gc.freeze()
        ended = measure(trial, Path(data_file), rank, rendezvous, connection.send)
    except BaseException as error:
        ended = _classified(error)
    connection.send({"ended": ended})
    connection.close()


def _live_no_longer_than_parent() -> None:
    """Leave Ctrl-C, which reaches every process of a terminal, to the parent; and end when the parent is gone.

    A parent that is killed cannot end us, and its death goes unnoticed while we train: the fork server, whose
    child we are, waits for us. The thread sleeps on a pipe that closes with the parent, and costs nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait_and_die() -> None:
        parent = mp.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)  # at once, whatever the other threads are in

    threading.Thread(target=wait_and_die, name="dies-with-parent", daemon=True).start()


def _classified(error: BaseException) -> tuple[str, str]:
    """Return the status and one line for an exception that ended a rank."""
    text = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {text[0] if text else ''}"[:500]
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    # On the CPU torch raises a plain RuntimeError, told apart by its text alone.
    if out_of_memory or "DefaultCPUAllocator" in reason:
        return "out_of_memory", reason
    return "failed", reason


def call_in_processes(
    function: Callable[..., Any], arguments: tuple[Any, ...], world_size: int, patience: float
) -> list[Any]:
    """Call ``function(rank, *arguments)`` in ``world_size`` fresh processes at once and return what each returns.

    Args:
        function: found by name in the new process, so it must be a module's own.
        arguments: as they go through a pipe; ``cloudpickle`` what a user wrote.
        world_size: how many processes.
        patience: seconds until all must have answered.

    Raises:
        ValueError: if one raises, dies or does not answer; one line.
    """
    context = process_context()
    started: list[tuple[BaseProcess, Connection]] = []
    ends = time.monotonic() + patience
    try:
        for rank in range(world_size):
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(target=_call, args=(function, rank, arguments, sending), daemon=True)  # type: ignore[attr-defined]
            with _main_module_hidden():
                process.start()
            sending.close()  # only the child holds it now: its death is our end of file
            started.append((process, receiving))
        return [_answer(receiving, ends - time.monotonic()) for _, receiving in started]
    finally:
        for process, receiving in started:
            process.kill()
            process.join()
            receiving.close()


def _answer(receiving: Connection, seconds_left: float) -> Any:
    try:
        if not receiving.poll(max(0.0, seconds_left)):
            raise ValueError("a process did not answer in time")
        returned, error = receiving.recv()
    except (EOFError, OSError) as end:
        raise ValueError("a process died without an answer") from end
    if error:
        raise ValueError(error)
    return returned


def _call(function: Callable[..., Any], rank: int, arguments: tuple[Any, ...], connection: Connection) -> None:
    """Send what ``function`` returns, or one line on why it did not: the entry point of a process."""
    try:
        connection.send((function(rank, *arguments), ""))
    except BaseException as error:
        connection.send((None, _classified(error)[1]))
    connection.close()
