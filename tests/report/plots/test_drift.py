"""The picture of drift: every anchor of a run, in order, under the name of its comparison."""

from dataclasses import replace

import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, batch_sizes, lines_of, results_of
from tests.report.plots.nasty_runs import anchored


def test_every_anchor_is_a_dot_in_order_and_each_comparison_has_its_mean_and_name() -> None:
    [axes] = axes_of(PLOTS["drift"](results_of(*anchored({"strategies": [1.0, 4.0], "null": [2.0, 2.0, 2.0]}))))
    [dots], means = lines_of(axes, "_blocks"), lines_of(axes, "_means")
    assert list(dots.get_xdata()) == [0, 1, 2, 3, 4]
    assert list(dots.get_ydata()) == pytest.approx([1.0, 4.0, 2.0, 2.0, 2.0])
    assert [line.get_ydata()[0] for line in means] == pytest.approx([2.0, 2.0])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["strategies", "null"]


def test_anchors_of_a_search_are_hollow() -> None:
    first, *others = anchored({"tuning": [1.0, 1.0, 1.0]})
    searched = replace(first, cell="anchor-search", search="anchor-search")
    [axes] = axes_of(PLOTS["drift"](results_of(searched, *others)))
    assert [len(lines_of(axes, kind)[0].get_xdata()) for kind in ("_blocks", "_searches")] == [2, 1]


def test_a_run_without_anchors_has_no_such_picture() -> None:
    assert PLOTS["drift"](results_of(*batch_sizes())) is None


def test_the_title_says_what_was_found() -> None:
    title = PLOTS["drift"](results_of(*anchored({"strategies": [1.0, 4.0], "null": [3.0, 3.0]}))).get_suptitle()
    assert title == "One and the same step took from 2.0 to 3.0 ms, comparison by comparison"
