"""On a GPU: samples from wherever they live, language models, compiled models, and where the time of a step goes."""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.utils.data import Dataset

from paceline.bench import Workload
from paceline.bench.harness.equivalence import gate
from paceline.bench.probes.compiler import missing
from paceline.bench.records.quantities import samples_per_second, seconds_per_step
from paceline.bench.records.record import WITH_RESULT, Record
from paceline.bench.workloads import find_workload
from paceline.trainers import (
    Accumulate,
    AdamW,
    Amp,
    Compiled,
    Ddp,
    FullBatch,
    Lion,
    MiniBatch,
    Muon,
    Online,
    ScheduleFreeAdamW,
    Sgd,
)
from tests.gpu.machine import Check, Machine
from tests.gpu.wide import network, taught


class Rows(Dataset[Any]):
    """The wide network's samples, one at a time."""

    def __init__(self, samples: int) -> None:
        self.x, self.y, *_ = taught(samples)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[index], self.y[index]


def one_by_one(samples: int) -> tuple[Any, ...]:
    """Return samples that are read one at a time, and the held-out ones."""
    return Rows(samples), *taught(samples)[2:]


def mapped(samples: int) -> tuple[Any, ...]:
    """Return samples that are mapped from a file, and the held-out ones."""
    import tempfile

    import numpy as np

    x, *others = taught(samples)
    with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as file:
        np.save(file, x.numpy())
    return np.load(file.name, mmap_mode="c"), *others


def streamed(samples: int) -> tuple[Any, ...]:
    """Return samples as they come, without end, and the held-out ones."""
    x, y, *held_out = taught(samples)

    def coming() -> Iterator[Any]:
        while True:
            yield from zip(x, y, strict=True)

    return coming, *held_out


def _in_short(machine: Machine, cell: str, workload: Workload, trainer: Any, **changes: Any) -> Record:
    return machine.run(cell, workload, trainer, **{"seconds": 30.0, "steps": 12} | changes)


def sources(machine: Machine) -> Iterator[Check]:
    """Samples on the device, in a file, read by processes into pinned memory: the same steps, to the last bit."""
    samples = 512
    here = Workload(name="here", model=partial(network, 128), data=partial(taught, samples), target=1.0)
    others = {
        "a mapped file": replace(here, name="mapped", data=partial(mapped, samples)),
        "a Dataset": replace(here, name="rows", data=partial(one_by_one, samples)),
        "a Dataset read by two processes": replace(here, name="workers", data=partial(one_by_one, samples), workers=2),
    }
    for trainer in machine.some([MiniBatch(), Accumulate(), FullBatch()]):
        expected = _in_short(machine, f"here-{type(trainer).__name__}", here, trainer)
        for name, workload in others.items():
            found = _in_short(machine, f"{workload.name}-{type(trainer).__name__}", workload, trainer)
            # Looked at after the same steps, but for those that a slow one leaves out.
            both = [dict(zip(one.curve["step"], one.curve["loss"], strict=True)) for one in (expected, found)]
            common = sorted(both[0].keys() & both[1].keys())
            same = len(common) > 3 and all(both[0][step] == both[1][step] for step in common)
            last = [one.get(common[-1]) if common else None for one in both]
            seen = f"losses {last} after the same {common[-1:]} steps; {found.status} {found.reason}"
            yield Check(f"{type(trainer).__name__} on {name}", "ok" if same else "WRONG", seen)
    stream = replace(here, name="stream", data=partial(streamed, samples))
    found = _in_short(machine, "stream-Online", stream, Online(Sgd(0.01)))
    yield _trained("Online on a stream", found)


def _trained(what: str, record: Record, least: float = math.inf) -> Check:
    """Return whether steps were made, the last loss a number, and at most ``least``."""
    losses = [loss for loss in record.curve["loss"] if loss is not None]
    good = record.status in WITH_RESULT and bool(losses) and math.isfinite(losses[-1]) and losses[-1] <= least
    if not losses:
        return Check(what, "WRONG", f"{record.status}: {record.reason}")
    step = f"{seconds_per_step(record) * 1e3:.4g} ms a step, {samples_per_second(record):.4g} samples/s"
    return Check(what, "ok" if good else "WRONG", f"{step}, loss {losses[0]:.4g} -> {losses[-1]:.4g}; {record.reason}")


def few(data: Any) -> tuple[Any, ...]:
    """Return the first 64 samples of each part, for a CPU."""
    return tuple(part[:64] for part in data())


