"""The step line joins what none beats, and who has no point is named."""

from dataclasses import replace

import numpy as np
import pytest

from paceline.bench.analysis.frames import summary
from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.plots.pareto import limited, undominated
from paceline.bench.report.plots.style import styles
from tests.report.plots.drawn_runs import MISSED, axes_of, memory, only, path, record, results_of, strategies


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
    # A limit is on the whole process, which held 100 MB before.
    # Online has MiniBatch's memory but not its speed, Amp its speed but not its memory.
    assert only(axes, "_front").get_xydata() == pytest.approx(np.array([[101, 9], [103, 3], [105, 1], [130, 0.5]]))
    assert only(axes, "_front").get_drawstyle() == "steps-post"
    assert list(undominated(limited(summary(results.trials)))["trainer"]) == [
        "FullBatch",
        "Accumulate",
        "MiniBatch",
        "Ddp",
    ]
    drawn = {name: only(axes, name).get_xydata()[0].tolist() for name in points}
    assert drawn == {name: pytest.approx([100 + m, t]) for name, (t, m) in points.items()}
    grey = {name for name in points if only(axes, name).get_color() != styles(results)[name].color}
    assert grey == {"Online", "Amp"}


def test_strategies_without_a_point_are_named() -> None:
    records = strategies(("Amp", "Ddp", "Online"))
    records = [replace(r, status="missed", curve=MISSED) if r.trainer == "Ddp" else r for r in records]
    records = [replace(r, ranks=[]) if r.trainer == "Online" else r for r in records]
    [axes] = axes_of(PLOTS["pareto"](results_of(*records)))
    assert axes.texts[0].get_text() == "no point: Ddp (0 of 3 reached the target), Online (memory not measured)"
