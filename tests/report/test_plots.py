"""Plots: what is drawn is what was measured, and every word of it can be read."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.analysis.frames import Results, curves_frame, summary, trials_frame
from paceline.bench.harness.equivalence import BATCH_NORM
from paceline.bench.records.record import Record
from paceline.bench.report.plots import PLOTS, save_plots
from paceline.bench.report.plots.convergence import Curve, median_curve
from paceline.bench.report.plots.labels import spread
from paceline.bench.report.plots.pareto import undominated
from paceline.bench.report.plots.scaling import speed_ups
from paceline.bench.report.plots.style import number, short, styles
from tests import synthetic
from tests.synthetic import failed_gate, noises, null_test, searched, swept

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
    return Results(trials_frame(records), curves_frame(records), {}, records, Path())


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
    speed_up: dict[int, float], seeds: int = 3, cores: int = 8, weak: dict[int, float] | None = None
) -> list[Record]:
    """Strong scaling with exactly these speed-ups, and weak scaling, of 256 samples on one rank."""
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


def nasty() -> dict[str, list[Record]]:
    """Results that have broken a plot before, or could."""
    crashed = {"status": "crashed", "curve": path([], []), "ranks": []}
    partly = strategies(seeds=5)
    partly[0] = replace(partly[0], status="crashed", curve=path([], []), ranks=[])
    partly[6] = replace(partly[6], status="diverged", curve=path([0.1, 0.2], [0.3, None]), ranks=[])
    partly[11:14] = [replace(r, status="missed", curve=MISSED) for r in partly[11:14]]
    partly[20] = replace(partly[20], status="missed", curve=MISSED)
    falling = [
        replace(
            r,
            higher_is_better=False,
            target=0.1,
            curve=r.curve | {"score": [3 - 2.9 * s / 0.93 for s in r.curve["score"]]},
        )
        for r in strategies()
    ]
    return {
        "usual": strategies()
        + batch_sizes()
        + precisions()
        + SCALING
        + noisy(0.04, 12)
        + tuned()
        + NOISE
        + swept()
        + published()
        + REGULARIZED,
        "twelve": strategies(TWELVE) + batch_sizes(TWELVE) + tuned(TWELVE),
        "equal": strategies(TWELVE, same=True) + precisions(1.0),
        "one": strategies(TWELVE[:1], seeds=1)
        + swept((16, 64), (0.1,), blocks=1)
        + batch_sizes(seeds=1)[:1]
        + precisions(seeds=1, widths=(64,))[:2]
        + ranks_of({2: 1.5}, seeds=1)
        + noises([40.0], steps=(1,)),
        "partly": partly
        + swept(missed=lambda batch, rate, block: batch == 4 or (batch > 200 and block != 1))
        + batch_sizes(seeds=1)
        + ranks_of({2: 1.2, 4: 1.1}, cores=2, weak={2: 1.6, 4: 1.5}),
        "missed": swept(missed=lambda batch, rate, block: True)
        + [replace(r, status="missed", curve=MISSED) for r in strategies()],
        "crashed": [record(c, n, **crashed) for c in ("strategies", "batch_size", "scaling") for n in ("Amp", "Ddp")],
        "unmeasured": [replace(r, ranks=[]) for r in strategies() + batch_sizes()],
        "long": strategies(workload=LONG)
        + strategies(("Amp", "MiniBatch"))
        + [replace(r, workload=LONG) for r in SCALING]
        + null_test([0.01, 0.02, -0.03], LONG)
        + noises([30.0, 5000.0], workload=LONG)
        + noises([30.0, 50.0], "Adam", "Adam", workload=LONG)
        + noises([-3.0, -5.0], "Ddp", "AdamW", workload="hidden", observed={"parts_step": []})
        + noisy(0.002, 3),
        "falling": falling
        + swept(spread=0.1)
        + swept(trainer="FullBatch", critical=300, samples_min=20_000)
        + [
            replace(r, higher_is_better=False, target=0.1, curve=r.curve | {"score": [1 - s for s in r.curve["score"]]})
            for r in tuned(optimizers=OPTIMIZERS[:6])
        ],
        "nothing found": searched("Online", {0.1: math.inf, 1.0: None})
        + searched("Sgd", {0.1: None}, comparison="optimizers"),
        "one rate": searched("Online", {0.1: 3000.0}, blocks=1)
        + searched("Sgd", {0.1: 0.95}, comparison="optimizers", blocks=1),
        "two workloads": tuned(TWELVE[:2], OPTIMIZERS[:2]) + tuned(TWELVE[:9], OPTIMIZERS[5:9], workload=LONG),
        "many seeds": swept(critical=1e9, spread=0.2, blocks=6, workload="digits")
        + strategies(TWELVE[:4], seeds=10)
        + precisions(0.5, seeds=6)
        + noisy(0.8, 30),
        "empty": [],
    }


NASTY = nasty()
LONG_REASON = "could not be checked: " + "rank 1 left with a message of many words and $5 of costs; " * 5


# What the check before the comparison found: without a mark it changes nothing.
GATES = {
    "usual": [failed_gate(name, reason="", passed=True, gap=0.0) for name in TWELVE],
    "twelve": [failed_gate(name, reason=BATCH_NORM) for name in ("Ddp", "Accumulate", "SharpnessAwareMinimization")],
    "partly": [failed_gate("Ddp"), failed_gate("Accumulate")],
    "missed": [failed_gate("Amp", reason=LONG_REASON, gap=None), failed_gate("Ddp")],
    "long": [failed_gate("Amp", LONG), failed_gate("Amp"), failed_gate("Ddp", LONG, reason=LONG_REASON, gap=None)],
    "falling": [failed_gate(name) for name in TWELVE[:6]],
    "unmeasured": [failed_gate("Ddp")],
}


def axes_of(figure: Figure | None) -> list[Axes]:
    assert figure is not None
    return figure.get_axes()


def lines_of(axes: Axes, label: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_label() == label]


def only(axes: Axes, label: str) -> Line2D:
    [line] = lines_of(axes, label)
    return line


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


@pytest.fixture(scope="module")
def figures() -> dict[tuple[str, str], Figure]:
    runs = {case: gated(GATES.get(case, []), *records) for case, records in NASTY.items()}
    drawn = {(case, key): plot(run) for case, run in runs.items() for key, plot in PLOTS.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def test_no_two_texts_overlap_and_none_is_cut_off(figures: dict[tuple[str, str], Figure]) -> None:
    wrong = []
    for name, figure in figures.items():
        written = texts(figure)
        for (a, box), (b, other) in itertools.combinations(written, 2):
            if box.padded(-0.5).overlaps(other.padded(-0.5)):
                wrong.append((*name, a, b))
        page = figure.bbox.padded(1)
        wrong += [
            (*name, a, "is cut off")
            for a, b in written
            if not page.contains(b.x0, b.y0) or not page.contains(b.x1, b.y1)
        ]
    assert not wrong


def test_every_axis_names_its_unit(figures: dict[tuple[str, str], Figure]) -> None:
    for (case, key), figure in figures.items():
        for axes in figure.get_axes():
            if axes.get_label() == "<colorbar>":
                assert re.search(r"\(.+\)$", axes.get_xlabel())
                continue
            assert re.search(r"\(.+\)$", axes.get_xlabel()), (case, key, axes.get_xlabel())
            shares = key in (
                "convergence",
                "noise_scale",
                "null",
                "precision",
                "regularization",
                "reproductions",
                "time_to_target",
            )  # there the left panel's, or names
            assert re.search(r"\(.+\)$", axes.get_ylabel()) or (shares and not axes.get_ylabel())
    units = {
        key: [a.get_ylabel() for a in figures["usual", key].get_axes()] for key in ("pareto", "batch_size", "scaling")
    }
    assert units == {
        "pareto": ["training time to target (s)"],
        "batch_size": ["throughput (samples/s)", "resident memory that training added (MB)"],
        "scaling": ["speed-up over one rank (x)", "efficiency: speed-up over ranks (%)"],
    }


def test_files_are_written_for_exactly_the_plots_that_there_are_results_for(tmp_path: Path) -> None:
    assert save_plots(results_of(), tmp_path / "empty") == []
    both = results_of(*ranks_of({2: 1.5}, seeds=1), *batch_sizes(seeds=1))
    written = save_plots(both, tmp_path / "new" / "folder")
    assert [file.name for file in written] == ["batch_size.png", "scaling.png"]
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == [
        "batch_size.png",
        "scaling.png",
    ]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in written)


def test_plots_without_results(figures: dict[tuple[str, str], Figure]) -> None:
    drawn = {case: [key for key in PLOTS if (case, key) in figures] for case in NASTY}
    assert drawn["empty"] == []
    assert drawn["usual"] == list(PLOTS)
    assert drawn["missed"] == [
        "convergence",
        "time_to_target",
        "best_rate",
    ]  # no strategy has a time, so none has a point
    assert drawn["crashed"] == ["time_to_target"]  # which counts them
    assert drawn["unmeasured"] == ["convergence", "time_to_target", "batch_size"]


def test_a_strategy_looks_the_same_in_every_plot_and_like_no_other() -> None:
    few, many = styles(results_of(*strategies(("Amp", "Lion")))), styles(results_of(*strategies(TWELVE)))
    assert few["Amp"] == many["Amp"]
    assert set(TWELVE) <= set(many)
    assert len({(s.color, s.marker) for s in many.values()}) == len(many)
    figure = axes_of(PLOTS["time_to_target"](results_of(*strategies(TWELVE))))[0]
    for name in TWELVE:
        assert (only(figure, name).get_color(), only(figure, name).get_marker()) == (
            many[name].color,
            many[name].marker,
        )


# --- strategies that solve another problem


def written(figure: Figure | None) -> list[str]:
    assert figure is not None
    return [text for text, _ in texts(figure)]


@pytest.mark.parametrize("key", ["convergence", "time_to_target", "pareto"])
def test_a_failed_gate_puts_a_star_on_the_strategy_and_says_why_below(key: str) -> None:
    records = strategies(("MiniBatch", "Ddp", "Amp"))
    plain, marked = (written(PLOTS[key](gated(gate, *records))) for gate in ([], [failed_gate("Ddp")]))
    footnote = "* Ddp solves another problem: the planted reason"
    expected = ["Ddp *" if text == "Ddp" else text for text in plain]
    assert "Ddp *" in expected
    assert sorted(marked) == sorted([*expected, footnote])


@pytest.mark.parametrize("key", list(PLOTS))
def test_where_every_gate_passed_nothing_is_marked(figures: dict[tuple[str, str], Figure], key: str) -> None:
    checked = figures["usual", key]
    assert written(checked) == written(PLOTS[key](results_of(*NASTY["usual"])))


def test_a_mark_stays_in_its_workload_and_its_comparison() -> None:
    gate = [failed_gate("Ddp", workload="a")]
    records = strategies(("Amp", "Ddp"), workload="a") + strategies(("Amp", "Ddp"), workload="b")
    found = written(PLOTS["pareto"](gated(gate, *records)))
    assert (found.count("Ddp *"), found.count("Ddp")) == (1, 1)
    elsewhere = [replace(each, workload="c") for each in SCALING]
    assert not any("another problem" in text for text in written(PLOTS["scaling"](gated(gate, *elsewhere))))


def test_ranks_that_solve_another_problem_are_marked_by_their_number() -> None:
    plain, others, marked = (
        written(PLOTS["scaling"](gated([failed_gate("Ddp", world_size=size)], *SCALING))) for size in (3, 32, 2)
    )
    assert plain == others
    assert "* Ddp with 2 ranks solves another problem: the planted reason" in marked
    assert {text for text in marked if text.endswith(" *")} == {
        "strong (256 samples in all) *", "weak (256 samples a rank) *"
    }  # fmt: skip


def test_the_heat_map_marks_the_model_on_which_amp_solves_another_problem() -> None:
    found = written(PLOTS["precision"](gated([failed_gate("Amp", "digits-256")], *precisions())))
    assert "* Amp on digits-256 solves another problem: the planted reason" in found
    assert [text for text in found if " *\n" in text] == ["digits-256 *\n(256k)"]


def test_a_strategy_without_a_point_is_marked_where_it_is_named() -> None:
    records = [replace(r, ranks=[]) if r.trainer == "Ddp" else r for r in strategies(("Amp", "Ddp"))]
    found = written(PLOTS["pareto"](gated([failed_gate("Ddp", reason="no driver", gap=None)], *records)))
    assert "no point: Ddp * (memory not measured)" in found
    assert "* Ddp is not shown to solve the same problem: no driver" in found


# --- null


def test_every_pair_of_the_null_test_is_a_dot_and_its_interval_a_bar() -> None:
    logs = [0.05, -0.02, 0.01, 0.0]
    [axes] = axes_of(PLOTS["null"](results_of(*null_test(logs))))
    dots, bars = lines_of(axes, "_pairs"), lines_of(axes, "_interval")
    assert len(dots) == len(bars) == 2  # seconds to target, and per step
    assert sorted(dots[0].get_xdata()) == pytest.approx(sorted(np.exp(logs)))
    half = 3.182446 * np.std(logs, ddof=1) / 2  # Student's t at 3 degrees of freedom
    assert list(bars[0].get_xdata()) == pytest.approx([np.exp(0.01 - half), np.exp(0.01 + half)], rel=1e-5)
    assert PLOTS["null"](results_of(*null_test([0.1, 0.2]))) is None


# --- convergence


def curve(x: list[float], score: list[float], status: str = "reached") -> Curve:
    return Curve(np.array(x, dtype=float), np.array(score), status)


def test_the_median_counts_seeds_that_are_done() -> None:
    seeds = [
        curve([1, 2], [0.5, 0.95]),
        curve([1, 3, 4], [0.3, 0.6, 0.93]),
        curve([1, 3, 8], [0.1, 0.4, 0.94]),
    ]
    middle = median_curve(seeds, target=0.93, higher_is_better=True)
    assert middle is not None
    # At 2 the scores are 0.95, 0.3, 0.1; at 3 they are 0.95 (done), 0.6, 0.4; at 4 the median seed is there.
    assert middle.x.tolist() == [1, 2, 3, 4]
    assert middle.median.tolist() == [0.3, 0.3, 0.6, 0.93]
    assert middle.low.tolist() == [0.1, 0.1, 0.4, 0.4]
    assert middle.high.tolist() == [0.5, 0.95, 0.95, 0.95]


def test_the_median_ends_where_a_seed_ran_out_of_its_budget() -> None:
    seeds = [curve([1, 2, 9], [0.2, 0.4, 0.8], "missed"), curve([1, 2, 3], [0.2, 0.6, 0.7], "missed")]
    middle = median_curve(seeds, 0.93, higher_is_better=True)
    assert middle is not None
    assert middle.x.tolist() == [1, 2, 3]
    assert middle.median.tolist() == pytest.approx([0.2, 0.5, 0.55])


def test_diverged_seeds_count_as_worst_and_crashed_ones_not() -> None:
    seeds = [curve([1, 4], [0.5, 0.93]), curve([1, 2], [0.4, 0.6], "diverged"), curve([1, 4], [0.3, 0.94])]
    middle = median_curve([*seeds, curve([1], [0.9], "crashed")], 0.93, higher_is_better=True)
    assert middle is not None
    assert middle.median.tolist() == [0.4, 0.5, 0.93]
    assert middle.low.tolist() == [0.3, 0.3, -np.inf]
    falling = median_curve([curve([1, 2], [3.0, 0.5]), curve([1], [3.0], "diverged")], 0.6, higher_is_better=False)
    assert falling is not None
    assert falling.high.tolist() == [3.0, np.inf]


def test_no_median_without_a_seed() -> None:
    assert median_curve([curve([], [])], 0.9, True) is None
    assert median_curve([curve([1], [0.5], "crashed")], 0.9, True) is None


def test_from_six_seeds_on_the_band_is_the_interval_of_the_median() -> None:
    nine = [curve([1.0], [0.1 * k], "missed") for k in range(9)]
    middle = median_curve(nine, 0.95, higher_is_better=True)
    assert middle is not None
    # Of nine values the second smallest and the second largest: 1 - 2 * (1 + 9) / 2**9 = 96 %.
    assert (middle.low[0], middle.high[0]) == (nine[1].score[0], nine[7].score[0])


def test_the_median_is_drawn_against_seconds_steps_and_samples() -> None:
    way = [0.6, 0.7, 0.8, 0.93]
    records = [
        record("strategies", "Amp", seed, curve=path([t * (1 + seed) for t in (1, 2, 4, 8)], way)) for seed in range(3)
    ]
    panels = axes_of(PLOTS["convergence"](results_of(*records)))
    steps, samples = (only(panels[i], "Amp").get_xydata().tolist() for i in (1, 2))
    assert steps == [[1, 0.6], [2, 0.7], [3, 0.8], [4, 0.93]]
    assert samples == [[64, 0.6], [128, 0.7], [192, 0.8], [256, 0.93]]
    assert only(panels[0], "Amp").get_xydata()[-1].tolist() == [16, 0.93]  # of 8, 16 and 24 s
    assert [len(lines_of(axes, "_seed")) for axes in panels] == [3, 3, 3]
    assert "target\n0.93" in [text.get_text() for text in panels[2].texts]


# --- time to target


def test_strategies_are_sorted_and_their_medians_drawn_with_number_and_unit() -> None:
    records = [
        record(
            "strategies",
            name,
            seed,
            curve=path([t * (1 + 0.1 * seed) / 2, t * (1 + 0.1 * seed)], [0.5, 0.94]),
        )
        for name, t in (("Amp", 2.0), ("Ddp", 0.2))
        for seed in range(3)
    ]
    seconds, samples = axes_of(PLOTS["time_to_target"](results_of(*records)))
    assert [text.get_text() for text in seconds.get_yticklabels()] == ["Ddp", "Amp"]
    assert only(seconds, "Amp").get_xdata()[0] == pytest.approx(2.2)
    assert [text.get_text() for text in seconds.texts] == ["0.22 s", "2.2 s"]
    assert only(samples, "Ddp").get_xdata()[0] == 128
    assert seconds.get_xscale() == "log"
    assert samples.get_xscale() == "linear"
    # A whisker goes back to the last evaluation that missed: half the time, and half the samples.
    for axes, hits in ((seconds, [0.2, 0.22, 0.24]), (samples, [128] * 3)):
        whiskers = next(c for c in axes.collections if c.get_label() == "_whiskers").get_segments()
        assert [w[:, 0].tolist() for w in whiskers] == [pytest.approx([hit / 2, hit]) for hit in hits]
        assert lines_of(axes, "_trials")[0].get_xdata().tolist() == pytest.approx(hits)
    table = summary(results_of(*records).trials).set_index("trainer")
    ends = [line.get_xdata().tolist() for line in lines_of(seconds, "_interval")]
    assert ends[0] == pytest.approx(table.loc["Ddp", ["seconds_to_target_low", "seconds_to_target_high"]].tolist())


def test_missed_trials_are_open_triangles_with_their_number() -> None:
    records = strategies(("Amp", "Ddp"), seeds=5)
    for i in (1, 3):
        records[i] = replace(records[i], status="missed", curve=MISSED)
    records[4] = replace(records[4], status="crashed", curve=path([], []))
    records[5] = replace(records[5], status="diverged", curve=MISSED)
    for axes in axes_of(PLOTS["time_to_target"](results_of(*records))):
        triangles = lines_of(axes, "_missed")
        assert [len(line.get_xdata()) for line in triangles] == [1, 3]  # Ddp is first: most of Amp's missed
        assert all(line.get_marker() == ">" and line.get_markerfacecolor() == "white" for line in triangles)
        written = [text.get_text() for text in axes.texts]
        assert "1 of 5 missed" in written
        assert "2 of 5 missed\n1 of 5 failed" in written
        assert not lines_of(axes, "Amp")  # its median is infinite
        assert sum(len(line.get_xdata()) for line in lines_of(axes, "_trials")) == 6


# --- batch size


def test_throughput_and_memory_are_the_medians() -> None:
    records = [
        timed("batch_size", "MiniBatch", b, b / throughput * factor, seed, ranks=memory(megabytes * factor))
        for b, throughput, megabytes in ((1, 100, 2), (10, 800, 3), (100, 4000, 20))
        for seed, factor in enumerate((0.5, 1, 3))
    ]
    left, right = axes_of(PLOTS["batch_size"](results_of(*records)))
    assert only(left, "MiniBatch").get_xydata() == pytest.approx(np.array([[1, 100], [10, 800], [100, 4000]]))
    assert only(right, "MiniBatch").get_xydata() == pytest.approx(np.array([[1, 2], [10, 3], [100, 20]]))
    assert len(only(left, "_trials").get_xdata()) == 9
    x, y = only(left, "_ideal").get_data()
    assert y / x == pytest.approx([100, 100])  # samples/s per sample of the batch, as the first point has it
    written = [[text.get_text() for text in axes.texts if text.get_text()] for axes in (left, right)]
    assert written == [["4.0k/s", "100/s", "in proportion\nto batch size"], ["20 MB", "2.0 MB"]]


# --- precision


def test_cells_show_the_planted_ratio_and_difference() -> None:
    records = precisions(1.83)
    for i, r in enumerate(records):
        if r.trainer == "Amp":
            records[i] = replace(r, curve=r.curve | {"score": [None, 0.9 - 0.004]})
    speed, change = axes_of(PLOTS["precision"](results_of(*records)))[:2]
    assert [text.get_text() for text in speed.texts] == ["1.83x\n[1.83, 1.83]"] * 9
    assert [text.get_text() for text in change.texts] == ["-0.40\n[-0.40, -0.40]"] * 9
    assert [label.get_text() for label in speed.get_yticklabels()] == [
        "digits-64\n(64k)",
        "digits-256\n(256k)",
        "digits-1024\n(1.0M)",
    ]
    assert "percentage points" in axes_of(PLOTS["precision"](results_of(*records)))[3].get_xlabel()


def test_undecided_cells_are_marked_and_faster_and_slower_have_opposite_colors() -> None:
    records = precisions(2.0, widths=(64,)) + precisions(0.5, widths=(256,))
    noisy = [
        replace(r, curve=path([t * (1 + 0.9 * (r.seed == 1)), 2 * t * (1 + 0.9 * (r.seed == 1))], [None, 0.9], 32))
        if r.trainer == "Amp"
        else r
        for r in precisions(1.1, widths=(1024,))
        for t in [r.curve["seconds"][0]]
    ]
    speed = axes_of(PLOTS["precision"](results_of(*records, *[r for r in noisy if "-B32-" in r.cell])))[0]
    boxes = {box.get_label(): box for box in speed.patches}
    faster, slower = (boxes[text].get_facecolor() for text in ("2.00x\n[2.00, 2.00]", "0.50x\n[0.50, 0.50]"))
    assert faster[2] > faster[0]  # blueish
    assert slower[0] > slower[2]  # orange
    marked = [text.get_text() for text in speed.texts if "?" in text.get_text()]
    assert len(marked) == 1
    assert sum(bool(box.get_hatch()) for box in speed.patches) == 1


def test_where_blocks_were_added_until_decided_the_interval_allows_for_it() -> None:
    """Twice as fast to within 20 %: three blocks fixed beforehand tell, three that were looked at do not."""
    noisy = [
        replace(r, curve=r.curve | {"seconds": [s * (0.8, 1.0, 1.25)[r.seed] for s in r.curve["seconds"]]})
        if r.trainer == "Amp"
        else r
        for r in precisions(2.0, widths=(64,))
    ]
    for asked in (False, True):
        run = replace(results_of(*noisy), environment={"until_decided": asked})
        assert all(("?" in text.get_text()) == asked for text in axes_of(PLOTS["precision"](run))[0].texts)


# --- scaling


def test_speed_ups_are_as_planted_whatever_the_machine_did() -> None:
    found = speed_ups(results_of(*SCALING), "digits")
    assert [(p.ranks, p.oversubscribed) for p in found["strong"]] == [
        (2, False),
        (4, False),
        (8, False),
        (16, True),
    ]
    assert [p.speed_up for p in found["strong"]] == pytest.approx([1.9, 3.4, 5.0, 4.0])
    assert [p.speed_up for p in found["weak"]] == pytest.approx([1.95, 3.8, 7.0, 6.0])
    assert found["strong"][0].each == pytest.approx([1.9] * 3)


def test_oversubscribed_points_are_hollow_and_on_no_line() -> None:
    left, right = axes_of(PLOTS["scaling"](results_of(*SCALING)))
    assert only(left, "strong").get_ydata() == pytest.approx([1, 1.9, 3.4, 5.0])
    assert only(left, "weak").get_ydata() == pytest.approx([1, 1.95, 3.8, 7.0])
    assert only(right, "strong").get_ydata() == pytest.approx([100, 95, 85, 62.5])
    assert [line.get_ydata()[0] for line in lines_of(left, "_oversubscribed")] == pytest.approx([4, 6])
    assert all(line.get_markerfacecolor() == "white" for line in lines_of(left, "_oversubscribed"))
    assert only(left, "_ideal").get_xydata().tolist() == [[1, 1], [16, 16]]
    assert only(right, "_ideal").get_ydata().tolist() == [100, 100]
    for axes in (left, right):
        assert [text.get_text() for text in axes.texts].count("more ranks\nthan cores") == 1


def test_one_rank_alone_is_no_scaling() -> None:
    assert PLOTS["scaling"](results_of(*ranks_of({}))) is None
    assert PLOTS["scaling"](results_of(*[r for r in SCALING if r.world_size == 2])) is None


# --- Pareto


def test_the_step_line_joins_exactly_the_strategies_that_none_beats() -> None:
    points = {
        "FullBatch": (9.0, 1),
        "MiniBatch": (1.0, 5),
        "Online": (2.0, 5),
        "Accumulate": (3.0, 3),
        "Amp": (1.0, 6),
        "Ddp": (0.5, 30),
    }
    records = [
        record("strategies", name, seed, curve=path([t], [0.94]), ranks=memory(m))
        for name, (t, m) in points.items()
        for seed in range(3)
    ]
    results = results_of(*records)
    [axes] = axes_of(PLOTS["pareto"](results))
    # Online has MiniBatch's memory but not its speed, Amp its speed but not its memory.
    assert only(axes, "_front").get_xydata() == pytest.approx(np.array([[1, 9], [3, 3], [5, 1], [30, 0.5]]))
    assert only(axes, "_front").get_drawstyle() == "steps-post"
    assert list(undominated(summary(results.trials))["trainer"]) == [
        "FullBatch",
        "Accumulate",
        "MiniBatch",
        "Ddp",
    ]
    drawn = {name: only(axes, name).get_xydata()[0].tolist() for name in points}
    assert drawn == {name: pytest.approx([m, t]) for name, (t, m) in points.items()}
    grey = {name for name in points if only(axes, name).get_color() != styles(results)[name].color}
    assert grey == {"Online", "Amp"}


def test_strategies_without_a_point_are_named() -> None:
    records = strategies(("Amp", "Ddp", "Online"))
    records = [replace(r, status="missed", curve=MISSED) if r.trainer == "Ddp" else r for r in records]
    records = [replace(r, ranks=[]) if r.trainer == "Online" else r for r in records]
    [axes] = axes_of(PLOTS["pareto"](results_of(*records)))
    assert axes.texts[0].get_text() == "no point: Ddp (0 of 3 reached the target), Online (memory not measured)"


def test_memory_on_a_gpu_is_what_was_allocated() -> None:
    ranks = [{"peak_allocated_bytes": 30 * MB, "start_allocated_bytes": 10 * MB}]
    [axes] = axes_of(PLOTS["pareto"](results_of(record("strategies", "Amp", device="cuda", ranks=ranks))))
    assert axes.get_xlabel() == "GPU memory that training allocated (MB)"
    assert only(axes, "Amp").get_xdata()[0] == 20


# --- words and numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.2149, "0.21"),
        (0.00123, "0.0012"),
        (2.44, "2.4"),
        (31.4, "31"),
        (121, "121"),
        (999.7, "1.0k"),
        (7744, "7.7k"),
        (332_000, "332k"),
        (1_863_690, "1.9M"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_short_names_keep_both_ends() -> None:
    assert short("Accumulate") == "Accumulate"
    assert short("SharpnessAwareMinimization", 12) == "Sharpne…tion"
    assert short("a$b$") == r"a\$b\$"


def test_spread_moves_as_little_as_it_can() -> None:
    assert spread([5, 0], gap=1) == [5, 0]
    assert spread([1, 1], gap=1) == [0.5, 1.5]
    assert spread([0, 0.2, 10], gap=1) == pytest.approx([-0.4, 0.6, 10])
    positions = spread([3, 1, 2, 2, 2.5], gap=1)
    assert np.diff(sorted(positions)).min() >= 1 - 1e-12
    assert np.argsort(positions, kind="stable").tolist() == [1, 2, 3, 4, 0]


# --- tuning


def test_each_search_is_a_line_of_means_with_its_best_rate_marked() -> None:
    rates = {0.01: 9000.0, 0.1: 3000.0, 1.0: 5000.0}
    left, right = axes_of(PLOTS["tuning"](results_of(*searched("Online", rates, spread=0))))
    assert only(left, "Online").get_xydata() == pytest.approx(np.array([[lr, n / 64_000] for lr, n in rates.items()]))
    assert only(left, "_best").get_xydata().tolist() == [[0.1, 3000 / 64_000]]
    assert sum(len(line.get_xdata()) for line in lines_of(left, "_trials")) == 9
    # One rate drawn of three; the best of two is the best in two of three pairs, else the second; the best of all.
    expected = [17_000 / 3, (2 * 3000 + 5000) / 3, 3000]
    assert only(right, "Online").get_xydata().T[0].tolist() == [1, 2, 3]
    assert only(right, "Online").get_xydata().T[1] == pytest.approx(np.array(expected) / 64_000)


def test_trials_without_a_value_are_drawn_at_the_border_as_what_they_are() -> None:
    run = results_of(*searched("Online", {0.01: math.inf, 0.1: 3000.0, 1.0: None, 10.0: None}))
    left, _ = axes_of(PLOTS["tuning"](run))
    crosses, triangles = lines_of(left, "_lost")
    assert (crosses.get_marker(), crosses.get_xdata().tolist()) == ("x", [1.0, 10.0])
    assert (triangles.get_marker(), triangles.get_xdata().tolist()) == ("^", [0.01])
    assert min(*crosses.get_ydata(), *triangles.get_ydata()) > 0.8  # of the height: worse than all that arrived
    scores, _ = axes_of(
        PLOTS["optimizers"](results_of(*searched("Adam", {0.1: 0.95, 1.0: 0.7, 10.0: None}, comparison="optimizers")))
    )
    crosses, triangles = lines_of(scores, "_lost")
    assert max(crosses.get_ydata()) < 0.2
    assert not len(triangles.get_xdata())  # a score that misses the target is a score


def test_optimizers_are_told_apart_by_name_though_one_strategy_trains_them_all() -> None:
    figure = PLOTS["optimizers"](results_of(*(r for r in tuned() if r.comparison == "optimizers")))
    left, right = axes_of(figure)
    looks = {(line.get_color(), line.get_marker()) for line in lines_of(left, "_best")}
    assert len(looks) == len(OPTIMIZERS) == 13
    named = " ".join(written(figure))
    assert all(named.count(name) >= 2 for name in OPTIMIZERS)  # above the left panel, and beside the right one
    for name in OPTIMIZERS:
        assert only(left, name).get_color() == only(right, name).get_color()


# --- the noise scale


def test_the_noise_scale_is_the_median_over_seeds_at_every_step() -> None:
    plain, adam = axes_of(PLOTS["noise_scale"](results_of(*NOISE)))
    assert (plain.get_title(loc="left"), adam.get_title(loc="left")) == ("under Sgd", "under Adam")
    for method in ("single samples", "two batch sizes", "micro-batches"):
        line = only(plain, method)
        assert list(line.get_xdata()) == [1, 2, 4, 8]
        assert list(line.get_ydata()) == pytest.approx([30, 60, 90, 120], rel=1e-6)
        assert list(only(adam, method).get_ydata()) == pytest.approx([30, 60, 90, 120, 150], rel=1e-6)


def test_of_strategies_that_make_the_same_steps_each_method_is_drawn_once() -> None:
    ranks = noises([20.0, 30.0, 50.0], "Ddp", world_size=2)
    [axes] = axes_of(PLOTS["noise_scale"](results_of(*[r for r in NOISE if r.trainer != "Adam"], *ranks)))
    names = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
    assert sorted(names) == ["micro-batches", "ranks", "single samples", "two batch sizes"]


def test_the_critical_batch_size_of_a_sweep_lies_across_with_its_interval() -> None:
    run = results_of(*NOISE, *swept(critical=64.0))
    found = of_mini_batch(run)["digits"].fit
    for axes in axes_of(PLOTS["noise_scale"](run)):
        assert any(set(line.get_ydata()) == {found.critical_batch_size} for line in axes.lines)
        [band] = [patch for patch in axes.patches if patch.get_height() == pytest.approx(found.high - found.low)]
        assert band.get_y() == pytest.approx(found.low)
    for axes in axes_of(PLOTS["noise_scale"](results_of(*NOISE, *swept((4, 8, 16))))):
        assert not axes.patches  # three batch sizes do not tell it
