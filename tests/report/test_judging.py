"""A verdict is one of six: what is undecided counts, equivalence is no failure, and a family is corrected together."""

import math

import pytest

from paceline.bench.report.judging import Finding, Point, Said, Verdict, over_sweep, over_workloads

HOLDS, FAILS, EQUAL, OPEN = (Said(verdict) for verdict in ("holds", "fails", "equivalent", "undecided"))


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ([], "not measured"),
        ([HOLDS], "holds"),
        ([OPEN], "undecided"),
        ([HOLDS, OPEN, OPEN, OPEN, OPEN], "undecided"),  # one of five is no verdict on the whole
        ([HOLDS, HOLDS, OPEN], "holds"),
        ([HOLDS, FAILS], "depends"),
        ([HOLDS, EQUAL], "depends"),
        ([FAILS, EQUAL], "fails"),
        ([EQUAL, EQUAL], "equivalent"),
        ([Said("depends")], "depends"),
    ],
)
def test_one_rule_for_workloads_and_sweeps(said: list[Said], verdict: Verdict) -> None:
    places = "abcde"
    findings = [Finding(one, f"On {place}.", place) for one, place in zip(said, places, strict=False)]
    assert over_workloads(findings, "a run")[0] == verdict
    if Said("depends") not in said:
        points = [Point(place, one, "1.00") for one, place in zip(said, places, strict=False)]
        assert over_sweep(points, "the place", "Ratios", "a run")[0] == verdict


def test_where_it_holds_is_said_first_and_how_many_more_seeds_it_takes() -> None:
    findings = [Finding(HOLDS, "On a.", "a"), Finding(Said("undecided", 9.0), "On b.", "b"),
                Finding(Said("undecided", 14.0), "On c.", "c")]  # fmt: skip
    verdict, why = over_workloads(findings, "")
    assert verdict == "undecided"
    assert why.startswith("Holds on a; undecided on b and c. Undecided: about 14 more seeds would decide it. On a.")
    hopeless = over_workloads([Finding(Said("undecided", math.inf), "On a.", "a")], "")[1]
    assert "more seeds would hardly decide it" in hopeless


def test_of_ten_verdicts_one_at_4_percent_is_no_verdict() -> None:
    weak = [
        Point("a", Said("holds", p=0.04), "1.10"),
        *(Point(p, Said("undecided", p=1.0), "1.00") for p in "bcdefghij"),
    ]
    verdict, why = over_sweep(weak, "the place", "Ratios", "")
    assert verdict == "undecided"
    assert "It holds at" not in why
    assert "The 10 verdicts are corrected together (Holm)" in why
    alone, why = over_sweep(weak[:1], "the place", "Ratios", "")
    assert (alone, "together" in why) == ("holds", False)
