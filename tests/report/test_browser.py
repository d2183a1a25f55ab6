"""The reference report in a real browser: what a stranger sees, asks and prints."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paceline.bench.report import card_page, precision, strategies
from paceline.bench.report.page import table_html
from paceline.bench.report.page_layout import SCRIPT, STYLE, Fragment
from paceline.bench.report.page_layout import page as layout
from tests.paths import REFERENCE
from tests.report.test_each_workload import TWO

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")

SCREEN = {"width": 1400, "height": 900}
MOST_SCREENS = 12

HEIGHT, WIDTH = "document.documentElement.scrollHeight", "document.documentElement.scrollWidth"

# Five questions, and what the page calls them.
QUESTIONS = {
    "which strategy": "Which strategy?",
    "which batch size and rate": "Which batch size?",
    "does bfloat16 pay": "Does bfloat16 pay?",
    "do two workers pay": "Do two workers pay, or more?",
    "what if I have 300 MB": "What fits into a memory limit?",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser: pip install -e '.[dev]'")
    # A browser run by root has no sandbox; what it opens is our own.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Return the report, opened; nothing may be fetched but itself, and nothing be complained about."""
    opened = browser.new_page(viewport=SCREEN)
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    fetched: list[str] = []
    opened.on("request", lambda request: fetched.append(request.url))
    opened.goto((REFERENCE / "report.html").as_uri())
    yield opened
    assert not said
    assert [url for url in fetched if not url.startswith("data:")] == [(REFERENCE / "report.html").as_uri()]
    opened.close()


def test_the_reference_page_has_the_style_and_the_script_of_today() -> None:
    source = (REFERENCE / "report.html").read_text(encoding="utf-8")
    for file in (STYLE, SCRIPT):
        assert file.read_text(encoding="utf-8") in source, f"{file.name} has changed: paceline report results/reference"


def test_it_takes_few_screens_and_never_scrolls_sideways(page: Any) -> None:
    assert page.evaluate(HEIGHT) <= MOST_SCREENS * SCREEN["height"]
    for width in (SCREEN["width"], 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate(WIDTH) == width
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate(WIDTH) == width


def test_the_line_to_train_with_and_each_answer_stand_on_the_first_screen(page: Any) -> None:
    def bottom(found: Any) -> float:
        box = found.first.bounding_box()
        return float(box["y"] + box["height"])

    assert bottom(page.locator("pre", has_text="trainer = ")) < SCREEN["height"]
    assert bottom(page.locator(".card img")) < SCREEN["height"]
    for question in QUESTIONS.values():
        row = page.locator("tr", has=page.get_by_role("link", name=question, exact=True))
        assert bottom(row) <= SCREEN["height"], question
        assert row.first.locator("td").nth(1).inner_text().strip()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_one_click_from_each_answer_is_what_it_rests_on(page: Any, question: str) -> None:
    page.get_by_role("link", name=question, exact=True).first.click()
    anchor = page.evaluate("decodeURIComponent(location.hash.slice(1))")
    target = page.locator(f"#{anchor}")
    box = target.bounding_box()
    assert 0 <= box["y"] < SCREEN["height"] / 2
    shown = target.locator("img, table").first
    assert shown.is_visible()


def test_a_link_into_a_folded_part_opens_it(page: Any) -> None:
    folded = page.locator("details#tuning")
    assert folded.get_attribute("open") is None
    page.get_by_role("link", name="Which optimizer?").click()
    page.wait_for_function("document.getElementById('tuning').open")
    assert folded.locator("table").first.is_visible()


def test_every_contents_entry_leads_to_a_heading(page: Any) -> None:
    anchors = page.locator("nav a").evaluate_all("links => links.map((link) => link.hash.slice(1))")
    assert len(anchors) >= 5
    assert all(page.locator(f"#{anchor}").count() == 1 for anchor in anchors)


def test_all_trials_are_filtered_by_words_and_numbers_and_sorted(page: Any) -> None:
    page.evaluate("location.hash = 'trials'")
    page.wait_for_function("document.getElementById('trials').open")
    rows, box = page.locator(".trials tbody tr:visible"), page.locator(".trials input")
    everything = rows.count()
    box.fill("strategies MiniBatch reached 64")
    assert 0 < rows.count() < everything
    texts = rows.all_inner_texts()
    assert all("MiniBatch" in text and "reached" in text for text in texts)
    assert page.locator(".trials output").inner_text() == f"{rows.count()} of {everything} trials"
    box.fill("no such trial")
    assert rows.count() == 0
    box.fill("strategies reached")
    column = page.locator(".trials th", has_text="seconds to target")
    for sign in (1, -1):
        column.click()
        place = page.locator(".trials th").all_inner_texts().index("seconds to target")
        seconds = [float(row.split("\t")[place].replace(",", "")) for row in rows.all_inner_texts()]
        assert seconds == sorted(seconds, reverse=sign < 0)


def test_the_slider_tells_the_time_to_an_easier_target(page: Any) -> None:
    box = page.locator(".any-target").first

    def least() -> float:
        return float(box.locator("tbody tr").first.locator("td").nth(1).inner_text().split(" s")[0])

    hard, at = least(), float(box.locator("output").inner_text())
    box.locator("input").fill("0")
    assert float(box.locator("output").inner_text()) < at
    assert least() < hard


def test_folded_parts_are_open_on_paper(page: Any) -> None:
    table = page.locator("details#environment table")
    assert not table.is_visible()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert table.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not table.is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_of_several_workloads_one_is_shown_at_a_time_on_paper_all(browser: Any, tmp_path: Path) -> None:
    shown = [
        Fragment("<h1>Which?</h1>", "use"),
        Fragment(card_page.fragment(TWO)),
        Fragment(table_html(strategies.table(TWO), "numbers")),
        Fragment(table_html(precision.table(TWO), "numbers")),
    ]
    file = tmp_path / "report.html"
    file.write_text(layout("two", shown), encoding="utf-8")
    page = browser.new_page(viewport=SCREEN)
    page.goto(file.as_uri())
    headings, rows = page.locator(".card h2:visible"), page.locator("table.numbers tr:visible")
    for workload in ("digits", "letters"):
        page.get_by_role("button", name=workload).click()
        assert headings.all_inner_texts() == [f"{workload}: use this"]
        texts = rows.all_inner_texts()
        assert sum(text.startswith(f"{workload}\t") for text in texts) == 2
        assert sum(text.startswith("digits-64\t") for text in texts) == 1  # which is none of the two
        assert len(texts) == 5
        assert page.locator("nav button[aria-pressed=true]").all_inner_texts() == [workload]
    page.emulate_media(media="print")
    assert headings.count() == 2
    page.close()
