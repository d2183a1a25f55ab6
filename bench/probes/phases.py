"""Where a step's time goes, by ``torch.profiler``: waiting for data, forward, backward, optimizer, and the rest.

The profiler slows what it looks at: a trial that is looked at is never one that is timed. On a GPU, where the host
runs ahead, it waits for the device at the end of each phase, so that what a phase began is counted in it.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.profiler import ProfilerActivity, profile, record_function

from paceline.bench.records.record import PHASES
from paceline.trainers.samples import Batch, Tree
from paceline.trainers.task import Step, Steps, Task, Trainer

# So many steps are looked at, after the first, or as many as fit into so many seconds: a trace of them is a few MB.
STEPS, SECONDS = 30, 2.0

# A trace that takes more is not kept, in bytes: a run has one for each cell.
LARGEST_TRACE = 4 << 20

# What ranges are called: ours, and those that torch's optimizers and process groups make.
MARK, STEP = "paceline: ", "paceline: step"
OPTIMIZER = ("Optimizer.step#", "Optimizer.zero_grad#")
COLLECTIVES = ("gloo:", "nccl:", "mpi:", "c10d::")
COPIES = ("aten::to", "aten::_to_copy", "aten::pin_memory", "aten::_pin_memory", "Memcpy HtoD")

Span = tuple[float, float]


class PhasesProbe:
    """Profiles one rank's steps while it trains.

    Attributes:
        observed: of the steps that were looked at: ``phase_steps``, how many; ``phase_seconds``, seconds by phase; and
            ``phase_wall_seconds``, what they took by another clock. Empty before they are over.
        trace: the Chrome trace, gzipped; None before they are over, and where it is too large.
        unmeasured: why there is no trace.
    """

    def __init__(self, device: torch.device) -> None:
        """Look at what runs on ``device``."""
        self.observed: dict[str, Any] = {}
        self.trace: bytes | None = None
        self.unmeasured: dict[str, str] = {}
        self._device, self._cuda = device, device.type == "cuda"
        self._wall, self._steps = 0.0, 0

    def of(self, trainer: Trainer) -> Callable[[Task], Steps]:
        """Return ``trainer``, its steps marked and profiled."""

        def train(task: Task) -> Steps:
            looking = ExitStack()
            profiler = looking.enter_context(self._profiled())  # before the first step: to begin takes a second
            looking.enter_context(self._marked())
            return self._train(trainer(_watched(task, self._range)), looking, profiler)

        return train

    def _train(self, steps: Steps, looking: ExitStack, profiler: profile) -> Steps:
        said: float | None = None
        try:
            with closing(steps):
                for number in itertools.count():
                    looked_at = number > 0 and not self.observed  # the first builds the model
                    with self._step() if looked_at else nullcontext():
                        step = _next(steps, said)
                    if self._steps >= STEPS or self._wall >= SECONDS:
                        self._end(looking, profiler)
                    if step is None:
                        return
                    said = yield step
        finally:
            self._end(looking, profiler)

    def _end(self, looking: ExitStack, profiler: profile) -> None:
        if self.observed:
            return
        looking.close()
        seconds = seconds_of(profiler.events() or [], self._cuda)
        self.observed = {"phase_steps": self._steps, "phase_wall_seconds": self._wall, "phase_seconds": seconds}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trace.json.gz"
            profiler.export_chrome_trace(str(file))
            if file.stat().st_size <= LARGEST_TRACE:
                self.trace = file.read_bytes()
            else:
                self.unmeasured["trace"] = f"it takes {file.stat().st_size / 1e6:.0f} MB, too much to be kept"

    @contextmanager
    def _profiled(self) -> Iterator[profile]:
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._cuda else [])]
        with profile(activities=activities, acc_events=True) as profiler:
            yield profiler

    @contextmanager
    def _step(self) -> Iterator[None]:
        began = time.perf_counter()
        with record_function(STEP):
            yield
            self._wait()
        self._wall += time.perf_counter() - began
        self._steps += 1

    @contextmanager
    def _range(self, phase: str) -> Iterator[None]:
        with record_function(MARK + phase):
            yield
            self._wait()

    def _wait(self, *_: Any) -> None:
        if self._cuda:
            torch.cuda.synchronize(self._device)

    @contextmanager
    def _marked(self) -> Iterator[None]:
        """Mark each outermost forward pass of a module, each backward pass, and the end of each update."""
        open_ranges: list[Any] = []

        def begin(module: nn.Module, _: Any) -> None:
            open_ranges.append(self._range("forward") if not open_ranges else None)
            if open_ranges[-1] is not None:
                open_ranges[-1].__enter__()

        def end(module: nn.Module, *_: Any) -> None:
            if open_ranges and (ended := open_ranges.pop()) is not None:
                ended.__exit__(None, None, None)

        handles = [
            register_module_forward_pre_hook(begin),
            register_module_forward_hook(end, always_call=True),
            register_optimizer_step_post_hook(self._wait),
        ]
        before = torch.autograd.backward, torch.autograd.grad

        def backward(*args: Any, **kwargs: Any) -> None:
            with self._range("backward"):
                before[0](*args, **kwargs)

        def grad(*args: Any, **kwargs: Any) -> Any:
            with self._range("backward"):
                return before[1](*args, **kwargs)

        torch.autograd.backward, torch.autograd.grad = backward, grad
        try:
            yield
        finally:
            torch.autograd.backward, torch.autograd.grad = before
            for handle in handles:
                handle.remove()


def _next(steps: Steps, said: float | None) -> Step | None:
    """Resume a trainer, telling it what it is sent; None where it has ended."""
    try:
        return next(steps) if said is None else steps.send(said)
    except StopIteration:
        return None


Range = Callable[[str], Any]


def _watched(task: Task, within: Range) -> Task:
    """Return ``task`` with its samples and its losses marked."""
    own = {f.name: getattr(task, f.name) for f in fields(task)}

    class Watched(Task):
        def __getitem__(self, index: Tensor | slice) -> tuple[Tree, Tree]:
            with within("data"):
                return super().__getitem__(index)

        def fetch(
            self, order: Iterable[Any], rank: int = 0, world_size: int = 1, ahead: bool = True
        ) -> Iterator[Batch]:
            batches = super().fetch(order, rank, world_size, ahead)
            return (_WatchedBatch(batch, within) for batch in _each(batches, within))

        def mean_loss(self, outputs: Tensor, y: Tree) -> Tensor:
            with within("forward"):
                return super().mean_loss(outputs, y)

        def summed_loss(self, outputs: Tensor, y: Tree) -> Tensor:
            with within("forward"):
                return super().summed_loss(outputs, y)

    return Watched(**own)


class _WatchedBatch(Batch):
    """A batch, what it takes to get at its samples marked."""

    def __init__(self, batch: Batch, within: Range) -> None:
        self._batch, self._within = batch, within

    def __iter__(self) -> Iterator[Tree]:
        with self._within("data"):
            return iter(tuple(self._batch))

    def __len__(self) -> int:
        return len(self._batch)

    @property
    def weight(self) -> Tensor | int:
        return self._batch.weight

    def split(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        return _each(self._batch.split(size), self._within)


def _each(things: Iterable[Any], within: Range) -> Generator[Any, None, None]:
    """Yield ``things``, the wait for each marked as one for data."""
    coming = iter(things)
    nothing = object()
    while True:
        with within("data"):
            thing = next(coming, nothing)
        if thing is nothing:
            return
        yield thing


def seconds_of(events: Iterable[Any], cuda: bool = False) -> dict[str, float]:
    """Return the seconds of all steps among a profile's ``events``, by phase: they add up to the steps'.

    Of ranges within ranges the innermost counts. Communication is that part of a collective, on whatever thread, in
    which the rank computes nothing: while a backward pass goes on beside it, it costs no time of its own.
    """
    events = list(events)
    main = next((event.thread for event in events if event.name == STEP), None)
    on_host = [event for event in events if _on_host(event)]
    mine = [event for event in on_host if event.thread == main and not event.is_async]
    on_gpu = [event for event in events if not _on_host(event) and not event.is_user_annotation]
    if cuda:
        collectives = [_span(event) for event in on_gpu if "nccl" in event.name.lower()]
        busy = [_span(event) for event in on_gpu if "nccl" not in event.name.lower()]
        copies = [_span(event) for event in mine + on_gpu if event.name.startswith(COPIES)]
    else:
        collectives = [_span(event) for event in on_host if event.name.startswith(COLLECTIVES)]
        busy = [_span(event) for event in mine if event.name.startswith("aten::")]
        copies = []
    marks = [(phase, _span(event)) for event in mine if (phase := _phase_of(event.name))]
    steps = [_span(event) for event in mine if event.name == STEP]
    return {phase: 1e-6 * spent for phase, spent in divided(steps, marks, copies, collectives, busy).items()}


def _on_host(event: Any) -> bool:
    return bool(event.device_type == torch._C._autograd.DeviceType.CPU)


def _span(event: Any) -> Span:
    return event.time_range.start, event.time_range.end


def _phase_of(name: str) -> str:
    if name.startswith(OPTIMIZER):
        return "optimizer"
    return name.removeprefix(MARK) if name.startswith(MARK) and name != STEP else ""


def divided(
    steps: Sequence[Span],
    marks: Sequence[tuple[str, Span]],
    copies: Sequence[Span],
    collectives: Sequence[Span],
    busy: Sequence[Span],
) -> dict[str, float]:
    """Return how much of the ``steps`` belongs to each phase, in their unit; what nothing else claims is the rest.

    Args:
        steps: when steps were made.
        marks: ranges of phases on the thread that makes them; one within another counts instead of that.
        copies: when samples were copied to the device: such a part of the data's is the copy's.
        collectives: when some were under way.
        busy: when something was computed.
    """
    spans = [*steps, *(span for _, span in marks), *copies, *collectives, *busy]
    edges = np.unique(np.array(spans, float))
    owner = np.full(max(0, len(edges) - 1), -1)
    number = {phase: i for i, phase in enumerate(PHASES)}

    def within(spans: Sequence[Span]) -> Any:
        """Return which pieces between two edges lie within any of the spans."""
        depth = np.zeros(len(edges) + 1, int)
        if len(spans):
            begins, ends = np.searchsorted(edges, np.array(spans, float)).T
            np.add.at(depth, begins, 1)
            np.add.at(depth, ends, -1)
        return np.cumsum(depth)[: len(owner)] > 0

    inside = within(steps)
    owner[:] = number["rest"]
    for phase, (begin, end) in sorted(marks, key=lambda mark: (mark[1][0], -mark[1][1])):
        owner[np.searchsorted(edges, begin) : np.searchsorted(edges, end)] = number[phase]
    owner[within(copies) & (owner == number["data"])] = number["host_to_device"]
    owner[within(collectives) & ~within(busy)] = number["communication"]
    spent = np.diff(edges)
    return {phase: float(spent[inside & (owner == i)].sum()) for phase, i in number.items()}
