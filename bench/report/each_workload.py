"""What a page shows of each workload: a part each, of which a reader sees one at a time, and on paper all."""

import html
from collections.abc import Callable

from matplotlib.figure import Figure

from paceline.bench.analysis.card_of_run import cards
from paceline.bench.analysis.frames import Results, of_workloads


def raced(results: Results) -> list[str]:
    """Return the workloads that have a card: between these a reader chooses."""
    return [card.workload for card in cards(results) if card.workload]


def parts(shown: dict[str, str]) -> str:
    """Return the HTML of each workload, marked as its own; that under "" is of all of them."""
    if len(shown) < 2:
        return "".join(shown.values())
    marks = {name: f' data-workload="{html.escape(name)}"' if name else "" for name in shown}
    return f'<div class="each">{"".join(f"<div{marks[name]}>{own}</div>" for name, own in shown.items())}</div>'


def figures(results: Results, plot: Callable[[Results], Figure | None]) -> dict[str, Figure]:
    """Return a figure for each workload that has a card, and under "" that of all others, where there is one.

    Where no two of the former have a figure, there is one figure of everything.
    """
    own = raced(results)
    apart = {name: plot(of_workloads(results, frozenset({name}))) for name in own if len(own) > 1}
    if sum(figure is not None for figure in apart.values()) < 2:
        apart = {"": plot(results)}
    else:
        others = frozenset(record.workload for record in results.records) - set(own)
        apart[""] = plot(of_workloads(results, others)) if others else None
    return {name: figure for name, figure in apart.items() if figure is not None}
