"""Cells become sections, of which some are folded; what was not measured says so without being opened."""

import json
import re

from paceline.bench.report.card_page import EVIDENCE
from paceline.bench.report.page_layout import Fragment, page
from tests.paths import ROOT

NOTEBOOK = ROOT / "report.ipynb"

CELLS = [
    Fragment("<h1>Which?</h1>", "use"),
    Fragment("<p>the card</p>"),
    Fragment("<h2>First</h2><p>why</p>", "first"),
    Fragment("<h3>Told</h3>", "told", folded=True),
    Fragment("<table></table>"),
    Fragment("<p>more</p>", "prose-without-a-heading"),
    Fragment("<h3>Untold</h3><p>what it would be</p>", "untold", folded=True),
    Fragment("<p>Not measured: run bench_x.py.</p>"),
    Fragment("<h2>Second &amp; last</h2>", "second"),
    Fragment("<p>end</p>"),
]


def body() -> str:
    return page("a < b", CELLS).split("<main>")[1].split("</main>")[0]


def test_sections_hold_what_follows_them_until_the_next_of_their_level() -> None:
    found = body()
    first = found[found.index('<section id="first">') : found.index('<section id="second">')]
    assert '<details id="told"><summary>Told</summary>\n<table></table>\n<p>more</p>\n</details>' in first
    assert first.rstrip().endswith("</section>")
    assert found.count("<section") == found.count("</section>") == 3
    assert found.count("<details") == found.count("</details>") == 2


def test_what_was_not_measured_says_so_while_it_is_folded() -> None:
    assert "<summary>Untold <small>not measured in this run</small></summary><p>what it would be</p>" in body()


def test_contents_lead_to_every_section_and_the_title_is_text() -> None:
    whole = page("a < b", CELLS)
    assert "<title>a &lt; b</title>" in whole
    contents = whole[whole.index("<nav") : whole.index("</nav>")]
    assert re.findall(r'href="#([^"]*)">([^<]*)', contents) == [
        ("use", "Which?"), ("first", "First"), ("second", "Second &amp; last"),
    ]  # fmt: skip


def test_the_notebook_has_every_section_that_the_card_leads_to() -> None:
    """Their names are the ids of its cells, which a tool that renumbers them takes away."""
    ids = {cell["id"] for cell in json.loads(NOTEBOOK.read_text())["cells"]}
    assert {"memory", "trials", *EVIDENCE.values()} <= ids
