"""Data beyond memory in words: who went on, and what they took."""

from paceline.bench.report import memory
from tests.synthetic import limited, results


def test_the_table_has_a_row_for_each_and_says_why_one_ended():
    run = results(
        limited("FullBatch", ended="no memory; traceback: errors/a.txt"), limited("MiniBatch"), limited("Online", 50.0)
    )
    table = memory.table(run).set_index("strategy")
    assert table.loc["FullBatch", "went on"] == "0 of 3"
    assert table.loc["FullBatch", "why not"] == "out of memory: no memory"
    assert table.loc["MiniBatch", "verdict"] == "flat"
    assert table.loc["Online", "verdict"] == "grows"
    assert table.loc["Online", "growth per million samples"].startswith("50.0 MB")
    assert table.loc["Online", "limit (RLIMIT_DATA)"] == "128 MB more than at its start"
    assert memory.table(results()).empty
