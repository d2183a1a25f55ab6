"""A line a batch size over the number of workers, and grey where they share cores."""

import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, only, results_of
from tests.synthetic import loaded


def test_what_was_planted_is_drawn() -> None:
    run = results_of(*loaded({0: 1000, 1: 2000, 2: 3000, 4: 2500}), *loaded({0: 5000, 2: 9000}, 256))
    throughput, waiting, memory = axes_of(PLOTS["loading"](run))
    assert [tick.get_text() for tick in throughput.get_xticklabels()] == ["0", "1", "2", "4"]
    assert list(only(throughput, "B=256").get_xdata()) == [0, 2]
    assert list(only(waiting, "B=64").get_ydata()) == pytest.approx([50, 25, 12.5, 3.125])
    assert list(only(memory, "B=64").get_ydata()) == pytest.approx([100, 200, 300, 500])
    for axes in (throughput, waiting, memory):
        (grey,) = [patch for patch in axes.patches if patch.get_label() == "_oversubscribed"]
        assert grey.get_x() == 2.5


def test_without_trials_there_is_no_plot() -> None:
    assert PLOTS["loading"](results_of()) is None


def test_the_title_says_what_was_found() -> None:
    title = PLOTS["loading"](results_of(*loaded({0: 1000, 1: 2000, 2: 3000}))).get_suptitle()
    assert title == "So many workers are enough to read the samples: 2 at B=64"
