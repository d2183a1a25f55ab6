"""Private memory is drawn over samples, and who ended is named."""

import numpy as np
import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, only, results_of
from tests.synthetic import limited


def test_lines_are_as_planted_and_who_ended_is_named():
    [axes] = axes_of(PLOTS["memory"](results_of(*limited("MiniBatch"), *limited("FullBatch", ended="none"))))
    assert np.asarray(only(axes, "MiniBatch").get_ydata())[-1] == pytest.approx(200.1, rel=1e-3)
    kept = np.asarray(only(axes, "if all seen were kept").get_ydata())
    assert kept[-1] - kept[0] == pytest.approx(200, rel=1e-3)  # a million of 200 bytes
    assert only(axes, "FullBatch: out of memory")


def test_where_nobody_went_on_there_is_no_plot():
    assert PLOTS["memory"](results_of()) is None
    assert PLOTS["memory"](results_of(*limited("FullBatch", ended="none"))) is None


def test_the_title_says_what_was_found():
    title = PLOTS["memory"](results_of(*limited("MiniBatch"), *limited("FullBatch", ended="none"))).get_suptitle()
    assert title == "Memory over the samples seen: flat (MiniBatch), ended (FullBatch)"
