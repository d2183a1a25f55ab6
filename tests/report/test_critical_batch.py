"""What is said of the sweep turns with what was planted, and abstains where the trials do not tell."""

import re

import numpy as np
import pytest

from paceline.bench.report import critical_batch
from paceline.bench.report.claims import judge
from paceline.bench.report.decision import decide
from tests.synthetic import batch_sizes, results, swept


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"missed": lambda batch, rate, block: True}, "No batch size reached the target in every trial"),
        ({"blocks": 1}, "at least 3 seeds are needed"),
    ],
)
def test_it_abstains(changes: dict[str, object], why: str) -> None:
    run = results(swept((4, 16, 64), **changes))
    row = decide(run).set_index("constraint").loc["digits: batch size fastest to target"]
    assert row["choice"] == "not decided"
    assert why in row["why"]
    assert critical_batch.fits(run)["identifiable"].iloc[0].startswith("no: ")
    assert len(critical_batch.table(run)) == 3


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [({"power": 1.0}, "holds"), ({"power": 0.0}, "fails"), ({"power": 1.0, "ends": 32}, "depends")],
)
def test_the_claim_on_the_growing_rate_turns_with_the_planted_power(changes: dict[str, float], verdict: str) -> None:
    run = results(swept((4, 8, 16, 32, 64, 128, 256), tuple(np.geomspace(0.002, 16, 27).round(4)), **changes))
    assert judge(run)[5].verdict == verdict


def test_the_row_on_throughput_points_to_the_sweep() -> None:
    table = decide(results(batch_sizes({16: 1e4, 64: 1e5}), swept()))
    why = table.loc[table["constraint"].str.contains("saturates"), "why"].iloc[0]
    assert "batch size fastest to target" in why


def test_what_a_rule_would_cost_is_said_only_where_it_is_resolved_to_cost_more() -> None:
    said = 0
    for critical in (16.0, 64.0, 256.0):
        run = results(swept(spread=0.3, blocks=6, critical=critical))
        row = decide(run).set_index("constraint").loc["digits: batch size fastest to target"]
        tied = re.findall(r"B=\d+", row["choice"])
        warned = re.findall(r"(B=\d+) \([^)]*\) would take", row["why"])
        assert not set(warned) & set(tied)
        [sizes] = critical_batch.best_sizes(run).to_dict("records")
        priced = [str(text) for name, text in sizes.items() if name.startswith("price of")]
        assert all(("not resolved" in text) == (text.split(":")[0] in tied) for text in priced if "seconds" in text)
        said += len(tied) > 1
    assert said


def test_what_was_tried_next_to_the_chosen_is_said_and_no_batch_size_is_priced_twice() -> None:
    """Between them nothing is known: B=64 of a grid of powers of four is anything from 16 to 256."""
    run = results(swept((4, 16, 64, 256, 1024)))
    row = decide(run).set_index("constraint").loc["digits: batch size fastest to target"]
    assert row["choice"] == "B=64"
    assert "Tried next to it: B=16 and B=256." in row["why"]
    priced = re.findall(r"(B=\d+)[^.]*? times \[", row["why"])
    assert len(priced) == len(set(priced))
