"""Throughput and memory are drawn as medians."""

import numpy as np
import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, memory, only, results_of, timed


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


def test_memory_that_grows_far_is_drawn_so_that_small_batches_are_seen() -> None:
    for largest, scale in ((4.0, "linear"), (55.0, "log")):
        records = [
            timed("batch_size", "MiniBatch", b, 1e-3, seed, ranks=memory(megabytes))
            for b, megabytes in ((1, 2.0), (64, 3.0), (4096, largest))
            for seed in range(3)
        ]
        assert axes_of(PLOTS["batch_size"](results_of(*records)))[1].get_yscale() == scale


def test_the_title_says_what_the_largest_batch_buys_and_costs() -> None:
    records = [
        timed("batch_size", "MiniBatch", b, b / throughput, seed, ranks=memory(megabytes))
        for b, throughput, megabytes in ((1, 100, 2), (100, 4000, 20))
        for seed in range(3)
    ]
    figure = PLOTS["batch_size"](results_of(*records))
    assert figure is not None
    assert figure.get_suptitle() == "B=100 does 40 times the samples/s of B=1, and takes 18 MB more"
