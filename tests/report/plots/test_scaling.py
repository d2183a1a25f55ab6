"""Speed-ups are drawn as planted."""

import numpy as np
import pytest

from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.plots.scaling import speed_ups
from tests.report.plots.drawn_runs import SCALING, axes_of, lines_of, only, ranks_of, results_of


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


def test_layouts_on_as_many_cores_are_seen_at_one_place() -> None:
    """Two ranks of one thread stand over two threads of one process, both against one rank of one thread."""
    run = results_of(*ranks_of({2: 1.5, 4: 2.0}, threads={1: 1.1, 2: 1.9, 4: 3.0, 16: 2.0}))
    found = speed_ups(run, "digits")
    assert [(p.ranks, p.oversubscribed) for p in found["threads"]] == [(1, False), (2, False), (4, False), (16, True)]
    left, right = axes_of(PLOTS["scaling"](run))
    assert only(left, "threads").get_xydata() == pytest.approx(np.array([[1, 1.1], [2, 1.9], [4, 3.0]]))
    assert only(left, "strong").get_ydata() == pytest.approx([1, 1.5, 2.0])
    assert only(right, "threads").get_ydata() == pytest.approx([110, 95, 75])
    assert "1 process on threads" in [text.get_text() for text in left.texts]
    assert "or threads of one process" in left.get_xlabel()
    assert "efficiency: speed-up over cores" in right.get_ylabel()
    alone = axes_of(PLOTS["scaling"](results_of(*ranks_of({2: 1.5}, threads={1: 1.1}))))[0]
    assert "threads" not in alone.get_xlabel()  # one thread alone is no line


def test_one_rank_alone_is_no_scaling() -> None:
    assert PLOTS["scaling"](results_of(*ranks_of({}))) is None
    assert PLOTS["scaling"](results_of(*[r for r in SCALING if r.world_size == 2])) is None


def test_up_to_two_cores_efficiency_is_no_curve_of_its_own() -> None:
    assert len(axes_of(PLOTS["scaling"](results_of(*ranks_of({2: 1.5}, threads={1: 1.0, 2: 1.9}))))) == 1
    assert len(axes_of(PLOTS["scaling"](results_of(*ranks_of({2: 1.5, 4: 2.0}))))) == 2
