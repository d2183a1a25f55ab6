"""Medians are drawn with number and unit, misses as what they are."""

from dataclasses import replace

import pytest

from paceline.bench.analysis.frames import summary
from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import MISSED, axes_of, lines_of, only, path, record, results_of, strategies


def test_strategies_are_sorted_and_their_medians_drawn_with_number_and_unit() -> None:
    records = [
        record(
            "strategies",
            name,
            seed,
            curve=path([t * (1 + 0.1 * seed) / 2, t * (1 + 0.1 * seed)], [0.5, 0.94]),
        )
        for name, t in (("Amp", 2.0), ("Ddp", 0.2))
        for seed in range(3)
    ]
    seconds, samples = axes_of(PLOTS["time_to_target"](results_of(*records)))
    assert [text.get_text() for text in seconds.get_yticklabels()] == ["Ddp", "Amp"]
    assert only(seconds, "Amp").get_xdata()[0] == pytest.approx(2.2)
    assert [text.get_text() for text in seconds.texts] == ["0.22 s", "2.2 s"]
    assert only(samples, "Ddp").get_xdata()[0] == 128
    assert seconds.get_xscale() == "log"
    assert samples.get_xscale() == "linear"
    # A whisker goes back to the last evaluation that missed: half the time, and half the samples.
    for axes, hits in ((seconds, [0.2, 0.22, 0.24]), (samples, [128] * 3)):
        whiskers = next(c for c in axes.collections if c.get_label() == "_whiskers").get_segments()
        assert [w[:, 0].tolist() for w in whiskers] == [pytest.approx([hit / 2, hit]) for hit in hits]
        assert lines_of(axes, "_trials")[0].get_xdata().tolist() == pytest.approx(hits)
    table = summary(results_of(*records).trials).set_index("trainer")
    ends = [line.get_xdata().tolist() for line in lines_of(seconds, "_interval")]
    assert ends[0] == pytest.approx(table.loc["Ddp", ["seconds_to_target_low", "seconds_to_target_high"]].tolist())


def test_missed_trials_are_open_triangles_with_their_number() -> None:
    records = strategies(("Amp", "Ddp"), seeds=5)
    for i in (1, 3):
        records[i] = replace(records[i], status="missed", curve=MISSED)
    records[4] = replace(records[4], status="crashed", curve=path([], []))
    records[5] = replace(records[5], status="diverged", curve=MISSED)
    for axes in axes_of(PLOTS["time_to_target"](results_of(*records))):
        triangles = lines_of(axes, "_missed")
        assert [len(line.get_xdata()) for line in triangles] == [1, 3]  # Ddp is first: most of Amp's missed
        assert all(line.get_marker() == ">" and line.get_markerfacecolor() == "white" for line in triangles)
        written = [text.get_text() for text in axes.texts]
        assert "1 of 5 missed" in written
        assert "2 of 5 missed\n1 of 5 failed" in written
        assert not lines_of(axes, "Amp")  # its median is infinite
        assert sum(len(line.get_xdata()) for line in lines_of(axes, "_trials")) == 6
