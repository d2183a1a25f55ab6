"""Every pair of the null test is drawn."""

import re

import numpy as np
import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, lines_of, results_of
from tests.synthetic import null_test


def test_every_pair_of_the_null_test_is_a_dot_and_its_interval_a_bar() -> None:
    logs = [0.05, -0.02, 0.01, 0.0]
    [axes] = axes_of(PLOTS["null"](results_of(*null_test(logs))))
    dots, bars = lines_of(axes, "_pairs"), lines_of(axes, "_interval")
    assert len(dots) == len(bars) == 1  # seconds to target: per step it is the same again
    assert sorted(dots[0].get_xdata()) == pytest.approx(sorted(np.exp(logs)))
    half = 3.182446 * np.std(logs, ddof=1) / 2  # Student's t at 3 degrees of freedom
    assert list(bars[0].get_xdata()) == pytest.approx([np.exp(0.01 - half), np.exp(0.01 + half)], rel=1e-5)
    assert PLOTS["null"](results_of(*null_test([0.1, 0.2]))) is None


def test_the_title_says_what_was_found() -> None:
    title = PLOTS["null"](results_of(*null_test([0.05, -0.02, 0.01, 0.0]))).get_suptitle()
    assert re.match(r"One strategy under two names: a pair of trials differs by \d", title)
