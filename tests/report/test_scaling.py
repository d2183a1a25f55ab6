"""Ranks that share cores are no scaling."""

from paceline.bench.report import scaling
from tests.synthetic import ranks, results


def test_oversubscribed_ranks_are_marked_and_given_no_speedup() -> None:
    table = scaling.table(results(ranks({1: 1.0, 2: 1.8, 4: 3.0}, cores=2)))
    fair, shared = table[table["ranks x threads"] == "2 x 1"], table[table["ranks x threads"] == "4 x 1"]
    assert fair["speed-up over 1 rank"].str.startswith(("1.79", "1.80", "1.81")).all()
    assert fair["efficiency"].str.startswith(("0.89", "0.90")).all()
    assert (shared[["speed-up over 1 rank", "efficiency"]] == "—").all(axis=None)
    assert shared["note"].str.contains("oversubscribed: 4 threads on 2 cores").all()


def test_the_base_is_a_process_that_pays_for_no_communication_and_the_cost_is_in_core_seconds() -> None:
    table = scaling.table(results(ranks({1: 1.0, 2: 1.8}, threads={1: 1.2, 2: 1.5}))).set_index("ranks x threads")
    over, cost = "over 1 process on 1 core", "core-seconds a sample, over its"
    assert table.loc["1 x 2", over].startswith(("1.24", "1.25", "1.26"))
    assert table.loc["1 x 2", cost].startswith(("1.59", "1.60", "1.61"))
    strong = table[table["scaling"] == "strong"].loc["2 x 1"]
    assert strong[over].startswith(("1.49", "1.50", "1.51"))
    assert strong[cost].startswith(("1.32", "1.33", "1.34"))
    # DDP on one rank is slower than one process: to divide by it flatters all others.
    assert table[table["note"] == "where ranks begin"].iloc[0][over].startswith(("0.82", "0.83", "0.84"))
