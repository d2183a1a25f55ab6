"""The tables of strategies hold the planted numbers with their units."""

import re

import pandas as pd
import pytest

from paceline.bench.report import strategies
from paceline.bench.report.strategies import _break_even as break_even_in_words
from tests.planted import a_curve
from tests.synthetic import raced, results


def only(table: pd.DataFrame, column: str, value: str) -> "pd.Series[str]":
    found = table[table[column] == value]
    assert len(found) == 1
    return found.iloc[0]


def test_strategies_show_seconds_steps_samples_and_success() -> None:
    run = results(raced("MiniBatch", seconds=1.0, blocks=3), raced("Amp", seconds=1.0, missed=(0, 1, 2, 3), blocks=6))
    mini, amp = (only(strategies.table(run), "strategy", name) for name in ("MiniBatch", "Amp"))
    assert re.fullmatch(r"1\.\d\d s \[0\.\d+, \d\.\d\d\]", mini["seconds to target"])
    assert mini["samples to target"] == "6,400 [6,400, 6,400]"
    assert mini["steps to target"].startswith("100 ")
    assert mini["learning rate"] == "0.1 (not searched)"
    assert mini["ranks x threads"] == "1 x 2"
    assert mini["reached"] == "3 of 3"
    assert amp["reached"] == "2 of 6"
    assert amp["seconds to target"] == "not reached in half of the trials"


def test_a_strategy_that_never_reached_the_target_says_so() -> None:
    table = strategies.table(results(raced("Amp", seconds=1.0, missed=(0, 1, 2), blocks=3)))
    assert table["seconds to target"].iloc[0] == "not reached"


def test_costs_show_memory_in_megabytes_and_a_dash_for_what_was_not_measured() -> None:
    table = strategies.costs(results(raced("MiniBatch", seconds=1.0, memory=5.0)))
    assert re.fullmatch(r"5\.00 MB \[4\.90, 5\.10\]", table["training memory"].iloc[0])
    assert table["peak RSS"].iloc[0].startswith("105 MB")
    assert table["energy"].iloc[0] == "—"


def test_pairwise_ratios_are_taken_within_blocks() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0),
        raced("FullBatch", seconds=3.0),
        raced("Amp", seconds=9.0, missed=(2,)),
    )
    full, amp = (only(strategies.pairwise(run), "strategy / MiniBatch", name) for name in ("FullBatch", "Amp"))
    assert full["seconds to target, ratio"].startswith(("2.99 [", "3.00 [", "3.01 ["))
    assert full["verdict"] == "slower"
    assert amp["seconds to target, ratio"].startswith(("at least 8.9", "at least 9.0"))


def test_break_even_is_put_into_words():
    row = {"warmup_seconds": 1.0, "compile_seconds": 0.0, "tuning_seconds_at_least": 0.0, "all_reached": True}
    slow = row | {"setup_seconds": 1.0, "training_seconds": 4.0}
    fast = row | {"setup_seconds": 10.0, "training_seconds": 1.0}
    assert break_even_in_words(fast, slow) == "3 runs"
    assert break_even_in_words(slow, fast) == "cheaper at first only"
    assert break_even_in_words(fast | {"training_seconds": 4.0}, slow) == "never"
    assert break_even_in_words(slow, slow) == "at once"
    assert break_even_in_words(fast, slow | {"all_reached": False}) == "—"


def test_one_table_alone_says_how_long_it_takes_to_the_target():
    """What a log-normal model makes of the same trials is another number for one thing."""
    found = strategies.time_to_target(results(raced("MiniBatch", seconds=1.0)))
    assert not {"median seconds to target", "seconds to target", "restricted mean", "PAR-2"} & set(found)
    missed = strategies.time_to_target(results(raced("MiniBatch", seconds=1.0, missed=(0,))))
    assert {"budget", "restricted mean", "PAR-2"} <= set(missed)


DEAD = {"status": "out_of_memory", "reason": "killed", "ranks": [], "curve": a_curve()}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "run",
    [results(), results(raced("MiniBatch", seconds=1.0, **DEAD)), results(raced("MiniBatch", seconds=1.0, blocks=1)),
     results(raced("MiniBatch", seconds=1.0, missed=(0, 1, 2, 3, 4, 5)), raced("Amp", seconds=1.0)),
     results(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=1.0, **DEAD)),
     results(raced("MiniBatch", seconds=1.0, seconds_allowed=None, missed=(1, 2, 3)))],
    ids=["empty", "all died", "one trial", "one never reached", "one died", "no limit"],
)  # fmt: skip
def test_whatever_a_run_holds_it_is_tabulated_without_a_gap(run):
    for table in (strategies.time_to_target(run), strategies.run_costs(run)):
        assert len(table) == run.trials["cell"].nunique()
        assert not table.isna().any(axis=None)
        assert not table.map(lambda text: "nan" in text).any(axis=None)
