"""Scores and backlogs are drawn as planted, beside what had to be beaten."""

import numpy as np
import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, only, results_of
from tests.synthetic import streamed


def test_each_strategy_is_a_line_at_its_share_and_the_baselines_are_below():
    run = results_of(
        *streamed("Online", 0.9), *streamed("Retrain", 0.6), *streamed("Online", 0.9, kind="flooded", behind=1.0)
    )
    left, right = axes_of(PLOTS["stream"](run))
    for name, share in (("Online", 90), ("Retrain", 60), ("no change", 10), ("majority", 10)):
        drawn = np.asarray(only(left, name).get_ydata(), float)
        assert drawn[200:].mean() == pytest.approx(share, abs=4)
    waiting = only(right, "Online")
    assert np.asarray(waiting.get_ydata(), float).max() == pytest.approx(500, abs=12)
    assert np.asarray(waiting.get_xdata(), float).max() == pytest.approx(0.2, abs=0.01)


def test_without_a_stream_there_is_no_plot():
    assert PLOTS["stream"](results_of()) is None


def test_the_title_says_what_was_found():
    title = PLOTS["stream"](results_of(*streamed("Online", 0.9), *streamed("Retrain", 0.6))).get_suptitle()
    assert title == "Predicted right, then learned: Online 90 %, Retrain 59 %"
