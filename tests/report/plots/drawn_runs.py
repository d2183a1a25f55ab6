"""Runs made to be drawn, and what to find in a figure."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from paceline.bench.analysis.frames import Results, curves_frame, trials_frame
from paceline.bench.records.anchors import apart
from paceline.bench.records.record import Record
from tests import synthetic
from tests.synthetic import noises, null_test, searched

MB = 1_000_000

TWELVE = (
    "FullBatch",
    "MiniBatch",
    "Online",
    "Accumulate",
    "Amp",
    "Ddp",
    "Lion",
    "Muon",
    "LocalSgd",
    "Lookahead",
    "SharpnessAwareMinimization",
    "Zero",
)


def results_of(*records: Record) -> Results:
    own, anchors = apart(records)
    return Results(trials_frame(own), curves_frame(own), {}, own, Path(), anchors=anchors)


def gated(gate: Sequence[dict[str, object]], *records: Record) -> Results:
    return replace(results_of(*records), equivalence=tuple(gate))


def record(comparison: str, trainer: str, seed: int = 0, **changes: object) -> Record:
    """A trial that reached 0.93 at once, in one step of 64 samples and 1 s."""
    base = Record(
        trial="",
        started="",
        comparison=comparison,
        cell=f"{changes.get('workload', 'digits')}-{trainer}",
        suite="quick",
        block=seed,
        position=0,
        workload="digits",
        trainer=trainer,
        hyperparameters={},
        seed=seed,
        world_size=1,
        threads=1,
        cores=8,
        device="cpu",
        target=0.93,
        higher_is_better=True,
        seconds_allowed=None,
        steps_allowed=None,
        stop_at_target=comparison == "strategies",
        score_along=comparison == "strategies",
        status="reached",
        reason="",
        curve=path([1.0], [0.93]),
        parameters=100_000,
        dtype="float32",
        ranks=[{"peak_rss_bytes": 105 * MB, "start_rss_bytes": 100 * MB}],
    )
    changed = replace(base, **changes)  # type: ignore[arg-type]
    return replace(changed, trial=f"{comparison}-{changed.cell}-{seed}")


def path(seconds: list[float], scores: list[float | None], batch: int = 64) -> dict[str, list[object]]:
    steps = list(range(1, len(seconds) + 1))
    return {
        "step": list(steps),
        "samples": [batch * s for s in steps],
        "seconds": list(seconds),
        "loss": [1.0] * len(steps),
        "score": list(scores),
    }


def memory(megabytes: float) -> list[dict[str, float]]:
    return [{"peak_rss_bytes": 100 * MB + megabytes * MB, "start_rss_bytes": 100 * MB}]


def learning(seconds: float, seed: int, points: int = 60, target: float = 0.93) -> dict[str, list[object]]:
    """A noisy way up from 0.1, which reaches the target for the first time at ``seconds``."""
    x = np.geomspace(seconds / 200, seconds, points)
    noise = 0.02 * np.random.default_rng(seed).standard_normal(points)
    scores = np.minimum(target - 0.83 * (1 - np.linspace(0, 1, points)) ** 2 + noise, target - 0.001)
    return path(x.tolist(), [*scores[:-1].tolist(), target + 0.002])


def strategies(
    names: tuple[str, ...] = TWELVE[:6], seeds: int = 3, same: bool = False, **changes: object
) -> list[Record]:
    return [
        record(
            "strategies",
            name,
            seed,
            curve=learning((0.2 if same else 0.1 * 1.6**i) * (1 + 0.1 * seed), 10 * i + seed),
            ranks=memory(5 if same else 5 + 3 * (i * 5 % 7) + 0.2 * seed),
            **changes,
        )
        for i, name in enumerate(names)
        for seed in range(seeds)
    ]


def timed(
    comparison: str, trainer: str, batch: int, seconds_per_step: float, seed: int = 0, **changes: object
) -> Record:
    curve = path([seconds_per_step, 2 * seconds_per_step], [None, 0.9], batch)
    cell = f"{changes.get('workload', 'digits')}-{trainer}-B{batch}-x{changes.get('world_size', 1)}"
    given: dict[str, object] = {"cell": cell, "curve": curve, "status": "missed"}
    return record(comparison, trainer, seed, **(given | changes))


def batch_sizes(names: tuple[str, ...] = ("MiniBatch",), seeds: int = 3) -> list[Record]:
    return [
        timed(
            "batch_size",
            name,
            b,
            (1e-4 + 1e-6 * b) * (1 + 0.1 * seed + 0.03 * i),
            seed,
            ranks=memory(3 + i + b / 100),
        )
        for i, name in enumerate(names)
        for b in (1, 4, 16, 64, 256, 1024, 4000)
        for seed in range(seeds)
    ]


def precisions(speed_up: float = 1.83, seeds: int = 3, widths: tuple[int, ...] = (64, 256, 1024)) -> list[Record]:
    found = []
    for width, b, seed in itertools.product(widths, (32, 128, 512), range(seeds)):
        drift = 1 + 0.5 * seed  # of the machine: it slows whole blocks, which must cancel
        for name, seconds in (("MiniBatch", 0.01 * drift), ("Amp", 0.01 * drift / speed_up)):
            dtype = "bfloat16" if name == "Amp" else "float32"
            found.append(
                timed(
                    "precision",
                    name,
                    b,
                    seconds,
                    seed,
                    workload=f"digits-{width}",
                    parameters=1000 * width,
                    dtype=dtype,
                )
            )
    return found


def ranks_of(
    speed_up: dict[int, float],
    seeds: int = 3,
    cores: int = 8,
    weak: dict[int, float] | None = None,
    threads: dict[int, float] | None = None,
) -> list[Record]:
    """Strong scaling with exactly these speed-ups, weak scaling, and one process on threads, of 256 samples."""
    found = []
    for seed in range(seeds):
        one = 0.01 * (1 + 0.3 * seed)
        found.append(timed("scaling", "Ddp", 256, one, seed, cores=cores))
        for ranks, times in speed_up.items():
            found.append(timed("scaling", "Ddp", 256, one / times, seed, world_size=ranks, cores=cores, ranks=[]))
        for ranks, times in (weak or {}).items():
            found.append(
                timed(
                    "scaling",
                    "Ddp",
                    256 * ranks,
                    one * ranks / times,
                    seed,
                    world_size=ranks,
                    cores=cores,
                    ranks=[],
                )
            )
        for count, times in (threads or {}).items():
            own = {"threads": count, "cores": cores, "cell": f"digits-MiniBatch-threads-x{count}"}
            found.append(timed("scaling", "MiniBatch", 256, one / times, seed, **own))
    return found


SCALING = ranks_of({2: 1.9, 4: 3.4, 8: 5.0, 16: 4.0}, weak={2: 1.95, 4: 3.8, 8: 7.0, 16: 6.0})

LONG = "a-workload-of-mine-with-a-name-that-nobody-would-ever-want-to-type-$twice$"

NOISE = noises([20.0, 30.0, 50.0]) + noises([25.0, 30.0, 45.0], "Adam", "Adam", steps=(1, 3, 9, 27, 30))

MISSED = path([1.0, 4.0], [0.3, 0.5])


def noisy(noise: float, n: int) -> list[Record]:
    return null_test((noise * np.random.default_rng(0).standard_normal(n)).tolist())


def bowl(best: float, value: float, score: bool, rates: int = 7) -> dict[float, float | None]:
    """What a search finds: ``value`` at the rate ``best``, worse to both sides, and above all is lost."""
    steps = range(-(rates // 2), rates - rates // 2)
    found = {best * 10 ** (k / 4): value - 0.004 * k * k if score else value * (1 + 0.3 * k * k) for k in steps}
    return found | {best * 10 ** ((rates - rates // 2) / 4): None if score else math.inf}


OPTIMIZERS = ("Sgd", "Momentum", "Nesterov", "Adagrad", "Adadelta", "RmsProp", "Adam", "AdamW", "SgdCosine", "SgdStep",
              "SgdExponential", "SgdTimeDecay", "SgdWarmupCosine")  # fmt: skip


def tuned(
    names: tuple[str, ...] = TWELVE[:6], optimizers: tuple[str, ...] = OPTIMIZERS, **changes: Any
) -> list[Record]:
    """A search of each strategy, and one of each optimizer."""
    found = [searched(name, bowl(0.1, 3000 * 1.3**i, score=False), **changes) for i, name in enumerate(names)]
    for i, name in enumerate(optimizers):
        best = 0.001 if i in (5, 6, 7) else 0.1
        found.append(searched(name, bowl(best, 0.93 + i / 500, score=True), comparison="optimizers", **changes))
    return [record for records in found for record in records]


def published(labels: tuple[str, ...] = ("Adam-B64", "Adam-B1", "Adam-B1-scaled", "Sgd-B1")) -> list[Record]:
    cells = [("mnist1d-linear", "mnist1d-linear", 0.315), ("mnist1d-cnn", "mnist1d-cnn", 0.8)]
    cells += [(f"mnist5k-{label}", "mnist5k", 0.9 + 0.01 * i) for i, label in enumerate(labels)]
    return [
        record
        for cell, workload, score in cells
        for record in synthetic.timed(
            "reproductions", cell, trainer="Cyclic", seconds_per_step=1e-3, batch_size=64, score=score,
            workload=workload,
        )
    ]  # fmt: skip


REGULARIZED = [
    record
    for kind, score, gap in (("none", 0.87, 0.5), ("L1", 0.80, 0.6), ("L2", 0.87, 0.5), ("early-stopping", 0.88, 0.3))
    for record in synthetic.regularized(kind, score, gap=gap)
]


def axes_of(figure: Figure | None) -> list[Axes]:
    assert figure is not None
    return figure.get_axes()


def lines_of(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_label() == label]


def only(axes: Axes, label: str) -> Line2D:
    [line] = lines_of(axes, label)
    return line


def written(figure: Figure | None) -> list[str]:
    assert figure is not None
    return [text for text, _ in texts(figure)]


def texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """All that is written, as it lies on the page, in pixels."""
    figure.draw_without_rendering()
    # Ticks outside the limits exist, but are not drawn: they lie nowhere.
    ticks = {id(t) for a in figure.get_axes() for axis in (a.xaxis, a.yaxis) for t in axis.get_ticklabels(which="both")}
    drawn = {
        id(t)
        for a in figure.get_axes()
        for axis in (a.xaxis, a.yaxis)
        for tick in axis._update_ticks()
        for t in (tick.label1, tick.label2)
    }
    hidden = ticks - drawn
    visible = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and id(t) not in hidden]
    renderer = figure.canvas.get_renderer()
    return [(t.get_text(), Text.get_window_extent(t, renderer)) for t in visible]  # without an annotation's arrow
