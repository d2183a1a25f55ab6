"""Of several workloads each has its own card, figures and rows, and what is of none of them stays whole."""

import re

from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results, of_workloads
from paceline.bench.report import any_target, card, card_page
from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.each_workload import figures, parts
from tests.synthetic import precisions, raced, results

TWO = results(
    raced("MiniBatch", seconds=1.0),
    raced("FullBatch", seconds=3.0),
    raced("MiniBatch", seconds=4.0, workload="letters"),
    raced("FullBatch", seconds=2.0, workload="letters"),
    precisions({(64, 32): 2.0}),
)


def test_what_a_run_holds_of_some_workloads_is_that_alone() -> None:
    own = of_workloads(TWO, frozenset({"letters"}))
    assert set(own.trials["workload"]) == {"letters"}
    assert {record.workload for record in own.records} == {"letters"}
    assert set(own.curves["trial"]) == set(own.trials["trial"])
    assert own is of_workloads(TWO, frozenset({"letters"}))  # so that what is computed of it is so once


def test_each_figure_says_what_was_found_on_its_workload() -> None:
    found = figures(TWO, PLOTS["time_to_target"])
    titles = {name: figure.get_suptitle() for name, figure in found.items()}
    assert titles == {
        "digits": "MiniBatch is the fastest; FullBatch takes 3.0 times as long",
        "letters": "FullBatch is the fastest; MiniBatch takes 2.0 times as long",
    }


def test_what_one_or_none_of_them_has_is_one_figure_and_others_follow() -> None:
    assert list(figures(TWO, PLOTS["precision"])) == [""]
    assert list(figures(results(raced("MiniBatch", seconds=1.0)), PLOTS["time_to_target"])) == [""]
    assert figures(TWO, PLOTS["stream"]) == {}

    def anything(own: Results) -> Figure | None:
        return Figure() if own.records else None

    assert list(figures(TWO, anything)) == ["digits", "letters", ""]


def test_parts_are_marked_where_there_are_several() -> None:
    assert parts({"digits": "<p>a</p>"}) == "<p>a</p>"
    both = parts({"a<b": "<p>a</p>", "": "<p>of all</p>"})
    assert both == '<div class="each"><div data-workload="a&lt;b"><p>a</p></div><div><p>of all</p></div></div>'


def test_cards_and_sliders_are_marked_and_the_overview_has_a_row_each() -> None:
    page = card_page.fragment(TWO)
    for shown in (page, any_target.fragment(TWO)):
        assert re.findall('data-workload="([^"]*)"', shown) == ["digits", "letters"]
    assert page.count("Does bfloat16 pay?") == 2  # beside either card
    overview = page.partition("All workloads in short")[2]
    assert "<td>digits</td><td>MiniBatch(" in overview
    assert "<td>letters</td><td>FullBatch(" in overview


def test_a_run_ends_with_each_configuration_its_price_and_what_is_resolved() -> None:
    lines = card.text(TWO).splitlines()
    assert [line for line in lines if line.endswith("use this")] == ["digits: use this", "letters: use this"]
    assert sum(line.startswith("    trainer = ") for line in lines) == 2
    assert sum(line.startswith("  Takes: ") for line in lines) == 2
    assert "card.md" in card.text(TWO)
    assert " ".join(lines).endswith("are not resolved in this run.")
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 20
