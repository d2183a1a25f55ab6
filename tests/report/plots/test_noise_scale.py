"""The noise scale is drawn as the median over seeds, each method once."""

import pytest

from paceline.bench.analysis.batch_size_sweep import of_mini_batch
from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import NOISE, axes_of, only, results_of
from tests.synthetic import noises, swept


def test_the_noise_scale_is_the_median_over_seeds_at_every_step() -> None:
    plain, adam = axes_of(PLOTS["noise_scale"](results_of(*NOISE)))
    assert (plain.get_title(loc="left"), adam.get_title(loc="left")) == ("under Sgd", "under Adam")
    for method in ("single samples", "two batch sizes", "micro-batches"):
        line = only(plain, method)
        assert list(line.get_xdata()) == [1, 2, 4, 8]
        assert list(line.get_ydata()) == pytest.approx([30, 60, 90, 120], rel=1e-6)
        assert list(only(adam, method).get_ydata()) == pytest.approx([30, 60, 90, 120, 150], rel=1e-6)


def test_of_strategies_that_make_the_same_steps_each_method_is_drawn_once() -> None:
    ranks = noises([20.0, 30.0, 50.0], "Ddp", world_size=2)
    [axes] = axes_of(PLOTS["noise_scale"](results_of(*[r for r in NOISE if r.trainer != "Adam"], *ranks)))
    names = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
    assert sorted(names) == ["micro-batches", "ranks", "single samples", "two batch sizes"]


def test_the_critical_batch_size_of_a_sweep_lies_across_with_its_interval() -> None:
    run = results_of(*NOISE, *swept(critical=64.0))
    found = of_mini_batch(run)["digits"].fit
    for axes in axes_of(PLOTS["noise_scale"](run)):
        assert any(set(line.get_ydata()) == {found.critical_batch_size} for line in axes.lines)
        [band] = [patch for patch in axes.patches if patch.get_height() == pytest.approx(found.high - found.low)]
        assert band.get_y() == pytest.approx(found.low)
    for axes in axes_of(PLOTS["noise_scale"](results_of(*NOISE, *swept((4, 8, 16))))):
        assert not axes.patches  # three batch sizes do not tell it


def test_the_title_says_from_where_to_where_it_goes() -> None:
    figure = PLOTS["noise_scale"](results_of(*NOISE))
    assert figure is not None
    assert figure.get_suptitle() == "Under Sgd the noise scale goes from 30 to 120 samples"
