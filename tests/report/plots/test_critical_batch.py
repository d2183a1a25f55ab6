"""The plots of the sweep show its medians, its interval and its misses."""

from paceline.bench.analysis.batch_size_sweep import sweeps
from paceline.bench.report.all_plots import PLOTS
from tests.synthetic import results, swept


def test_the_plots_show_the_medians_the_interval_and_the_misses() -> None:
    run = results(swept(missed=lambda batch, rate, block: batch == 4))
    steps, samples, seconds = PLOTS["critical_batch"](run).get_axes()
    [sweep] = sweeps(run)
    [medians] = [line for line in samples.lines if line.get_label() == "MiniBatch"]
    assert medians.get_ydata().tolist() == [c["samples_to_target"] for c in sweep.cells if c["batch_size"] > 4]
    assert any(line.get_label() == "_missed" for line in seconds.lines)
    assert any("critical batch size" in text.get_text() for text in steps.texts)
    [rates] = PLOTS["best_rate"](run).get_axes()
    tried = [line for line in rates.lines if line.get_label() in ("_tried", "_failed")]
    assert len(tried) == 64
    assert PLOTS["critical_batch"](results()) is None
    assert PLOTS["best_rate"](results()) is None


def test_what_other_rates_cost_stands_beside_them_as_a_number() -> None:
    figure = PLOTS["best_rate"](results(swept((16, 256))))
    assert figure is not None
    [rates] = figure.get_axes()
    [sweep] = sweeps(results(swept((16, 256))))
    costs = {}
    for size in sweep.rates:
        own = sweep.searched[sweep.searched["batch_size"] == size]
        samples = own.groupby("lr")["samples_to_target"].median()
        costs |= {(size, rate): f"{cost:.2g}x" for rate, cost in (samples / samples.min()).items() if cost > 1}
    beside = {text.xy: text.get_text() for text in rates.texts if text.get_text().endswith("x")}
    assert costs
    assert beside == costs
    assert figure.get_suptitle().startswith("The best rate goes from ")
