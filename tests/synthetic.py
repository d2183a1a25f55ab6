"""Runs made by hand, in which the fastest, the smallest and the failing are planted."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from paceline.bench.analysis.frames import Results, curves_frame, trials_frame
from paceline.bench.records.record import PHASES, Record, append

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


def searched(
    name: str,
    values: dict[float, float | None],
    *,
    comparison: str = "tuning",
    blocks: int = 3,
    measured: int = 3,
    spread: float = 0.01,
    samples_per_second: float = 64_000.0,
    workload: str = "digits",
    race: bool | None = None,
    **changes: Any,
) -> list[Record]:
    """Return the trials of a search, and those at its best rate that followed on other seeds.

    Args:
        name: of the search within its workload.
        values: by learning rate: samples to target in "tuning" (infinity: missed after 64,000), the final score
            in any other comparison, where the target of 0.9 is reached, if it is, after 64,000 (1 - score) samples
            of 64,000; None: diverged at half of the way.
        comparison: which one it belongs to.
        blocks: seeds of the search.
        measured: seeds of the measurement at the best rate.
        spread: what trials of one rate differ by, as a share of their value (of 1 - score, where it is the score).
        samples_per_second: of the strategy.
        workload: what is trained on.
        race: whether ``values`` are samples to target; None: in "tuning" only.
        **changes: to the records.
    """
    race, cell = comparison == "tuning" if race is None else race, f"{workload}-{name}"
    worth = {lr: value if race else -value for lr, value in values.items() if value is not None}
    best = min(worth or values, key=lambda lr: worth.get(lr, 0.0))
    own = [(f"{cell}-lr{lr:g}", cell, lr, block) for lr in values for block in range(blocks)]
    found = []
    for of_cell, search, lr, block in [*own, *((cell, "", best, block) for block in range(measured))]:
        value = values[lr]
        # From -1 to 1, different for each rate and seed.
        factor = 1 + spread * 100 * (noise(f"{name}{lr:g}{search}", block) - 1) / 2
        if value is None:
            points = [(500, 32_000, math.nan, 0.1)]
            status = "diverged"
        elif race:
            missed = math.isinf(value)
            spent = 64_000 if missed else round(value * factor)
            points = [(spent // 2, spent // 2, 1.0, 0.5), (spent, spent, 0.5, 0.7 if missed else 0.91)]
            status = "missed" if missed else "reached"
        else:
            final = 1 - (1 - value) * factor
            hit = round(64_000 * (1 - value) * factor)
            points = [(1, 64, 2.0, 0.1), (1000, 64_000, 0.5, final)]
            if final > 0.9:
                points.insert(1, (hit // 64, hit, 1.0, 0.9))
            status = "reached" if final > 0.9 else "missed"
        curve = [(step, n, n / samples_per_second, loss, score) for step, n, loss, score in points]
        given: dict[str, Any] = {
            "comparison": comparison,
            "search": search,
            "seed": 1000 + block if search else block,
            "workload": workload,
            "trainer": name if race else "MiniBatch",
            "hyperparameters": {"optimizer": {"name": "Sgd", "lr": lr}, "batch_size": 64},
            "stop_at_target": race,
            "score_along": True,
            "status": status,
            "wall_seconds": curve[-1][2] + 0.5,
        }
        found.append(_record(of_cell, block, curve, 5.0, **given | changes))
    return found


def regularized(
    kind: str, score: float, *, gap: float, best: float | None = None, workload: str = "few-digits", **changes: Any
) -> list[Record]:
    """Return trials of few-digits with this final score and this gap between held-out loss and a training loss of 0.1.

    ``best`` is the score halfway, if that was the best one; a regularizer that is a part of the model has its own
    ``workload``.
    """
    cell, found = f"few-digits-{kind}", []
    for block in range(6):
        away = (noise(cell, block) - 1) / 20
        points = [(1000, 50_000, 0.5, 0.2, best or score - 0.05), (2000, 100_000, 1.0, 0.1, score + away)]
        values: dict[str, Any] = {
            "comparison": "regularization", "workload": workload, "trainer": "MiniBatch", "status": "missed",
            "hyperparameters": {"optimizer": {"name": "Sgd", "lr": 0.1}, "batch_size": 50}, "score_along": True,
            "final_losses": {"train": 0.1, "held_out": 0.1 + gap + away},
        }  # fmt: skip
        found.append(_record(cell, block, points, 5.0, **values | changes))
    return found


def compiled(
    batches: str, speedup: float, later: float, *, step: float = 1e-3, workload: str = "digits", **changes: Any
) -> list[Record]:
    """Return trials as written, of ``step`` seconds each, and compiled ones: so much faster, so many seconds later.

    Of those seconds 1 is spent in recompiling while training, if batches grow; the compiler calls half of the rest its.
    """
    found, again = [], float(batches == "growing")
    for name, trainer, seconds, start in (
        ("plain", "MiniBatch", step, 0.0),
        ("compiled", "Compiled", step / speedup, later - again),
    ):
        for record in timed(
            "compile",
            f"{workload}-{name}-{batches}",
            trainer=trainer,
            seconds_per_step=seconds,
            batch_size=64,
            workload=workload,
        ):
            drift, mark = DRIFT[record.block % 6], again * (name == "compiled")
            curve = record.curve | {"seconds": [each + mark * drift for each in record.curve["seconds"]]}
            ranks = [{**record.ranks[0], "compile_seconds_in_training": mark * drift, "recompilations": int(mark)}]
            values = {
                "setup_seconds": 0.1 * drift, "warmup_seconds": (0.2 + start) * drift, "curve": curve, "ranks": ranks,
                "compile_seconds": start / 2 * drift,
            }  # fmt: skip
            found.append(replace(record, **values | changes))
    return found


def profiled(
    name: str, shares: Mapping[str, float], *, ranks: int = 1, step: float = 1e-3, spread: float = 0.0, **changes: Any
) -> list[Record]:
    """Return trials whose profiled steps of ``step`` seconds divide so; ``spread`` of it comes and goes."""
    workload = changes.get("workload", "digits")
    found = []
    for record in timed(
        "phases", f"{workload}-{name}", trainer=name, seconds_per_step=step, batch_size=64, world_size=ranks, **changes
    ):
        away = spread * (1 if record.block % 2 else -1)
        spent = {phase: 30 * step * shares.get(phase, 0.0) for phase in PHASES}
        spent |= {max(shares, key=lambda phase: shares[phase]): 30 * step * (max(shares.values()) + away)}
        spent["rest"] += 30 * step * (1 - sum(shares.values()) - away)
        seen = {"phase_steps": 30, "phase_wall_seconds": 30 * step, "phase_seconds": spent}
        found.append(replace(record, ranks=[record.ranks[0] | seen] * ranks))
    return found


def loaded(
    rates: Mapping[int, float], batch_size: int = 64, *, cores: int = 2, waiting: float = 0.5, **changes: Any
) -> list[Record]:
    """Return trials with so many samples/s by number of workers, ``waiting`` a share that halves with each.

    Each process takes 100 MB.
    """
    workload, found = changes.get("workload", "digits"), []
    for workers, rate in rates.items():
        for record in timed(
            "loading", f"{workload}-workers{workers}-B{batch_size}", trainer="MiniBatch", batch_size=batch_size,
            seconds_per_step=batch_size / rate, cores=cores, **changes,
        ):  # fmt: skip
            spent = record.curve["seconds"][-1]
            seen = {"waited_for_samples_seconds": waiting * spent / 2**workers}
            seen |= {"family_pss_bytes": (1 + workers) * 100 * MB}
            found.append(replace(record, ranks=[record.ranks[0] | seen]))
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


def ranks(
    speedups: dict[int, float],
    cores: int = 4,
    weak: bool = True,
    threads: Mapping[int, float] | None = None,
    **changes: Any,
) -> list[Record]:
    """Return DDP trials over ranks of one thread with these speed-ups at the same batch.

    ``threads`` are those of one process over threads, against one rank too.
    """
    found = []
    for count, speedup in (threads or {}).items():
        found += timed(
            "scaling", f"digits-MiniBatch-threads-x{count}", trainer="MiniBatch", batch_size=256,
            seconds_per_step=0.01 / speedup, threads=count, cores=cores, **changes,
        )  # fmt: skip
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
    """Return the searches of a sweep over batch sizes, and what was measured at the best of the ``rates`` of each.

    Samples to target follow a hyperbola at the best rate.

    The best rate is 0.04 at the smallest batch size, and grows as its ``power`` up to the batch size ``ends``. At twice
    or half the best a trial takes 27 % more samples; at more than six times the best it diverges. Trials differ by
    ``spread``. Those for which ``missed(batch_size, rate, block)`` is true stop short of the target.
    """
    random, found = np.random.default_rng(0), []
    for batch in batch_sizes:
        best = 0.04 * (min(batch, ends) / batch_sizes[0]) ** power
        name = f"{workload}-{trainer}-B{batch}"
        nearest = min(rates, key=lambda rate, best=best: abs(math.log(rate / best)))
        for rate, search in [*((rate, name) for rate in rates), (nearest, "")]:
            cell = f"{name}-lr{rate:g}" if search else name
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
                    "stop_at_target": True, "score_along": True, "search": search,
                    "seed": 1000 + block if search else block,
                }  # fmt: skip
                found.append(_record(cell, block, points, 5.0, **{**values, **changes}))
    return found


def scaled_inputs(
    samples: Mapping[str, float], spread: float = 0.01, missed: Sequence[str] = (), blocks: int = 6, **changes: Any
) -> list[Record]:
    """Return searches on inputs of these scales, and trials at the best rates that take so many samples to the target.

    The best rate is the middle of three, a tenth of it takes three times as many, and ten times as much diverges. Those
    ``missed`` stop short of the target.
    """
    found = []
    for name, wanted in samples.items():
        best = {"0-to-255": 1e-3, "0-to-1": 1.0}.get(name, 0.1)
        value = math.inf if name in missed else wanted
        found += searched(
            name, {best / 10: 3 * value, best: value, best * 10: None}, workload="mnist5k", spread=spread, blocks=2,
            measured=blocks, comparison="inputs", race=True, **changes,
        )  # fmt: skip
    return [
        replace(record, workload=f"mnist5k-{record.cell.partition('-lr')[0].removeprefix('mnist5k-')}")
        for record in found
    ]


def generalized(
    worse: Mapping[tuple[int, str], float], seconds: float = 0.0, loss: float = 0.01, blocks: int = 6, **changes: Any
) -> list[Record]:
    """Return trials of batches of 16 that score 0.95, and of larger ones that score worse by so much.

    Args:
        worse: by batch size, and "steps" or "samples".
        seconds: by how much those at equal steps are worse halfway, when the smallest is at its end.
        loss: on training samples, of the larger ones.
        blocks: seeds.
        **changes: to the records.
    """
    found = []
    for (size, held), less in {(16, ""): 0.0, **worse}.items():
        cell = f"digits-B{size}-{held}".removesuffix("-")
        for block in range(blocks):
            away, drift = (noise(cell, block) - 1) / 20, DRIFT[block % 6]
            steps = 4000 * 16 // size if held == "samples" else 4000
            half, end = (1.0, 2.0) if held == "steps" else (0.5, 1.0)
            points = [
                (1, size, 1e-3 * drift, 2.0, 0.1),
                (steps // 2, steps // 2 * size, half * drift, 0.5, 0.95 - seconds + away),
                (steps, steps * size, end * drift, 0.1, 0.95 - less + away),
            ]
            values: dict[str, Any] = {
                "comparison": "generalization", "workload": "digits", "trainer": "MiniBatch", "status": "reached",
                "hyperparameters": {"optimizer": {"name": "Sgd", "lr": 0.1}, "batch_size": size}, "score_along": True,
                "final_losses": {"train": loss if held else 0.01, "test": 0.2}, "test_score": 0.95 - less + away,
            }  # fmt: skip
            found.append(_record(cell, block, points, 5.0, **values | changes))
    return found


def normal_logs(noise: float, n: int, seed: int = 0) -> list[float]:
    """Return n log ratios whose mean is 0 and whose standard deviation is exactly ``noise``."""
    x = np.random.default_rng(seed).standard_normal(n)
    return (noise * (x - x.mean()) / x.std(ddof=1)).tolist()


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


def noise_of(noise_scale: float, steps: tuple[int, ...], parts: int = 4, **columns: Any) -> dict[str, list[Any]]:
    """Return what a run observes whose |G|² is 1 and whose tr Σ is ``noise_scale`` times the step's place, from 1.

    Every method sees the squares that it should on average; the training set has 1000 samples.
    """
    traces = [noise_scale * (i + 1) for i in range(len(steps))]

    def squares(batch: float) -> list[float]:
        return [1 + trace * (1 / batch - 1 / 1000) for trace in traces]

    found: dict[str, list[Any]] = {
        "step": list(steps),
        "samples": [64 * step for step in steps],
        "small_batch": [8] * len(steps),
        "big_batch": [500] * len(steps),
        "small_squares": [[s - 0.01 * s, s, s + 0.01 * s] for s in squares(8)],
        "big_squares": [[s, s, s] for s in squares(500)],
        "batch_sizes": [[8, 64, 500]] * len(steps),
        "variances": [[trace * (1 / b - 1 / 1000) for b in (8, 64, 500)] for trace in traces],
        "exact_n": [100] * len(steps),
        "exact_mean_square": squares(1),
        "exact_big_batch": [1000] * len(steps),
        "exact_big_square": squares(1000),
        "parts_step": list(steps),
        "parts": [parts] * len(steps),
        "parts_batch": [64] * len(steps),
        "parts_small_square": squares(64 / parts),
        "parts_big_square": squares(64),
    }
    return found | columns


def noises(
    scales: Sequence[float],
    name: str = "Accumulate",
    optimizer: str = "Sgd",
    steps: tuple[int, ...] = (1, 2, 4, 8),
    workload: str = "digits",
    observed: Mapping[str, Any] | None = None,
    **changes: Any,
) -> list[Record]:
    """Return trials whose noise scale is ``scales[block]`` at their first point, twice that at the second, and so on.

    ``observed`` replaces columns of what they saw.
    """
    found = []
    for block, scale in enumerate(scales):
        points = [(step, 64 * step, 0.01 * step, 1.0, 0.5) for step in steps]
        hyper = {"optimizer": {"name": optimizer, "lr": 0.1}, "batch_size": 64}
        values: dict[str, Any] = {
            "comparison": "noise_scale", "workload": workload, "trainer": name, "hyperparameters": hyper,
            "status": "missed", "noise": noise_of(scale, steps, **(observed or {})),
        }  # fmt: skip
        found.append(_record(f"{workload}-{name}", block, points, 5.0, **values | changes))
    return found


def failed_gate(trainer: str, workload: str = "digits", **changes: Any) -> dict[str, Any]:
    """Return what ``harness.equivalence.gate`` says of a strategy whose gradients differ."""
    found = {"workload": workload, "trainer": trainer, "passed": False, "reason": "the planted reason"}
    return found | {"world_size": 1, "gap": 0.4, "bound": 1.5e-8, "dtype": "float64", "notes": []} | changes


def results(*records: list[Record], environment: dict[str, Any] | None = None) -> Results:
    together = tuple(record for some in records for record in some)
    return Results(trials_frame(together), curves_frame(together), environment or {}, together, Path("."))


def regularized_every_way() -> Results:
    """One that helps (its workload is its own), one that hurts, one that changes nothing."""
    return results(
        regularized("none", 0.87, gap=0.5),
        regularized("dropout", 0.92, gap=0.3, workload="few-digits-dropout"),
        regularized("L1", 0.80, gap=0.6),
        regularized("L2", 0.87, gap=0.5),
        regularized("early-stopping", 0.86, gap=0.2, best=0.89, status="plateaued", stop_on_plateau=20),
    )


def write(folder: Path, *records: list[Record]) -> Path:
    """Write a run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for some in records:
        for record in some:
            append(folder / "trials.jsonl", record)
    (folder / "environment.json").write_text(json.dumps({"cores": 2, "torch": "2.9.0", "git": None}))
    return folder


