"""Which scale of the inputs takes more samples is told apart, whatever rates each needs."""

import pytest

from paceline.bench.report import inputs
from paceline.bench.report.claims import Judgement, judge
from tests.synthetic import results, scaled_inputs


def claim(*records: object) -> Judgement:
    return next(one for one in judge(results(*records)) if one.claim == "Normalized inputs train better")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "shares", "verdict"),
    [(40_000, 20_000, "holds"), (4_000, 5_000, "fails"), (10_000, 10_000, "equivalent"), (40_000, 5_000, "depends")],
)
def test_the_claim_turns_with_the_planted_samples(stored: float, shares: float, verdict: str) -> None:
    found = claim(scaled_inputs({"0-to-255": stored, "0-to-1": shares, "standardized": 10_000}))
    assert found.verdict == verdict
    assert f"inputs 0-to-255 ({stored / 10_000:.1f}" in found.why


def test_what_is_not_resolved_or_has_nothing_beside_it_is_not_judged() -> None:
    few = scaled_inputs({"0-to-255": 12_000, "0-to-1": 11_000, "standardized": 10_000}, blocks=2)
    assert claim(few).verdict == "undecided"
    assert claim(scaled_inputs({"0-to-255": 40_000})).verdict == "not measured"


def test_a_scale_that_never_reaches_the_target_takes_at_least_what_it_spent() -> None:
    found = claim(scaled_inputs({"0-to-255": 1, "standardized": 10_000}, missed=["0-to-255"]))
    assert found.verdict == "holds"
    assert "at least 6.4" in found.why
    assert "The target was reached by 0-to-255 in 0 of 6 trials." in found.why


def test_the_table_has_each_at_its_own_rate() -> None:
    run = results(scaled_inputs({"standardized": 10_000, "0-to-255": 40_000, "0-to-1": 20_000}))
    table = inputs.table(run).set_index("inputs")
    assert list(table.index) == ["0-to-255", "0-to-1", "standardized"]
    assert [rate.split()[0] for rate in table["best rate [not resolved]"]] == ["0.001", "1", "0.1"]
    assert table.loc["0-to-255", "samples, over standardized"].startswith("4.0")
    assert table.loc["standardized", "samples, over standardized"] == "—"
