"""A line for each of what was held equal, from the smallest batch size on."""

import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, only, results_of
from tests.synthetic import generalized


def test_the_lines_fall_by_what_was_planted() -> None:
    worse = {(64, "samples"): 0.01, (64, "steps"): 0.0, (256, "samples"): 0.03, (256, "steps"): 0.0}
    [axes] = axes_of(PLOTS["generalization"](results_of(*generalized(worse, seconds=0.05))))
    for held, expected in (("samples", [0, -0.01, -0.03]), ("steps", [0, 0, 0]), ("seconds", [0, -0.05, -0.05])):
        assert only(axes, held).get_ydata() == pytest.approx(expected, abs=2e-3)
    assert axes.get_ylabel() == "better than B=16 by (score)"
    assert PLOTS["generalization"](results_of(*generalized({}))) is None
