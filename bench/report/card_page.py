"""The cards as the page shows them: what to use, each decision with a link to its evidence, and the picture."""

import html

from paceline.bench.analysis.card import Card, Row
from paceline.bench.analysis.card_of_run import cards
from paceline.bench.analysis.configuration import imports
from paceline.bench.analysis.frames import Results
from paceline.bench.report import card as words
from paceline.bench.report import null
from paceline.bench.report.figures import as_image
from paceline.bench.report.plots.card import tried

# Where the page tells what a decision rests on: names of the notebook's cells.
EVIDENCE = {
    "strategies": "strategies",
    "critical_batch": "batch-sizes",
    "optimizers": "tuning",
    "tuning": "tuning",
    "precision": "precision",
    "scaling": "workers",
}

KEY = (
    "Ratios are of seconds to the target where nothing else is said, over what is used, with their 95 % interval: "
    "&#x2717; costs more, &#x2713; pays, = as good, ? undecided."
)


def fragment(results: Results) -> str:
    """Return the first workload's card, beside it its picture and what steps alone say; those of others are folded."""
    found = cards(results)
    raced, alone = [card for card in found if card.workload], [card for card in found if not card.workload]
    if not found:
        return "<p>No trial raced to a target, so there is nothing to recommend: run bench_strategies.py.</p>"
    resolved = f"<p>{html.escape(null.in_one_line(results))}</p>"
    elsewhere = "".join(f"<h3>{html.escape(words.heading(card))}</h3>{_table(card)}" for card in alone)
    if not raced:
        return f'<div class="card"><div>{elsewhere}{resolved}</div></div>'
    beside = f"{_picture(results, raced[0])}{resolved}{elsewhere}"
    parts = [f'<div class="card pictured"><div>{_use(raced[0], found)}</div><div>{beside}</div></div>']
    for card in raced[1:]:
        inside = f"<div>{_use(card, found, headed=False)}</div><div>{_picture(results, card)}</div>"
        title = f"{words.heading(card)}: {card.use.python}" if card.use is not None else words.heading(card)
        parts.append(
            f'<details><summary>{html.escape(title)}</summary><div class="card pictured">{inside}</div></details>'
        )
    return "\n".join([*parts, f'<p class="key">{KEY}</p>'])


def _use(card: Card, found: list[Card], headed: bool = True) -> str:
    lines = words.sentences(card, found)
    said = "".join(f"<dt>{name}</dt><dd>{_said(name, line)}</dd>" for name, line in lines.items())
    parts = [f"<h2>{html.escape(words.heading(card))}</h2>" if headed else ""]
    if card.use is not None:
        code = f"{imports(card.use.python)}\ntrainer = {card.use.python}"
        parts.append(f"<pre>{html.escape(code)}</pre>")
    return "".join([*parts, f"<dl>{said}</dl>" if said else "", _table(card) if card.rows else ""])


def _picture(results: Results, card: Card) -> str:
    figure = tried(results, card.workload)
    alt = "seconds to the target of everything that was tried; its numbers are in the table of all trials"
    return as_image(figure, alt) if figure is not None else ""


def _said(name: str, line: str) -> str:
    command, _, why = line.partition("  # ")
    if name != "Next":
        return html.escape(line)
    return f"<code>{html.escape(command)}</code> {html.escape(why)}"


def _table(card: Card) -> str:
    rows = "".join(_row(row) for row in card.rows)
    head = "<tr><th>decision</th><th>answer</th><th>what the others take</th></tr>"
    table = f'<table class="decisions"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    return f'<div class="table">{table}</div>'


def _row(row: Row) -> str:
    said, settled = words.answer(row)
    others = " ".join(
        f'<span class="takes {one.pays}">{html.escape(words.taken(row, one))}</span>' for one in row.alternatives
    )
    unit = f" <small>({words.counted(row)})</small>" if words.counted(row) else ""
    anchor = "memory" if row.decision == "memory" else EVIDENCE.get(row.evidence, "trials")
    link = f'<a href="#{anchor}">{html.escape(words.question(row))}</a>'
    look = "settled" if settled else "open"
    return f'<tr><td>{link}</td><td class="{look}">{html.escape(said)}</td><td>{others}{unit}</td></tr>'
