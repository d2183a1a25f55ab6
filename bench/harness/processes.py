"""Start a trial's ranks in fresh processes, listen to them, and turn whatever happens into a status."""

import contextlib
import gc
import multiprocessing as mp
import os
import pickle
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from paceline.bench.harness import fork_server
from paceline.bench.harness.exits import exit_of, is_out_of_memory
from paceline.bench.harness.trial import Trial, payload
from paceline.bench.records.record import CURVE, WITH_RESULT
from paceline.bench.workloads import torch_settings
from paceline.bench.workloads.user_code import WARNINGS, heard, in_one_line, part_that_failed

# How long the other ranks may take to say how they ended, once one of them has failed.
GRACE_SECONDS = 2.0


@dataclass
class _Rank:
    """What the parent knows of one rank."""

    process: BaseProcess
    connection: Connection
    log: Path
    doing: str = "its start"  # what it was last heard to be at
    traceback: str = ""  # of what ended it, if that was an exception
    ended: tuple[str, str] | None = None  # status and reason, once known
    fields: dict[str, Any] = field(default_factory=dict)


def run_in_processes(trial: Trial, data_file: Path) -> tuple[dict[str, Any], str]:
    """Run ``trial``; return the observed fields of its record (status, reason, curve and the rest), and an account.

    The account of a trial that failed is long: for each rank its traceback, or else what it printed; "" of others.
    """
    fork_server.renew()
    packed = payload(trial)
    curve: dict[str, list[Any]] = {name: [] for name in CURVE}
    with tempfile.TemporaryDirectory(prefix="trial-", dir=data_file.parent) as folder:
        ranks: list[_Rank] = []
        try:
            for rank in range(trial.world_size):  # in here: an interrupt must find those that have started
                ranks.append(_start(trial, rank, packed, data_file, Path(folder)))
            _listen(ranks, curve, trial.patience, f"workload {trial.workload.name!r}")
        finally:
            for started in ranks:
                _end(started)
        status, reason = _verdict(ranks)
        account = "" if status in WITH_RESULT else _account(ranks, reason)
    rank_fields = [rank.fields.pop("rank", {}) for rank in ranks]
    observed = ranks[0].fields | {
        "status": status,
        "reason": reason,
        "curve": curve,
        "ranks": rank_fields,
    }
    return observed, account


def _account(ranks: list[_Rank], reason: str) -> str:
    """Return what the ranks said as they failed."""
    told = [reason]
    for number, rank in enumerate(ranks):
        said = rank.traceback or (rank.log.read_text(errors="replace") if rank.log.exists() else "")
        if said.strip():
            told.append(f"rank {number}:\n{said.strip()}")
    return "\n\n".join(told) + "\n"


def _start(trial: Trial, rank: int, packed: bytes, data_file: Path, folder: Path) -> _Rank:
    context = fork_server.process_context()
    receiving, sending = context.Pipe(duplex=False)
    log = folder / f"rank{rank}.log"
    settings = torch_settings.given(trial.workload.settings)
    arguments = (packed, settings, str(data_file), rank, str(folder / "rendezvous"), str(log), sending)
    process = context.Process(target=_rank_main, args=arguments, daemon=True)  # type: ignore[attr-defined]
    with fork_server.main_module_hidden():
        fork_server.start(process)
    sending.close()  # only the child holds it now: its death is our end of file
    return _Rank(process, receiving, log)