def streamed(
    trainer: str,
    share: float,
    *,
    kind: str = "asked",
    samples: int = 1000,
    behind: float = 0.0,
    blocks: int = 4,
    workload: str = "digits-stream",
    **changes: Any,
) -> list[Record]:
    """Return trials that followed a stream of ten classes at random and predicted so large a ``share`` of it right.

    Where samples arrive at a rate, each takes 1 ms, and ``behind`` as many more arrive as are learned from meanwhile.
    """
    rate = {"asked": None, "paced": 1e3, "flooded": 1e4}[kind]
    found = []
    for block in range(blocks):
        labels = np.random.default_rng(0).integers(0, 10, samples)
        chance = np.random.default_rng([block, *map(ord, trainer)]).random(samples)
        predicted = np.where(chance < share, labels, (labels + 1) % 10)
        latency: list[float | None] = [None] * samples
        if rate is not None:
            latency[1:] = [round(1e-3 + behind * number / rate, 6) for number in range(1, samples)]
        columns = (labels.tolist(), predicted.tolist(), [1.0] * samples, latency)
        values: dict[str, Any] = {
            "comparison": "stream", "workload": workload, "trainer": trainer, "status": "missed",
            "hyperparameters": {"optimizer": {"name": "Sgd", "lr": 0.1}}, "train_samples": None,
            "stop_at_target": False, "score_along": False,
            "arrivals": {"samples": samples, "per_second": rate},
            "stream": dict(zip(("label", "predicted", "loss", "latency_seconds"), columns, strict=True)),
        }  # fmt: skip
        points = [(samples, samples, 1.0, 0.5, 0.8)]
        found.append(_record(f"{workload}-{trainer}-{kind}", block, points, 5.0, **values | changes))
    return found


