"""Streams in words: scores beside what had to be beaten, who is late, who falls behind."""

from paceline.bench.report import stream
from paceline.bench.report.choice import NOT_DECIDED, not_run
from tests.synthetic import results, streamed


def full_run(online: float = 0.9, mini: float = 0.8, retrain: float = 0.7):
    shares = {"Online": online, "MiniBatch": mini, "Retrain": retrain}
    return results(
        *(streamed(name, share) for name, share in shares.items()),
        *(streamed(name, share, kind="paced", samples=300) for name, share in shares.items()),
        *(streamed(name, share, kind="flooded", behind=float(name == "Online")) for name, share in shares.items()),
    )


def test_the_table_has_a_row_for_each_strategy_and_rate():
    table = stream.table(full_run())
    assert len(table) == 9
    assert list(table["samples arrive"].unique()) == ["when asked for", "1,000 a second", "10,000 a second"]
    first = table[(table["strategy"] == "Online") & (table["samples arrive"] == "when asked for")].iloc[0]
    assert first["predicted right"].startswith(("89.", "90."))
    assert first["latency p50"] == "—"
    assert float(first["no change"].split()[0]) < 15
    flooded = table[table["samples arrive"] == "10,000 a second"].set_index("strategy")
    assert flooded.loc["Online", "most behind"].startswith(("49", "50", "51"))
    assert flooded.loc["MiniBatch", "most behind"].startswith(("10", "11"))
    assert stream.table(results()).empty


def test_the_decision_names_the_best_and_who_ties():
    (found,) = stream.decisions(full_run())
    assert found.choice == "Online"
    assert "over MiniBatch and" in found.why
    assert "At 1,000 a second" in found.why
    assert "samples wait at the worst: MiniBatch 10, Online 5" in found.why
    (tied,) = stream.decisions(full_run(mini=0.9))
    assert tied.choice in ("Online or MiniBatch", "MiniBatch or Online")
    (none,) = stream.decisions(full_run(0.8, 0.8, 0.8))
    assert none.choice == NOT_DECIDED
    assert stream.decisions(results()) == not_run("what to train on data that drift", "bench_stream.py")


def test_the_claim_turns_with_the_numbers():
    assert stream.claim_follows(full_run())[0] == "holds"
    assert stream.claim_follows(full_run(retrain=0.95))[0] == "fails"
    # Who is no better than to name the last label again does not follow.
    assert stream.claim_follows(full_run(online=0.1, retrain=0.05))[0] in ("fails", "undecided")
    assert stream.claim_follows(results())[0] == "not measured"
