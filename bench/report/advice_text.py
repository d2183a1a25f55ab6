"""An advice as it is printed: the answer first, its reasons below, in at most 40 lines of 100 columns."""

import textwrap
from collections.abc import Iterator

from paceline.bench.analysis.advice import Advice, Quantity, Rival, Tried
from paceline.bench.report.regret import in_short, published
from paceline.bench.report.wording import listed, number, percent

WIDTH, LINES = 100, 40

# A line through what steps take says something where no timing is further from it than this share.
FITS = 0.25


def advice_text(advice: Advice) -> str:
    """Return ``advice`` in plain words."""
    head = [*_wrapped(advice.sentence), *_python(advice)]
    body = [line for paragraph in _reasons(advice) for line in _wrapped(paragraph)]
    foot = [*_left(advice), *_commands(advice)]
    room = LINES - len(head) - len(foot) - 2
    return "\n".join([*head, "", *body[:room], "", *foot])


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _python(advice: Advice) -> list[str]:
    return ["", f"    {advice.python}"] if advice.python else []


def _reasons(advice: Advice) -> Iterator[str]:
    if advice.constraints:
        yield f"Within: {'; '.join(advice.constraints)}."
    if advice.prediction is not None:
        yield _takes(advice)
    for rival in advice.rivals:
        yield _against(rival, advice.price)
    if advice.standing == "any of these":
        yield "Any of these will do: more time would not tell them apart by more than 5 %."
    if advice.rates is not None and advice.configuration is not None:
        low, high = advice.rates
        yield (
            f"Rates from {low:.3g} to {high:.3g} did as well in the search, within 10 %, at "
            f"{advice.configuration.batch_size:,} samples a step."
        )
    yield from _elsewhere(advice)
    if advice.configuration is not None:
        yield in_short(published())


def _takes(advice: Advice) -> str:
    found = advice.prediction
    assert found is not None, "it was asked for"
    parts = [
        f"{_quantity(found.seconds)} s of training",
        f"{_quantity(found.steps)} steps",
        f"{_quantity(found.samples)} samples",
        f"{_quantity(found.memory_bytes, 1e-6)} MB of memory",
    ]
    if found.compile_seconds:
        parts.insert(1, f"{number(found.compile_seconds)} s of compiling before")
    energy = found.energy_joules
    if energy.value is not None:
        parts.append(f"{_quantity(energy)} J")
    short = "" if found.reached == 1 else f" {percent(found.reached)} of the runs reached it."
    unknown = f" Energy is not known: {energy.reason}." if energy.value is None else ""
    return f"To the score {advice.target:g} it took {listed(parts)}; {advice.reason}.{short}{unknown}"


def _quantity(found: Quantity, scale: float = 1.0) -> str:
    if found.value is None:
        return "an unknown number of"
    value = number(found.value * scale)
    if found.low is None or found.high is None:
        return f"{value} (n={found.n})"
    return f"{value} [{number(found.low * scale)}, {number(found.high * scale)}]"


def _against(rival: Rival, price: str) -> str:
    what = f"{rival.name[0].upper()}{rival.name[1:]}, {rival.configuration.sentence},"
    if not rival.fits:
        return f"{what} breaks a limit."
    if rival.ratio.value is None:
        return f"{what} reached the target in {percent(rival.reached)} of its runs."
    ratio = f"took {_times(rival.ratio)} the {price} on {rival.ratio.n} seed{'' if rival.ratio.n == 1 else 's'}"
    if rival.verdict == "slower":
        return f"{what} {ratio}: slower."
    loss = "what it costs to take it is not known yet"
    if rival.expected_loss is not None:
        loss = f"to take it costs {percent(rival.expected_loss, 1)} on average"
    if rival.verdict == "undecided":
        return f"{what} {ratio}: not told apart yet, {loss}; {_longer(rival)}."
    return f"{what} {ratio}: as good, within 5 %; {loss}."


def _times(ratio: Quantity) -> str:
    """Return "1.31 times [1.12, 1.54]"; at least so many where runs that missed the target leave it open above."""
    assert ratio.value is not None, "it was asked for"
    if ratio.low is None:
        return f"{number(ratio.value)} times (no interval yet)"
    if ratio.high is None:
        return f"at least {number(ratio.low)} times"
    return f"{number(ratio.value)} times [{number(ratio.low)}, {number(ratio.high)}]"


def _longer(rival: Rival) -> str:
    if rival.more_minutes is not None:
        minutes = f"{rival.more_minutes:,.0f} more minute{'' if rival.more_minutes < 1.5 else 's'}"
        return f"about {minutes} would tell"
    if rival.ratio.low is not None and rival.ratio.high is not None:  # they are too close for what seeds differ by
        return "to tell them apart would take more than a thousand seeds"
    return "how much longer would tell is not known"


def _elsewhere(advice: Advice) -> Iterator[str]:
    """What it would take on another machine, and what would then be best."""
    step = advice.step
    if step is None or advice.configuration is None:
        return
    if step.error > FITS:
        timed = (f"{number(1e3 * seconds)} ms of {size:,}" for size, seconds in advice.steps_timed)
        yield f"What a step takes does not follow a + b B: timed were {listed(timed)} samples."
        return
    yield (
        f"A step of B samples takes {number(1e3 * step.a)} ms + B x {number(1e6 * step.b)} us in this way, which fits "
        f"the {step.n} sizes that were timed within {percent(step.error)}."
    )
    if not step.a or sum(tried.reached for tried in advice.tried) < 2:  # a hundred times nothing is nothing
        return
    dearer, cheaper = advice.best_at(100 * step.a, step.b), advice.best_at(step.a / 100, step.b)
    if dearer is None or cheaper is None:
        return
    if dearer == cheaper:
        yield f"Of all that was run {_place(dearer)} took least, whether a step costs 100 times as much or a hundredth."
        return
    yield (
        f"Where a step costs 100 times as much beside its samples, {_place(dearer)} would take least of all that was "
        f"run; where it costs a hundredth, {_place(cheaper)}."
    )


def _place(tried: Tried) -> str:
    return f"{tried.batch_size:,} samples a step at a rate of {tried.lr:.3g}"


def _left(advice: Advice) -> list[str]:
    count = ", ".join(f"{number} of {name}" for name, number in advice.trials.items() if number)
    count = f"trials: {count}" if count else "nothing"
    done = f"Done in {advice.minutes:.1f} minutes: {count}; {len(advice.tried)} pairs of batch size and rate."
    if advice.disturbed:
        done += (
            f" In {advice.disturbed} of the trials other processes used the cores: what they took is too long, of ways "
            "with more threads above all."
        )
    return [*_wrapped(done), *_wrapped(f"Not tried: {'; '.join(advice.not_tried)}.")]


def _commands(advice: Advice) -> list[str]:
    measure = [("measure it", advice.command)] if advice.command else []
    return [
        "",
        *(f"{what:11} {command}" for what, command in [*measure, ("go on", advice.resume)]),
        f"{'kept in':11} {advice.folder}",
    ]
