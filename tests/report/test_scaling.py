"""Ranks that share cores are no scaling."""

from paceline.bench.report import scaling
from tests.synthetic import ranks, results


def test_oversubscribed_ranks_are_marked_and_given_no_speedup() -> None:
    table = scaling.table(results(ranks({1: 1.0, 2: 1.8, 4: 3.0}, cores=2)))
    fair, shared = table[table["ranks x threads"] == "2 x 1"], table[table["ranks x threads"] == "4 x 1"]
    assert fair["speed-up"].str.startswith(("1.79", "1.80", "1.81")).all()
    assert fair["efficiency"].str.startswith(("0.89", "0.90")).all()
    assert (shared[["speed-up", "efficiency"]] == "—").all(axis=None)
    assert shared["note"].str.contains("oversubscribed: 4 threads on 2 cores").all()
