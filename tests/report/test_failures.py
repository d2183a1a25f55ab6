"""Failures, and what was not measured, have their reasons."""

from paceline.bench.report import failures, not_measured
from tests.synthetic import raced, results


def test_failures_and_what_was_not_measured_have_their_reasons() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0),
        raced("Amp", seconds=1.0, blocks=1, status="diverged", reason="loss is nan"),
    )
    table = failures.table(run)
    assert list(table["reason"]) == ["loss is nan"]
    assert list(table["cell"]) == ["digits-Amp"]
    missing = not_measured.table(run).set_index("quantity").loc["energy joules"]
    assert missing["reason"] == "no GPU: the trial ran on the CPU"
    assert missing["trials"] == "7 of 7"
