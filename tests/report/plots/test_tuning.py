"""Searches are lines of means, and what has no value is drawn as what it is."""

import math

import numpy as np
import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import OPTIMIZERS, axes_of, lines_of, only, results_of, tuned, written
from tests.synthetic import searched


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


def test_the_title_says_the_scores_and_what_leaves_the_picture_is_marked():
    found = searched("Sgd", {0.1: 0.95, 1.0: 0.94, 10.0: 0.1}, comparison="optimizers", spread=0)
    run = results_of(*found, *searched("Adam", {0.1: 0.97, 1.0: 0.96, 10.0: 0.95}, comparison="optimizers", spread=0))
    figure = PLOTS["optimizers"](run)
    assert figure.get_suptitle() == "Score at the rate chosen for each: Adam 0.97, Sgd 0.95"
    assert [line.get_xdata().tolist() for line in lines_of(axes_of(figure)[0], "_beyond")] == [[], [10.0]]
