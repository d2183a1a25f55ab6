"""Three batch sizes are best, and the price of another is the planted one."""

import pytest

from paceline.bench.analysis.batch_size_sweep import Sweep, sweeps
from paceline.bench.analysis.best_batch_size import best, prices
from paceline.bench.report.decision import decide
from tests.synthetic import results, swept


@pytest.fixture(scope="module")
def usual() -> Sweep:
    return sweeps(results(swept()))[0]


def test_three_batch_sizes_are_best_and_the_price_is_the_closed_form(usual: Sweep) -> None:
    assert best(usual, "samples_to_target").cell["batch_size"] == 4
    assert best(usual, "steps_to_target").cell["batch_size"] == 512
    fastest = best(usual, "seconds_to_target")
    assert fastest.cell["batch_size"] in (64, 128)
    assert not {4.0, 8.0, 512.0} & set(fastest.tied)

    def seconds(size: float) -> float:
        return (1 + size / 64) / size * (1e-3 + 1e-5 * size)

    wanted = seconds(4) / seconds(fastest.cell["batch_size"])
    assert fastest.others[4.0].comparison.ratio == pytest.approx(wanted, rel=0.2)
    assert {price.rule: price.batch_size for price in prices(usual)} == {
        "fewest samples": 4, "fewest steps": 512, "the largest that was run": 512, "a common default": 32,
    }  # fmt: skip


def test_batch_sizes_that_are_not_resolved_are_all_named() -> None:
    table = decide(results(swept(critical=1e9, spread=0.2, blocks=6)))
    choice = table.loc[table["constraint"] == "digits: batch size fewest samples", "choice"].iloc[0]
    assert " or " in choice


def test_a_batch_size_that_missed_is_excluded_named_and_priced_from_below() -> None:
    run = results(swept(missed=lambda batch, rate, block: batch == 4))
    [sweep] = sweeps(run)
    fastest = best(sweep, "seconds_to_target")
    assert fastest.excluded == (4.0,)
    assert fastest.others[4.0].bound == "at least"
    assert sweep.fit.left_out == (4.0,)
    row = decide(run).set_index("constraint").loc["digits: batch size fewest samples"]
    assert "B=4 (reached 0 of 3)" in row["why"]
    assert "B=4" not in row["choice"].split(" or ")
