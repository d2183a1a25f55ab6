"""The cards as the page shows them: what to use, each decision with a link to its evidence, and the picture."""

import html

from paceline.bench.analysis.card import Card, Row
from paceline.bench.analysis.card_of_run import cards
from paceline.bench.analysis.configuration import imports
from paceline.bench.analysis.frames import Results, of_workloads
from paceline.bench.report import card as words
from paceline.bench.report import null
from paceline.bench.report.each_workload import parts
from paceline.bench.report.figures import as_image
from paceline.bench.report.plots.card import tried
from paceline.bench.report.wording import interval

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
    """Return the card of each workload, beside it its picture and what steps alone say, of whatever workload."""
    found = cards(results)
    raced, alone = [card for card in found if card.workload], [card for card in found if not card.workload]
    if not found:
        return "<p>No trial raced to a target, so there is nothing to recommend: run bench_strategies.py.</p>"
    elsewhere = "".join(f"<h3>{html.escape(words.heading(card))}</h3>{_table(card)}" for card in alone)
    if not raced:
        return f'<div class="card"><div>{elsewhere}{_resolved(results)}</div></div>'
    shown = {}
    for card in raced:
        own = of_workloads(results, frozenset({card.workload}))
        beside = f"{_picture(results, card)}{_resolved(own)}{elsewhere}"
        shown[card.workload] = f'<div class="card pictured"><div>{_use(card, found)}</div><div>{beside}</div></div>'
    overview = _overview(raced) if len(raced) > 1 else ""
    return f'{parts(shown)}\n<p class="key">{KEY}</p>{overview}'


def _resolved(results: Results) -> str:
    return f"<p>{html.escape(null.in_one_line(results))}</p>"


def _overview(raced: list[Card]) -> str:
    """Return a table of what to use on each workload."""
    rows = []
    for card in raced:
        cells: tuple[str, ...] = (card.workload, "not decided", f"{card.why_not}.", "")
        if card.use is not None:
            seconds, memory = interval(card.use.seconds, "s"), interval(card.use.memory, "MB", 1e-6)
            cells = (card.workload, card.use.python, seconds, memory)
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("on", "use", "time to the target", "memory"))
    return (
        "<h3>All workloads in short</h3>"
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _use(card: Card, found: list[Card]) -> str:
    lines = words.sentences(card, found)
    said = "".join(f"<dt>{name}</dt><dd>{_said(name, line)}</dd>" for name, line in lines.items())
    code = ""
    if card.use is not None:
        code = f"<pre>{html.escape(imports(card.use.python))}\ntrainer = {html.escape(card.use.python)}</pre>"
    heading, table = html.escape(words.heading(card)), _table(card) if card.rows else ""
    return f"<h2>{heading}</h2>{code}{f'<dl>{said}</dl>' if said else ''}{table}"


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
