"""Data beyond memory in words: who went on, and what they took."""

from paceline.bench.report import out_of_core
from tests.synthetic import limited, results


def test_the_table_has_a_row_for_each_and_says_why_one_ended():
    run = results(limited("FullBatch", ended="no memory"), limited("MiniBatch"), limited("Online", 50.0))
    table = out_of_core.table(run).set_index("strategy")
    assert table.loc["FullBatch", "went on"] == "0 of 3"
    assert table.loc["FullBatch", "why not"] == "out_of_memory: no memory"
    assert table.loc["MiniBatch", "verdict"] == "flat"
    assert table.loc["Online", "verdict"] == "grows"
    assert table.loc["Online", "growth per million samples"].startswith("50.0 MB")
    assert table.loc["Online", "limit (RLIMIT_DATA)"] == "128 MB"
    assert out_of_core.table(results()).empty
