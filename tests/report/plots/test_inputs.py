"""Each scale's best rate stands at what was found for it."""

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, lines_of, only, results_of
from tests.synthetic import scaled_inputs


def test_the_best_rates_and_what_diverged_stand_where_they_were_planted() -> None:
    [axes] = axes_of(PLOTS["inputs"](results_of(*scaled_inputs({"0-to-255": 40_000, "standardized": 10_000}))))
    assert [float(line.get_xdata()[0]) for line in lines_of(axes, "_best")] == [1e-3, 0.1]
    assert sorted(x for line in lines_of(axes, "_lost") for x in line.get_xdata()) == [0.01, 1.0]
    ratio = only(axes, "0-to-255").get_ydata()[1] / only(axes, "standardized").get_ydata()[1]
    assert round(ratio, 1) == 4.0


def test_nothing_is_drawn_where_no_rate_reached_the_target() -> None:
    assert PLOTS["inputs"](results_of(*scaled_inputs({"standardized": 1}, missed=["standardized"]))) is None
