"""The sweep finds the planted batch sizes, rates and prices, and abstains where the trials do not tell."""

import numpy as np
import pytest

from paceline.bench.analysis import batch_size_sweep as cb
from paceline.bench.report.claims import judge
from paceline.bench.report.decision import decide
from paceline.bench.report.plots import PLOTS
from tests.synthetic import batch_sizes, results, swept

FINE = tuple(float(rate) for rate in np.geomspace(0.01, 2, 20).round(4))


@pytest.fixture(scope="module")
def usual() -> cb.Sweep:
    return cb.sweeps(results(swept()))[0]


def test_what_is_shown_was_measured_on_other_seeds_than_those_of_the_search(usual: cb.Sweep) -> None:
    """The best of many rates on the seeds that chose it is the lucky one."""
    assert usual.searched["seed"].min() == 1000
    assert sorted(usual.measured.trials["seed"].unique()) == [0, 1, 2]
    assert usual.rates[4].best == 0.04
    assert usual.rates[4].tried == (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
    assert [cell["n"] for cell in usual.cells] == [3] * 8


def test_a_sweep_whose_searches_alone_have_run_is_none_yet() -> None:
    assert cb.sweeps(results([record for record in swept() if record.search])) == []


def test_the_planted_critical_batch_size_is_found(usual: cb.Sweep) -> None:
    assert usual.fit.identifiable
    assert usual.fit.low <= 64 <= usual.fit.high
    assert usual.fit.samples_min == pytest.approx(10_000, rel=0.05)
    assert abs(usual.left_out.largest) < 0.1


def test_the_regimes_follow_the_hyperbola(usual: cb.Sweep) -> None:
    names = {size: cb.regime(usual.fit, size) for size in (4, 64, 512)}
    assert names == {4: "perfect scaling", 64: "diminishing returns", 512: "maximal parallelism"}
    assert "or" in cb.regime(usual.fit, 0.2 * usual.fit.critical_batch_size)


def test_three_batch_sizes_are_best_and_the_price_is_the_closed_form(usual: cb.Sweep) -> None:
    assert cb.best(usual, "samples_to_target").cell["batch_size"] == 4
    assert cb.best(usual, "steps_to_target").cell["batch_size"] == 512
    fastest = cb.best(usual, "seconds_to_target")
    assert fastest.cell["batch_size"] in (64, 128)
    assert not {4.0, 8.0, 512.0} & set(fastest.tied)

    def seconds(size: float) -> float:
        return (1 + size / 64) / size * (1e-3 + 1e-5 * size)

    wanted = seconds(4) / seconds(fastest.cell["batch_size"])
    assert fastest.others[4.0].comparison.ratio == pytest.approx(wanted, rel=0.2)
    assert {price.rule: price.batch_size for price in cb.prices(usual)} == {
        "fewest samples": 4, "fewest steps": 512, "the largest that fits": 512, "a common default": 32,
    }  # fmt: skip


def test_batch_sizes_that_are_not_resolved_are_all_named() -> None:
    table = decide(results(swept(critical=1e9, spread=0.2, blocks=6)))
    choice = table.loc[table["constraint"] == "digits: batch size fewest samples", "choice"].iloc[0]
    assert " or " in choice


def test_a_batch_size_that_missed_is_excluded_named_and_priced_from_below() -> None:
    run = results(swept(missed=lambda batch, rate, block: batch == 4))
    [sweep] = cb.sweeps(run)
    fastest = cb.best(sweep, "seconds_to_target")
    assert fastest.excluded == (4.0,)
    assert fastest.others[4.0].bound == "at least"
    assert sweep.fit.left_out == (4.0,)
    row = decide(run).set_index("constraint").loc["digits: batch size fewest samples"]
    assert "B=4 (reached 0 of 3)" in row["why"]
    assert "B=4" not in row["choice"].split(" or ")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"missed": lambda batch, rate, block: True}, "No batch size reached the target in every trial"),
        ({"blocks": 1}, "at least 3 seeds are needed"),
    ],
)
def test_it_abstains(changes: dict[str, object], why: str) -> None:
    run = results(swept((4, 16, 64), **changes))
    row = decide(run).set_index("constraint").loc["digits: batch size fastest to target"]
    assert row["choice"] == "not decided"
    assert why in row["why"]
    assert cb.fits(run)["identifiable"].iloc[0].startswith("no: ")
    assert len(cb.table(run)) == 3


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_planted_power_of_the_best_rate_is_found(power: float) -> None:
    found = cb.exponent(cb.sweeps(results(swept((4, 8, 16, 32, 64), FINE, power=power)))[0])
    assert found.low <= power <= found.high
    assert found.high - found.low < 0.5
    assert np.isinf(found.ends)


def test_where_the_growth_ends_is_found() -> None:
    found = cb.exponent(cb.sweeps(results(swept(rates=FINE, power=1.0, ends=64)))[0])
    assert found.ends == 64
    assert found.low <= 1 <= found.high
    assert found.at(512) == pytest.approx(found.at(64))


def test_a_best_rate_at_the_edge_is_no_evidence() -> None:
    run = results(swept(rates=(0.01, 0.02, 0.04)))
    assert "at least 3 are needed" in cb.exponent(cb.sweeps(run)[0]).reason
    assert "at the edge" in cb.table(run)["best learning rate"].iloc[-1]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [({"power": 1.0}, "holds"), ({"power": 0.0}, "fails"), ({"power": 1.0, "ends": 32}, "depends")],
)
def test_the_claim_on_the_growing_rate_turns_with_the_planted_power(changes: dict[str, float], verdict: str) -> None:
    run = results(swept((4, 8, 16, 32, 64, 128, 256), tuple(np.geomspace(0.002, 16, 27).round(4)), **changes))
    assert judge(run)[6].verdict == verdict


def test_generalization_is_not_judged_from_trials_that_stop_at_the_target() -> None:
    found = judge(results(swept()))[15]
    assert found.verdict == "not measured here"
    assert "every batch size from 4 to 512" in found.why


def test_the_row_on_throughput_points_to_the_sweep() -> None:
    table = decide(results(batch_sizes({16: 1e4, 64: 1e5}), swept()))
    why = table.loc[table["constraint"].str.contains("saturates"), "why"].iloc[0]
    assert "batch size fastest to target" in why


def test_the_plots_show_the_medians_the_interval_and_the_misses() -> None:
    run = results(swept(missed=lambda batch, rate, block: batch == 4))
    steps, samples, seconds = PLOTS["critical_batch"](run).get_axes()
    [sweep] = cb.sweeps(run)
    [medians] = [line for line in samples.lines if line.get_label() == "MiniBatch"]
    assert medians.get_ydata().tolist() == [c["samples_to_target"] for c in sweep.cells if c["batch_size"] > 4]
    assert any(line.get_label() == "_missed" for line in seconds.lines)
    assert any("critical batch size" in text.get_text() for text in steps.texts)
    [rates] = PLOTS["best_rate"](run).get_axes()
    tried = [line for line in rates.lines if line.get_label() in ("_tried", "_failed")]
    assert len(tried) == 64
    assert PLOTS["critical_batch"](results()) is None
    assert PLOTS["best_rate"](results()) is None
