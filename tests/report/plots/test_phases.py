"""The bars add up to the step, and each is as wide as its share."""

import pytest

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, results_of
from tests.synthetic import profiled

SHARES = {"forward": 0.3, "backward": 0.5, "communication": 0.1}


def test_the_bars_are_the_shares_and_end_at_the_whole_step() -> None:
    [axes] = axes_of(PLOTS["phases"](results_of(*profiled("MiniBatch", SHARES), *profiled("Ddp", SHARES, ranks=2))))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["Ddp, 2 ranks", "MiniBatch"]
    for place in (0, 1):
        bars = [bar for bar in axes.patches if round(bar.get_y() + bar.get_height() / 2) == place]
        assert [bar.get_width() for bar in bars] == pytest.approx([30, 50, 10, 10])
        assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(100)
    assert {"30", "50", "10", "1.0 ms"} <= {text.get_text() for text in axes.texts}


def test_without_a_profiled_step_there_is_no_plot() -> None:
    assert PLOTS["phases"](results_of()) is None


def test_the_title_says_what_was_found() -> None:
    title = PLOTS["phases"](
        results_of(*profiled("MiniBatch", SHARES), *profiled("Ddp", SHARES, ranks=2))
    ).get_suptitle()
    assert title == "Most of a step goes to backward"
