"""Words that strangers did not understand are explained where they stand."""

import html

from paceline.bench.report.tips import OF_K, TIPS, explained
from tests.paths import ROOT

NOT_UNDERSTOOD = [
    "PAR-2", "restricted mean", "blocks", "cell", "basin", "optimism", "rms residual", "left out: median inside",
    "S_min (steps)", "E_min (samples)", "without a value", "flag", "ended", "how they ended",
]  # fmt: skip


def test_every_word_that_was_not_understood_is_explained() -> None:
    assert set(NOT_UNDERSTOOD) <= set(TIPS)
    assert all(tip.endswith(".") for tip in TIPS.values())


def test_a_heading_that_needs_it_has_its_tip_and_keeps_what_it_had() -> None:
    table = "<tr><th>basin</th><th data-sort>ended</th><th>of mine</th></tr>"
    found = explained(table)
    assert f'<th title="{html.escape(TIPS["basin"])}">basin</th>' in found
    assert f'<th data-sort title="{html.escape(TIPS["ended"])}">ended</th>' in found
    assert "<th>of mine</th>" in found


def test_no_tip_is_of_a_heading_that_no_table_has() -> None:
    source = "".join(path.read_text() for path in (ROOT / "bench").rglob("*.py") if path.name != "tips.py")
    assert [word for word in TIPS if f'"{word}"' not in source] == []


def test_headings_that_count_are_explained_as_one() -> None:
    assert OF_K in html.unescape(explained("<th>best of 3</th>"))