def language(machine: Machine) -> Iterator[Check]:
    """The language models train, in float32 and bfloat16 and with each of the newer optimizers; ragged texts too."""
    cuda = machine.device == "cuda"
    size, steps = (64, 20) if cuda else (4, 4)

    def named(name: str) -> Workload:
        found = find_workload(name)
        return found if cuda else replace(found, data=partial(few, found.data))

    workload = named("char-gpt-m" if cuda else "characters")
    seconds = 8.0 if cuda else machine.seconds
    precisions: dict[str, Any] = {
        "float32": MiniBatch(AdamW(3e-4), batch_size=size),
        "bfloat16": Amp(AdamW(3e-4), batch_size=size),
    }
    for name, trainer in machine.some(precisions.items()):
        record = machine.run(f"{workload.name}-{name}", workload, trainer, seconds)
        yield _trained(f"{workload.name} in {name}", record, 3.3 if cuda else math.inf)
    small = named("char-gpt" if cuda else "characters")
    for optimizer in machine.some([Lion(1e-4), Muon(0.01), ScheduleFreeAdamW(1e-3)]):
        cell, trainer = f"{small.name}-{type(optimizer).__name__}", MiniBatch(optimizer, batch_size=size)
        record = _in_short(machine, cell, small, trainer, steps=steps)
        yield _trained(f"{small.name} by {type(optimizer).__name__}", record)
    for name in machine.some(["text-bilstm", "text-encoder"]):
        ragged = named(name)
        for trainer in machine.some([Accumulate(batch_size=size, micro_batch_size=size // 4), Ddp(batch_size=size)]):
            for found in gate([machine.trial(ragged, trainer, 1.0)]):
                seen = f"gap {found['gap']}, bound {found['bound']}" if found["passed"] else found["reason"]
                yield Check(f"equivalence of {name}, {found['trainer']}", "ok" if found["passed"] else "WRONG", seen)


def compiled(machine: Machine) -> Iterator[Check]:
    """A compiled model makes the same first steps, and how much faster its later ones are is told."""
    why = missing(machine.device)
    if why or machine.device != "cuda":
        yield Check("compiling", "open", why or "no GPU: left to the benchmark")
        return
    gpt = find_workload("char-gpt")
    for workload, optimizer in ((machine.workload, Sgd(0.1)), (gpt, AdamW(1e-3))):
        pair = [
            _in_short(machine, f"{workload.name}-{type(trainer).__name__}", workload, trainer, steps=200)
            for trainer in (MiniBatch(optimizer, batch_size=256), Compiled(optimizer, batch_size=256))
        ]
        yield from (_trained(f"{record.trainer} on {workload.name}", record) for record in pair)
        first = [record.curve["loss"][0] if record.curve["loss"] else math.nan for record in pair]
        gap = abs(first[1] - first[0]) / abs(first[0])
        yield Check(f"compiled loss on {workload.name}", "ok" if gap < 1e-3 else "WRONG", f"first losses {first}")


def phases(machine: Machine) -> Iterator[Check]:
    """The phases of a step add up to it; samples that are read cost copies, ranks communicate."""
    samples = 512
    rows = Workload(name="rows", model=partial(network, 128), data=partial(one_by_one, samples), target=1.0)
    cells: dict[str, tuple[Workload, Any]] = {
        "MiniBatch on a Dataset": (rows, MiniBatch()),
        "MiniBatch": (machine.workload, MiniBatch(batch_size=machine.batch_size)),
        "Amp": (machine.workload, Amp(batch_size=machine.batch_size)),
        "Ddp": (machine.workload, Ddp(batch_size=machine.batch_size)),
    }
    for name, (workload, trainer) in machine.some(cells.items()):
        record = _in_short(machine, f"phases-{name}", workload, trainer, steps=32, phases=True)
        (rank,) = record.ranks or ({},)
        spent = rank.get("phase_seconds")
        if not spent:
            yield Check(f"phases of {name}", "WRONG", f"{record.status}: {record.reason}")
            continue
        total, wall = sum(spent.values()), rank["phase_wall_seconds"]
        seen = ", ".join(f"{phase} {seconds / total:.1%}" for phase, seconds in spent.items())
        whole = abs(total - wall) <= 0.05 * wall
        copies = machine.device != "cuda" or workload is not rows or spent["host_to_device"] > 0
        yield Check(f"phases of {name}", "ok" if whole and copies else "WRONG", f"{total:.4g} of {wall:.4g} s: {seen}")


CHECKS = (sources, phases, language, compiled)
