"""What a plot shows, as its title: the finding where a run has one, else the question."""

from dataclasses import replace

from paceline.bench.analysis.card import Card, Row
from paceline.bench.analysis.card_of_run import METRIC, cards
from paceline.bench.analysis.frames import Results
from paceline.bench.report.plots.style import number, short

MOST = 86  # characters in the width of a figure


def finding(results: Results, decision: str, evidence: str, question: str) -> str:
    """Return in a few words what a run found of a decision; ``question`` where it did not, or of several workloads.

    Args:
        results: of a run.
        decision: of which a card has a row.
        evidence: the comparison that it rests on.
        question: what the plot asks.
    """
    rows = [row for card in cards(results) for row in card.rows if (row.decision, row.evidence) == (decision, evidence)]
    if evidence == "strategies":
        rows = [found for card in cards(results) if (found := _of_strategies(card)) is not None]
    if len(rows) != 1:
        return question
    return short(_of_precision(rows[0]) if evidence == "precision" else _said(rows[0]), MOST)


def _of_strategies(card: Card) -> Row | None:
    """Return all strategies in one row, also those that a card counts as precision or workers."""
    rows = [row for row in card.rows if row.evidence == "strategies" and row.metric == METRIC]
    others = [replace(one, name=one.cell.removeprefix(f"{card.workload}-")) for row in rows for one in row.alternatives]
    if card.use is None or not others:
        return None
    return Row("strategy", card.use.python.partition("(")[0], METRIC, tuple(others), "strategies")


def _of_precision(row: Row) -> str:
    lower = row.alternatives[0].name.partition(", ")[0]
    pays = [one.name.partition(", ")[2] for one in row.alternatives if one.pays == "yes"]
    return f"{lower} pays at {' and '.join(pays)}" if pays else f"{lower} is nowhere resolved to pay"


def _said(row: Row) -> str:
    worse = [one for one in row.alternatives if one.pays == "no" and one.takes.comparison.ratio < float("inf")]
    first = " or ".join(row.any_of)
    said = f"{first} is the fastest" if len(row.any_of) == 1 else f"{first}: which is faster is not resolved"
    if not worse:
        return said
    next_ = min(worse, key=lambda one: one.takes.comparison.ratio)
    price = f"; {next_.name.partition(', ')[0]} takes {number(next_.takes.comparison.ratio)} times as long"
    return said + price if len(said + price) <= MOST else said
