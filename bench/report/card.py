"""The card in words: one configuration, what it takes, how sure that is, and each decision in it."""

import math
import textwrap

from paceline.bench.analysis.card import Alternative, Card, Pays, Row
from paceline.bench.analysis.card_of_run import cards
from paceline.bench.analysis.configuration import imports
from paceline.bench.analysis.frames import Results
from paceline.bench.report import null
from paceline.bench.report.metrics import in_its_unit
from paceline.bench.report.plots import card as plots
from paceline.bench.report.wording import interval, listed, number, percent

PLOTS = {"card": plots.card, "tried": plots.tried}

QUESTIONS = {
    "configuration": "Which configuration?",
    "strategy": "Which strategy?",
    "batch size": "Which batch size?",
    "learning rate": "Which learning rate?",
    "optimizer": "Which optimizer?",
    "precision": "Does lower precision pay?",
    "compiling": "Does compiling pay?",
    "workers": "Do two workers pay, or more?",
    "memory": "What fits into a memory limit?",
}

# Decisions that are questions of yes and no, and what it says where the answer is no.
PLAINLY = {"precision": "float32", "workers": "process", "compiling": "written"}

UNITS = {"samples_to_target": "in samples", "seconds_per_step": "in seconds a step", "peak_rss_bytes": "in memory"}

SIGNS: dict[Pays, str] = {"no": "costs more", "yes": "pays", "same": "as good", "undecided": "undecided"}

OVER = "what the others take over it, in seconds to the target"

MOST_SEEDS = 30  # nobody runs more to settle one choice


def question(row: Row) -> str:
    """Return what a row answers, as a stranger asks it."""
    names = [row.chosen, *(one.name for one in row.alternatives)]
    lower = next((name.partition(",")[0] for name in names if name != "float32"), "")
    return f"Does {lower} pay?" if row.decision == "precision" and lower else QUESTIONS.get(row.decision, row.decision)


def answer(row: Row) -> tuple[str, bool]:
    """Return a row's answer, and whether it is resolved."""
    undecided, better = len(row.any_of) > 1, [one.name for one in row.alternatives if one.pays == "yes"]
    if row.decision == "memory":
        return f"{row.chosen} from {in_its_unit(row.value.median, row.metric)}", True
    if row.decision not in PLAINLY:
        return (f"{listed(row.any_of, 'or')}: any of these" if undecided else row.chosen), not undecided
    if better:
        return f"yes at {listed(name.partition(', ')[2] or name for name in better)}", True
    if undecided:
        return f"undecided: {listed(row.any_of, 'or')}", False
    return f"{'no' if PLAINLY[row.decision] in row.chosen else 'yes'}: {row.chosen}", True


def taken(row: Row, one: Alternative) -> str:
    """Return what an alternative takes over what was chosen: "Amp 1.32 times [1.11, 1.57]"."""
    found = one.takes.comparison
    if math.isinf(found.ratio):
        return f"{one.name} missed the target"
    amount = f" {in_its_unit(one.value.median, row.metric)}," if row.decision == "memory" else ""
    said = f"{one.name}{amount} {one.takes.bound} {number(found.ratio)} times".replace("  ", " ")
    if math.isnan(found.low):
        return f"{said} (n={found.n}, no interval)"
    said = f"{said} [{number(found.low)}, {number(found.high)}]"
    apart = one.pays == "undecided" and not found.low <= 1 <= found.high
    return f"{said}, apart by itself but not among all" if apart else said


def counted(row: Row) -> str:
    """Return what a row's ratios are of, where that is not seconds to the target: "in samples"."""
    return UNITS.get(row.metric, "")


def heading(card: Card) -> str:
    """Return what a card is of."""
    if not card.workload:
        return "Elsewhere: what steps alone take"
    return f"{card.workload}: {'use this' if card.use is not None else 'not decided'}"


def sentences(card: Card, found: list[Card]) -> dict[str, str]:
    """Return, each under its name, what a configuration takes, how sure that is, what would change it, what is next."""
    if card.use is None:
        return {"Why": f"{card.why_not}."} if card.why_not else {}
    use = card.use
    takes = f"{interval(use.seconds, 's')} of training to a score of {card.target:g}, with {use.workers}"
    if not math.isnan(use.memory.median):
        takes += f"; {interval(use.memory, 'MB', 1e-6)} of memory at the peak"
    reached, n = use.reached
    sure = f"{reached} of {n} trials reached the target"
    if not math.isnan(use.chance):
        sure += f"; the strategy is the fastest with a chance of {percent(use.chance)}"
    undecided = [f"{row.decision} ({listed(row.any_of, 'or')})" for row in card.rows if _undecided(row)]
    sure += f"; undecided: {listed(undecided)}" if undecided else "; every decision is resolved"
    sure = f"{card.sure}; {reached} of {n} trials reached the target" if card.sure else sure
    following = f"{card.next}  # goes on where this run ended" if card.next else _next(card)
    return {"Takes": f"{takes}.", "How sure": f"{sure}.", "Would change it": _changes(card, found), "Next": following}