def limited(
    trainer: str,
    grows: float = 0.0,
    *,
    samples: int = 1_000_000,
    ended: str = "",
    blocks: int = 3,
    workload: str = "larger-than-memory",
    **changes: Any,
) -> list[Record]:
    """Return trials under a limit of 128 MB that add ``grows`` bytes to 200 MB a sample of 200 bytes, or ``ended``."""
    found = []
    for block in range(blocks):
        seen = np.unique(np.geomspace(1, samples, 100).astype(int))
        taken = 200e6 + 1e5 * noise(trainer, block) * np.minimum(seen, 1000) / 1000 + grows * seen
        values: dict[str, Any] = {
            "comparison": "memory", "workload": workload, "trainer": trainer, "status": "missed",
            "hyperparameters": {"optimizer": {"name": "Sgd", "lr": 0.1}, "batch_size": 64},
            "stop_at_target": False, "score_along": False, "memory_limit_bytes": 128_000_000,
        }  # fmt: skip
        points = [(samples // 64, samples, 1.0, 0.5, 0.8)]
        if ended:
            points, values = [], {**values, "status": "out_of_memory", "reason": ended}
        record = _record(f"{workload}-{trainer}", block, points, 5.0, **values | changes)
        columns = {"samples": seen.tolist(), "private_bytes": taken.astype(int).tolist()}
        ranks = [{**record.ranks[0], "sample_bytes": 200}]
        found.append(replace(record, memory={} if ended else columns, ranks=ranks))
    return found
