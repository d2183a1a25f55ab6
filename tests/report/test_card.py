"""The card in words, in Markdown, on the page and as pictures says what was planted."""

import pytest

from paceline.bench.analysis.frames import Results
from paceline.bench.report import card, card_page
from paceline.bench.report.trials_table import fragment as trials
from tests.synthetic import precisions, raced, ranks, results

RUN = results(
    raced("MiniBatch", seconds=1.0, lr=0.3),
    raced("FullBatch", seconds=3.0),
    raced("Amp", seconds=1.1, vary=1.12, dtype="bfloat16"),
    raced("Ddp", seconds=2.0, world_size=2, threads=1, memory=90.0),
    precisions({(64, 32): 2.0, (1024, 512): 0.5}),
    ranks({1: 1.0, 2: 1.1}, threads={1: 1.0, 2: 1.9}),
)


@pytest.fixture(scope="module")
def text() -> str:
    return card.text(RUN)


def test_the_text_begins_with_the_line_to_train_with_and_fits_a_terminal(text: str) -> None:
    lines = text.splitlines()
    assert lines[0] == "digits: use this"
    assert lines[1].strip() == "from paceline.trainers import MiniBatch, Sgd"
    assert lines[2].strip() == "trainer = MiniBatch(optimizer=Sgd(lr=0.3), batch_size=64)"
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 40


def test_a_strangers_questions_have_their_answers(text: str) -> None:
    said = " ".join(text.split())
    assert "Which strategy? MiniBatch. FullBatch 3.00" in said
    assert "Does bfloat16 pay? undecided: float32 or bfloat16." in said
    assert "Does bfloat16 pay? yes at digits-1024 B=512." in said
    assert "Do two workers pay, or more? no: 1 process on 2 threads. 2 ranks 2.00" in said
    assert "What fits into a memory limit? MiniBatch from 105 MB." in said


def test_the_next_command_settles_what_seeds_can_settle(text: str) -> None:
    assert "Next: paceline run strategies --workload digits --seeds " in text
    settled = card.text(results(raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=3.0)))
    assert "Next: paceline run --workload your_file.py:YOURS" in settled
    assert "every decision is resolved" in settled


def test_the_markdown_is_a_table_a_card() -> None:
    markdown = card.markdown(RUN)
    assert "trainer = MiniBatch(optimizer=Sgd(lr=0.3), batch_size=64)\n```" in markdown
    assert "| Which strategy? | MiniBatch | FullBatch 3.00" in markdown
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert widths == {5}


def test_on_the_page_each_decision_has_its_colour_and_links_to_its_evidence() -> None:
    page = card_page.fragment(RUN)
    assert '<span class="takes no">FullBatch 3.00' in page
    assert '<span class="takes undecided">bfloat16 1.' in page
    assert '<span class="takes yes">bfloat16, digits-1024 B=512 0.' in page
    for anchor in ("strategies", "precision", "workers", "memory"):
        assert f'<a href="#{anchor}">' in page
    assert page.count("<img") == 1


def test_what_users_called_their_things_is_text_and_no_markup() -> None:
    run = results(raced("<b>Mine", seconds=1.0, workload="a<i>b"), raced("MiniBatch", seconds=3.0, workload="a<i>b"))
    for shown in (card_page.fragment(run), trials(run)):
        assert "<b>" not in shown
        assert "<i>" not in shown


@pytest.mark.parametrize("run", [results(), results(raced("MiniBatch", seconds=1.0, missed=tuple(range(6))))])
def test_without_a_choice_the_reason_stands_in_its_place(run: Results) -> None:
    page = card_page.fragment(run)
    assert "run bench_strategies.py" in page or "no configuration reached the target in every trial" in page
    assert "use this" not in page