def _undecided(row: Row) -> bool:
    return row.decision != "memory" and any(one.pays == "undecided" for one in row.alternatives)


def _changes(card: Card, found: list[Card]) -> str:
    """Return what would change the choice, as far as this run knows."""
    alone = [row for other in found if not other.workload for row in other.rows]
    other: dict[str, list[str]] = {}
    for name, _, place in (one.name.partition(", ") for row in alone for one in row.alternatives if one.pays == "yes"):
        other.setdefault(name, []).append(place)
    pays = [f"{name} pays at {listed(places)}" for name, places in other.items()]
    known = [f"another model or batch ({'; '.join(pays)})"] if pays else []
    lean = any(one.pays == "yes" for row in card.rows if row.decision == "memory" for one in row.alternatives)
    known += ["a memory limit"] if lean else []
    return f"{listed([*known, 'another target, other data, another machine'], 'or')}."


def _next(card: Card) -> str:
    """Return the command that would settle what seeds can settle first, else that for a model of one's own."""
    for row in card.rows:
        n = max((one.takes.comparison.n for one in row.alternatives), default=0)
        if _undecided(row) and 0 < row.seeds_wanted <= MOST_SEEDS:
            run = f"paceline run {row.evidence} --workload {card.workload} --seeds {n + row.seeds_wanted:.0f}"
            return f"{run}  # may settle the {row.decision}"
    return "paceline run --workload your_file.py:YOURS  # the same for a model of your own"


def text(results: Results) -> str:
    """Return what a run ends with, of at most 100 columns: all cards, and which differences it cannot tell.

    Of several workloads each one's configuration and price alone: the decisions in it are in ``card.md``.
    """
    found = cards(results)
    raced = [card for card in found if card.workload]
    if len(raced) > 1:
        texts = [_in_short(card, found) for card in raced]
        texts.append("Each decision, what the alternatives take, and the next command: card.md in the run's folder.")
    else:
        texts = [_text(card, found) for card in found]
    if any(card.use is not None for card in raced):
        texts.append(textwrap.fill(null.in_one_line(results), 100, break_on_hyphens=False))
    return "\n\n".join(texts)


def _in_short(card: Card, found: list[Card]) -> str:
    said = sentences(card, found)
    lines = [heading(card)]
    if card.use is not None:
        lines.append(f"    trainer = {card.use.python}")
    return "\n".join(
        [*lines, *(_wrapped(f"{name}: {said[name]}") for name in ("Takes", "How sure", "Why") if name in said)]
    )


def _text(card: Card, found: list[Card]) -> str:
    lines = [heading(card)]
    if card.use is not None:
        lines += [f"    {line}" for line in (imports(card.use.python), f"trainer = {card.use.python}")]
    lines += [_wrapped(f"{name}: {said}") for name, said in sentences(card, found).items()]
    for row in card.rows:
        others = "; ".join(taken(row, one) for one in row.alternatives)
        aside = f" ({counted(row)})" if counted(row) else ""
        lines.append(_wrapped(f"{question(row)} {answer(row)[0]}. {others}{aside}."))
    return "\n".join(lines)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 100, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)


def markdown(results: Results) -> str:
    """Return all cards in Markdown, to be sent on."""
    found, parts = cards(results), []
    for card in found:
        parts += [f"## {heading(card)}", ""]
        if card.use is not None:
            parts += ["```python", imports(card.use.python), "", f"trainer = {card.use.python}", "```", ""]
        parts += [f"- **{name}**: {said}" for name, said in sentences(card, found).items()]
        if card.rows:
            parts += [
                "",
                "| decision | answer | the others take over it, in seconds to the target | resolved |",
                "|---|---|---|---|",
            ]
            parts += [_row(row) for row in card.rows]
        parts.append("")
    return "\n".join(parts)


def _row(row: Row) -> str:
    others = "; ".join(f"{taken(row, one)}: {SIGNS[one.pays]}" for one in row.alternatives)
    aside = f" ({counted(row)})" if counted(row) else ""
    said, resolved = answer(row)
    return f"| {question(row)} | {said} | {others}{aside} | {'yes' if resolved else 'no'} |"
