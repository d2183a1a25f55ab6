"""The lines meet where compiling has paid."""

import numpy as np
import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, only, results_of
from tests.synthetic import compiled


def test_the_lines_meet_after_cost_over_saving() -> None:
    """10 s later, and 0.5 ms saved at each step: after 20,000."""
    [axes] = axes_of(PLOTS["compile"](results_of(*compiled("even", 2.0, 10.0))))
    written, own = only(axes, "as written"), only(axes, "compiled")
    steps = np.asarray(written.get_xdata(), float)
    ahead = np.asarray(written.get_ydata(), float) > np.asarray(own.get_ydata(), float)
    assert steps[ahead].min() == pytest.approx(20_000, rel=0.3)  # in units of medians of different blocks
    assert only(axes, "_even").get_xdata()[0] == pytest.approx(20_000, rel=0.05)


def test_what_never_pays_has_lines_that_do_not_meet() -> None:
    slow, never = compiled("even", 0.5, 10.0), compiled("ragged", 0.9, 10.0)
    panels = axes_of(PLOTS["compile"](results_of(*slow, *never)))
    assert [axes.get_title(loc="left").splitlines()[1] for axes in panels] == ["never pays"] * 2
    for axes in panels:
        assert (np.asarray(only(axes, "compiled").get_ydata()) > np.asarray(only(axes, "as written").get_ydata())).all()
    assert PLOTS["compile"](results_of()) is None
