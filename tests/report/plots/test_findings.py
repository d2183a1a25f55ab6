"""Titles say what was planted, and ask where there is nothing to say."""

from paceline.bench.report.plots.findings import finding
from tests.synthetic import precisions, raced, ranks, results

ASKED = "Which is it?"


def strategies(*records) -> str:
    return finding(results(*records), "strategy", "strategies", ASKED)


def test_the_fastest_is_named_with_the_price_of_the_next():
    found = strategies(raced("MiniBatch", seconds=1.0), raced("Online", seconds=9.0), raced("FullBatch", seconds=2.0))
    assert found == "MiniBatch is the fastest; FullBatch takes 2.0 times as long"


def test_what_is_not_resolved_is_said_of_mixed_precision_too():
    amp = raced("Amp", seconds=1.05, vary=1.4, dtype="bfloat16")
    found = strategies(raced("MiniBatch", seconds=1.0), amp, raced("FullBatch", seconds=9.0))
    assert found.startswith("MiniBatch or Amp: which is faster is not resolved; FullBatch takes 8.2")


def test_precision_says_where_it_pays():
    run = results(precisions({(64, 32): 2.0, (1024, 512): 0.5}))
    assert finding(run, "precision", "precision", ASKED) == "bfloat16 pays at digits-1024 B=512"
    run = results(precisions({(64, 32): 2.0}))
    assert finding(run, "precision", "precision", ASKED) == "bfloat16 is nowhere resolved to pay"


def test_workers_are_compared_at_their_best():
    run = results(ranks({1: 1.0, 2: 1.1}, threads={1: 1.0, 2: 1.9}))
    assert finding(run, "workers", "scaling", ASKED).startswith("1 process on 2 threads is the fastest; ")


def test_of_nothing_or_of_several_workloads_the_title_asks():
    assert strategies() == ASKED
    two = [
        raced(name, seconds=s, workload=w) for w in ("a", "b") for name, s in (("MiniBatch", 1.0), ("FullBatch", 2.0))
    ]
    assert strategies(*two) == ASKED
    assert strategies(raced("MiniBatch", seconds=1.0)) == ASKED