def _listen(ranks: list[_Rank], curve: dict[str, list[Any]], patience: float, whose: str) -> None:
    """Take in what the ranks send until all have ended, one has failed, or none makes a sound."""
    open_ends = {rank.connection: rank for rank in ranks}
    grace_ends: float | None = None  # set when a rank has failed: the others may only explain themselves
    while open_ends:
        timeout = patience if grace_ends is None else max(0.0, grace_ends - time.monotonic())
        ready = wait(list(open_ends), timeout)
        if not ready:
            for rank in open_ends.values():
                rank.ended = rank.ended or (
                    ("timed_out", f"nothing was finished within {patience:g} s during {rank.doing}; see --patience")
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
                    _add(message["point"], curve)
                rank.doing = message.get("doing", rank.doing)
                if "warning" in message:
                    WARNINGS.tell(whose, message["warning"])
                if "ended" in message:
                    rank.ended, rank.traceback = message["ended"], message["traceback"]
                rank.fields |= message.get("fields", {})
            if rank.ended and rank.ended[0] not in WITH_RESULT and grace_ends is None:
                grace_ends = time.monotonic() + GRACE_SECONDS


def _add(point: dict[str, Any], curve: dict[str, list[Any]]) -> None:
    """Add an evaluation to the curve; one at the same step as the last, where the trainer ended, is in its place."""
    again = curve["step"][-1:] == [point["step"]]
    for name in CURVE:
        curve[name][len(curve[name]) - again :] = [point[name]]


def _how_it_died(rank: _Rank) -> str:
    how = exit_of(rank.process)
    output = rank.log.read_text(errors="replace").strip().splitlines() if rank.log.exists() else []
    return how + (f"; its last words: {output[-1][:300]}" if output else "")


def _end(rank: _Rank) -> None:
    """Leave no process behind."""
    if rank.ended is not None and rank.ended[0] in WITH_RESULT:
        rank.process.join(10.0)  # it is on its way out
    _kill(rank.process)
    rank.connection.close()


def _kill(process: BaseProcess) -> None:
    """End ``process``, and what it has started: a trainer may load its data in processes of its own."""
    if process.is_alive():
        process.kill()
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter of a Mac, where all are zombies
        os.killpg(process.pid, signal.SIGKILL)  # by the number of the group: it is there without its leader as well
    process.join()


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


def _rank_main(
    packed: bytes,
    settings: dict[str, Any],
    data_file: str,
    rank: int,
    rendezvous: str,
    log: str,
    connection: Connection,
) -> None:
    """Run one rank: the entry point of a trial's process."""
    _begin_a_family()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    from paceline.bench.harness.measure import measure  # here: the parent of these processes need not load it
    from paceline.bench.probes.compiler import begin_without_cache

    begin_without_cache(Path(log).parent / "compiled")

    one_at_a_time = threading.Lock()  # a warning may come from any thread

    def send(message: dict[str, Any]) -> None:
        with one_at_a_time:
            connection.send(message)

    trial, told = None, ""
    with heard("", lambda _, warning: send({"warning": warning})):
        try:
            torch_settings.apply(settings)
            trial = pickle.loads(packed)  # from our own parent, through our own pipe
            # A full collection would go through all that torch has loaded: some 0.2 s, in the middle of training.
            gc.freeze()
            ended = measure(trial, Path(data_file), rank, rendezvous, send)
        except BaseException as error:
            ended, told = _classified(error, trial), "".join(traceback.format_exception(error))
    send({"ended": ended, "traceback": told})
    connection.close()


def _begin_a_family() -> None:
    """Be free to have children; leave Ctrl-C to the parent; and end, with the children, when the parent is gone.

    A parent that is killed cannot end us, and its death goes unnoticed while we train: the fork server, whose
    child we are, waits for us. The thread sleeps on a pipe that closes with the parent, and costs nothing.
    """
    mp.current_process().daemon = False  # to our parent we are one, lest it wait for us as it ends
    os.setpgid(0, 0)  # a group of our own, by which our children are found
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait_and_die() -> None:
        parent = mp.parent_process()
        assert parent is not None
        parent.join()
        os.killpg(0, signal.SIGKILL)  # at once, whatever the other threads are in

    threading.Thread(target=wait_and_die, name="dies-with-parent", daemon=True).start()


def _classified(error: BaseException, trial: Trial | None) -> tuple[str, str]:
    """Return the status and one line for an exception that ended a rank."""
    part = part_that_failed(error, trial.workload) if trial else ""
    reason = (f"{part}: " if part else "") + in_one_line(error)
    return "out_of_memory" if is_out_of_memory(error) else "failed", reason


def call_in_processes(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    world_size: int,
    patience: float,
    settings: torch_settings.Settings | None = None,
    whose: str = "",
) -> list[Any]:
    """Call ``function(rank, *arguments)`` in ``world_size`` fresh processes at once and return what each returns.

    Args:
        function: found by name in the new process, so it must be a module's own.
        arguments: as they go through a pipe; ``cloudpickle`` what a user wrote.
        world_size: how many processes.
        patience: seconds until all must have answered.
        settings: of torch, beyond what this process has set.
        whose: whom a warning comes from.

    Raises:
        ValueError: if one raises, dies or does not answer; one line. The first has its traceback as a note.
    """
    context = fork_server.process_context()
    all_settings = torch_settings.given(settings or {})
    started: list[tuple[BaseProcess, Connection]] = []
    ends = time.monotonic() + patience
    try:
        for rank in range(world_size):
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(  # type: ignore[attr-defined]
                target=_call, args=(function, rank, arguments, all_settings, sending), daemon=True
            )
            with fork_server.main_module_hidden():
                fork_server.start(process)
            sending.close()  # only the child holds it now: its death is our end of file
            started.append((process, receiving))
        return [_answer(process, receiving, ends - time.monotonic(), whose) for process, receiving in started]
    finally:
        for process, receiving in started:
            _kill(process)
            receiving.close()


def _answer(process: BaseProcess, receiving: Connection, seconds_left: float, whose: str) -> Any:
    try:
        if not receiving.poll(max(0.0, seconds_left)):
            raise ValueError("a process did not answer in time (more with --patience)")
        returned, error, account, warned = receiving.recv()
    except (EOFError, OSError) as end:
        process.join(GRACE_SECONDS)
        raise ValueError(f"a process died without an answer: {exit_of(process)}") from end
    for warning in warned:
        WARNINGS.tell(whose, warning)
    if error:
        failed = ValueError(error)
        failed.add_note(account)
        raise failed
    return returned


def _call(
    function: Callable[..., Any],
    rank: int,
    arguments: tuple[Any, ...],
    settings: dict[str, Any],
    connection: Connection,
) -> None:
    """Send what ``function`` returns, or one line on why it did not: the entry point of a process."""
    _begin_a_family()
    warned: list[str] = []
    with heard("", lambda _, warning: warned.append(warning)):
        try:
            torch_settings.apply(settings)
            answer = function(rank, *arguments), "", ""
        except BaseException as error:
            answer = None, in_one_line(error), traceback.format_exc()
    connection.send((*answer, warned))
    connection.close()
