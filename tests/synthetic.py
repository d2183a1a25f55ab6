"""Runs made by hand, in which the fastest, the smallest and the failing are planted."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.frames import Results, curves_frame, trials_frame
from bench.record import Record, append

MB = 1_000_000

# The machine is up to twice as slow in some blocks as in others; all cells of a block suffer alike.
DRIFT = (1.0, 1.6, 0.8, 1.3, 2.0, 0.9)
# What a single trial varies by, different for every cell.
NOISE = (0.99, 1.01, 1.0, 1.02, 0.98, 1.0)


def noise(cell: str, block: int) -> float:
    return NOISE[(block + sum(map(ord, cell))) % len(NOISE)]


def _record(cell: str, block: int, points: list[tuple[Any, ...]], memory: float, **changes: Any) -> Record:
    columns = zip(*points, strict=True) if points else ([],) * 5
    values: dict[str, Any] = {
        "trial": f"{changes['comparison']}-{cell}#{block}",
        "started": f"2026-01-01T00:00:{block:02d}.000+00:00",
        "cell": cell,
        "suite": "standard",
        "block": block,
        "position": 0,
        "seed": block,
        "world_size": 1,
        "threads": 2,
        "cores": 2,
        "device": "cpu",
        "target": 0.9,
        "higher_is_better": True,
        "seconds_allowed": 10.0,
        "steps_allowed": None,
        "stop_at_target": changes["comparison"] == "strategies",
        "score_along": changes["comparison"] == "strategies",
        "reason": "",
        "curve": {
            name: list(column)
            for name, column in zip(("step", "samples", "seconds", "loss", "score"), columns, strict=True)
        },
        "train_samples": 1000,
        "parameters": 50_890,
        "dtype": "float32",
        "wall_seconds": 2.0,
        "ranks": [
            {
                "start_rss_bytes": 100 * MB,
                "peak_rss_bytes": int((100 + memory) * MB),
                "rss_bytes": 100 * MB,
                "pss_bytes": 90 * MB,
                "runqueue_wait_seconds": 0.01,
            }
        ],
        "unmeasured": {"energy_joules": "no GPU: the trial ran on the CPU"},
    }
    return Record(**values | changes)


def raced(
    name: str,
    *,
    seconds: float,
    samples: int = 6400,
    memory: float = 5.0,
    batch_size: int = 64,
    lr: float = 0.1,
    missed: tuple[int, ...] = (),
    blocks: int = 6,
    workload: str = "digits",
    vary: float | None = None,
    **changes: Any,
) -> list[Record]:
    """Return trials of a strategy that reaches the target after ``seconds`` (in a block without drift).

    In the blocks ``missed`` it has not reached it by then. ``vary`` makes its trials differ by that
    factor from block to block, so that nothing can be resolved.
    """
    cell = f"{workload}-{name}"
    found = []
    for block in range(blocks):
        spent = seconds * DRIFT[block % 6] * noise(cell, block)
        if vary is not None:
            spent *= vary if block % 2 else 1 / vary
        final = 0.85 if block in missed else 0.91
        size = memory * noise(cell, block + 3)
        steps = samples // batch_size
        points = [(steps // 2, samples // 2, spent / 2, 1.0, 0.8), (steps, samples, spent, 0.5, final)]
        hyper: dict[str, Any] = {"optimizer": {"name": "Sgd", "lr": lr}, "batch_size": batch_size}
        if name == "Accumulate":
            hyper["micro_batch_size"] = batch_size // 4
        values = {"comparison": "strategies", "workload": workload, "trainer": name, "hyperparameters": hyper}
        status = "missed" if block in missed else "reached"
        found.append(_record(cell, block, points, size, **{**values, "status": status, **changes}))
    return found


def timed(
    comparison: str,
    cell: str,
    *,
    trainer: str,
    seconds_per_step: float,
    batch_size: int,
    memory: float = 5.0,
    score: float = 0.5,
    blocks: int = 6,
    workload: str = "digits",
    **changes: Any,
) -> list[Record]:
    """Return trials that ran for 100 steps and were scored at their end only."""
    found = []
    for block in range(blocks):
        spent = 100 * seconds_per_step * DRIFT[block % 6] * noise(cell, block)
        size = memory * noise(cell, block + 3)
        points = [(1, batch_size, spent / 100, 2.0, None), (100, 100 * batch_size, spent, 1.0, score)]
        hyper = {"optimizer": {"name": "Sgd", "lr": 0.05}, "batch_size": batch_size}
        values = {
            "comparison": comparison,
            "workload": workload,
            "trainer": trainer,
            "hyperparameters": hyper,
        }
        found.append(_record(cell, block, points, size, **{**values, "status": "missed", **changes}))
    return found


def batch_sizes(rates: dict[int, float], **changes: Any) -> list[Record]:
    """Return trials over batch size with these samples/s."""
    return [
        record
        for batch, rate in rates.items()
        for record in timed(
            "batch_size", f"digits-MiniBatch-B{batch}", trainer="MiniBatch", batch_size=batch,
            seconds_per_step=batch / rate, **changes,
        )
    ]  # fmt: skip


def precisions(ratios: dict[tuple[int, int], float], **changes: Any) -> list[Record]:
    """Return trials of Amp and MiniBatch over (width, batch size) with these ratios of seconds per step."""
    found = []
    for (width, batch), ratio in ratios.items():
        for trainer, factor, dtype in (("MiniBatch", 1.0, "float32"), ("Amp", ratio, "bfloat16")):
            found += timed(
                "precision", f"digits-{width}-{trainer}-B{batch}", trainer=trainer, batch_size=batch,
                seconds_per_step=0.001 * factor, workload=f"digits-{width}", parameters=width * 1000,
                **{"dtype": dtype, **changes},
            )  # fmt: skip
    return found


def ranks(speedups: dict[int, float], cores: int = 4, weak: bool = True, **changes: Any) -> list[Record]:
    """Return DDP trials over ranks of one thread with these speed-ups at the same batch."""
    found = []
    for count, speedup in speedups.items():
        kinds = {"one": 1} if count == 1 else {"strong": 1, "weak": count} if weak else {"strong": 1}
        for kind, factor in kinds.items():
            found += timed(
                "scaling", f"digits-Ddp-{kind}-x{count}", trainer="Ddp", batch_size=256 * factor,
                seconds_per_step=0.01 * factor / speedup, world_size=count, threads=1, cores=cores, **changes,
            )  # fmt: skip
    return found


def swept(
    batch_sizes: Sequence[int] = (4, 8, 16, 32, 64, 128, 256, 512),
    rates: Sequence[float] = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28),
    *,
    samples_min: float = 10_000,
    critical: float = 64.0,
    power: float = 0.5,
    ends: float = math.inf,
    spread: float = 0.02,
    seconds_per_step: float = 1e-3,
    seconds_per_sample: float = 1e-5,
    missed: Callable[[int, float, int], bool] = lambda batch, rate, block: False,
    blocks: int = 3,
    workload: str = "digits",
    trainer: str = "MiniBatch",
    **changes: Any,
) -> list[Record]:
    """Return the trials of a sweep over batch sizes and learning rates, on a hyperbola at the best rate of each.

    The best rate is 0.04 at the smallest batch size, and grows as its ``power`` up to the batch size ``ends``. At twice
    or half the best a trial takes 27 % more samples; at more than six times the best it diverges. Trials differ by
    ``spread``. Those for which ``missed(batch_size, rate, block)`` is true stop short of the target.
    """
    random, found = np.random.default_rng(0), []
    for batch in batch_sizes:
        best = 0.04 * (min(batch, ends) / batch_sizes[0]) ** power
        for rate in rates:
            cell = f"{workload}-{trainer}-B{batch}-lr{rate:g}"
            for block in range(blocks):
                apart = math.log(rate / best)
                wanted = samples_min * (1 + batch / critical) * math.exp(apart**2 / 2 + random.normal(0, spread))
                steps = max(2, round(wanted / batch))
                spent = steps * (seconds_per_step + seconds_per_sample * batch) * DRIFT[block % 6] * noise(cell, block)
                status = "diverged" if apart > 1.8 else "missed" if missed(batch, rate, block) else "reached"
                if status == "diverged":
                    steps, spent = max(2, steps // 10), spent / 10
                points = [
                    (steps // 2, steps // 2 * batch, spent / 2, 1.0, 0.8),
                    (steps, steps * batch, spent, 0.5, {"reached": 0.91, "missed": 0.85, "diverged": 0.1}[status]),
                ]
                values = {
                    "comparison": "critical_batch", "workload": workload, "trainer": trainer, "status": status,
                    "hyperparameters": {"optimizer": {"name": "Sgd", "lr": rate}, "batch_size": batch},
                    "stop_at_target": True, "score_along": True,
                }  # fmt: skip
                found.append(_record(cell, block, points, 5.0, **{**values, **changes}))
    return found


def null_test(logs: Sequence[float], workload: str = "digits", missed: bool = False) -> list[Record]:
    """Return trials of one strategy under two names, of which A takes exp(logs[block]) times B's seconds."""
    found = []
    for block, log in enumerate(logs):
        for name, factor in (("A", math.exp(log)), ("B", 1.0)):
            spent = factor * DRIFT[block % 6]
            points = [(50, 3200, spent / 2, 1.0, 0.8), (100, 6400, spent, 0.5, 0.85 if missed else 0.91)]
            found.append(
                _record(
                    f"{workload}-{name}", block, points, 5.0, comparison="null", workload=workload, trainer="MiniBatch",
                    hyperparameters={"batch_size": 64}, status="missed" if missed else "reached",
                    stop_at_target=True, score_along=True,
                )
            )  # fmt: skip
    return found


def failed_gate(trainer: str, workload: str = "digits", **changes: Any) -> dict[str, Any]:
    """Return what ``bench.equivalence.gate`` says of a strategy whose gradients differ."""
    found = {"workload": workload, "trainer": trainer, "passed": False, "reason": "the planted reason"}
    return found | {"world_size": 1, "gap": 0.4, "bound": 1.5e-8, "dtype": "float64", "notes": []} | changes


def results(*records: list[Record], environment: dict[str, Any] | None = None) -> Results:
    together = tuple(record for some in records for record in some)
    return Results(trials_frame(together), curves_frame(together), environment or {}, together, Path("."))


def write(folder: Path, *records: list[Record]) -> Path:
    """Write a run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for some in records:
        for record in some:
            append(folder / "trials.jsonl", record)
    (folder / "environment.json").write_text(json.dumps({"cores": 2, "torch": "2.9.0", "git": None}))
    return folder
