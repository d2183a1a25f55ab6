"""What searches were worth is shown as it was measured, without a gap."""

import math
from dataclasses import replace

import pytest

from paceline.bench.report import rate_searches
from tests.analysis.planted_searches import NARROW, WIDE
from tests.synthetic import results, searched


def test_what_the_best_rate_is_worth_was_measured_on_other_seeds_than_chose_it():
    """In the search it took 3000 samples; measured afresh, 4000."""
    search_only = searched("A", {0.1: 3000.0, 1.0: 9000.0}, spread=0, measured=0)
    afresh = [r for r in searched("A", {0.1: 4000.0}, spread=0) if not r.search]
    [row] = rate_searches.table(results(search_only, afresh), "tuning").to_dict("records")
    assert (row["samples to target"], row["best of 3"]) == ("4,000 [4,000, 4,000]", "—")
    assert row["rates x seeds"] == "2 x 3"
    # The run was interrupted before it was measured.
    [row] = rate_searches.table(results(search_only), "tuning").to_dict("records")
    assert (row["samples to target"], row["best rate [not resolved]"]) == ("—", "0.1 [0.1, 0.1] (at the edge)")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "records",
    [[], searched("A", {0.1: math.inf}), searched("A", {0.1: None, 1.0: None}), searched("A", {0.1: 3000.0}, blocks=1),
     searched("A", WIDE) + searched("B", NARROW, status="crashed"), searched("A", WIDE, higher_is_better=False),
     searched("A", WIDE, blocks=2) + searched("B", {0.1: 3000.0})],
    ids=["none", "missed", "diverged", "one trial", "crashed", "lower is better", "unequal"],
)  # fmt: skip
def test_whatever_a_search_holds_it_is_tabulated_without_a_gap(records):
    for comparison in ("tuning", "optimizers"):
        for metric in (None, "final_score", "seconds_to_target", "samples_to_target"):
            as_run = results([replace(record, comparison=comparison) for record in records])
            table, said = (f(as_run, comparison, metric) for f in (rate_searches.table, rate_searches.verdict))
            assert not table.isna().any(axis=None)
            assert not table.map(lambda text: "nan" in text).any(axis=None)
            assert "nan" not in said
            assert bool(said) == bool(len(table))
        spent = rate_searches.costs(as_run, comparison)
        assert not spent.map(lambda text: "nan" in text).any(axis=None)


def test_what_one_seed_of_three_rates_cannot_tell_has_no_column() -> None:
    one = results(searched("A", {0.1: 3000.0, 0.3: 2000.0, 1.0: 2600.0}, blocks=1))
    assert not {"best of 5", "best of 9", "optimism"} & set(rate_searches.table(one, "tuning"))
    assert "best of 3" in rate_searches.table(one, "tuning")
    two = results(searched("A", {0.1: 3000.0, 0.3: 2000.0, 1.0: 2600.0}, blocks=2))
    assert "optimism" in rate_searches.table(two, "tuning")
