"""What the report shows of ``bench_null.py``: what a run shows between two names of one strategy is noise."""

import math
from statistics import median

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.null_test import Null, Resolution, blocks_of, nulls, resolutions
from paceline.bench.report.plots import null as plots
from paceline.bench.report.wording import MISSING, in_words, ratio, two_digits

PLOTS = {"null": plots.null}


def headline(results: Results) -> str:
    """Return what a reader must know before any other number: which differences this run cannot see."""
    own = {found.workload: found for found in resolutions(results) if found.comparison == "strategies" and found.noise}
    floors = {null.workload: null for null in nulls(results)}
    lines = [_resolution(found, floors.get(workload)) for workload, found in own.items()]
    lines += [_floor_alone(null, _own_blocks(results, null)) for null in floors.values() if null.workload not in own]
    if not floors:
        few = (results.trials["comparison"] == "null").any()
        why = "its null test has fewer than three pairs of trials" if few else "it holds no null test (bench_null.py)"
        lines.append(f"Which differences this run resolves {'at best ' if own else ''}is not known: {why}.")
    return " ".join(lines)


def in_one_line(results: Results) -> str:
    """Return the first thing that ``headline`` says: which differences a verdict of this run cannot rest on."""
    own = [found for found in resolutions(results) if found.comparison == "strategies" and found.noise]
    if not own:
        return headline(results)
    said = [f"{two_digits(_median_pair(found.smallest()))} on {found.workload}" for found in own]
    return f"Differences between strategies of less than {', '.join(said)} are not resolved in this run."


def _own_blocks(results: Results, null: Null) -> int:
    """Return how many blocks the strategies were compared in; where they were not, those of the null test."""
    return blocks_of(results).get(("strategies", null.workload), len(null.logs))


def _resolution(found: Resolution, floor: Null | None) -> str:
    """Return what the strategies' own pairs show, the median and the worst, and what the null test would."""
    smallest = found.smallest()
    worst, cells, n = smallest[-1]
    pair = " / ".join(cell.removeprefix(f"{found.workload}-") for cell in cells)
    text = (
        f"Differences under {two_digits(_median_pair(smallest))} in {in_words(found.metric)} between strategies on "
        f"{found.workload} are not resolved in this run (n = {n} seeds; the median pair)"
    )
    text += f", under {two_digits(worst)} for {pair}, the noisiest." if len(smallest) > 1 else "."
    if floor is None:
        return text
    return f"{text} At best it would be {two_digits(floor.smallest(n))}: {_apart(floor)}."


def _median_pair(smallest: list[tuple[float, tuple[str, str], int]]) -> float:
    return median(difference for difference, _, _ in smallest)


def _apart(null: Null) -> str:
    return f"the same strategy under two names differed by {_noise(null)} within a block"


def _noise(null: Null) -> str:
    least, most = two_digits(math.expm1(null.noise_low)), two_digits(math.expm1(null.noise_high))
    return f"{two_digits(math.expm1(null.noise))} [{least}, {most}]"


def _floor_alone(null: Null, n: int) -> str:
    what = f"{in_words(null.metric)} on {null.workload}"
    if n < 3:
        return f"No difference is resolved in this run (n = {n} blocks): a verdict takes at least three."
    return (
        f"Differences under {two_digits(null.smallest(n))} in {what} are not resolved in this run (n = {n} blocks), "
        f"and other pairs are noisier: {_apart(null)}."
    )


def table(results: Results) -> pd.DataFrame:
    """Return what the null test found: the noise of a pair, and whether A and B came out apart."""
    return pd.DataFrame(
        [
            {
                "workload": null.workload,
                "metric": in_words(null.metric),
                "A / B, ratio": ratio(null.comparison),
                "verdict": null.comparison.verdict,
                "a single pair differs by": _noise(null),
            }
            for null in nulls(results)
        ]
    )


def resolution(results: Results) -> pd.DataFrame:
    """Return, for each comparison, the smallest difference that its own pairs show at 80 % power, and the floor."""
    floors, blocks, rows = {null.workload: null for null in nulls(results)}, blocks_of(results), []
    for found in resolutions(results):
        n = blocks[found.comparison, found.workload]
        smallest, floor = found.smallest(), floors.get(found.workload)
        if not smallest and floor is None:
            continue
        worst, cells, _ = smallest[-1] if smallest else (math.nan, (), 0)
        names = " / ".join(cell.removeprefix(f"{found.workload}-") for cell in cells)
        rows.append(
            {
                "comparison": in_words(found.comparison),
                "workload": found.workload,
                "metric": in_words(found.metric),
                "blocks": str(n),
                "smallest difference seen, median pair": two_digits(_median_pair(smallest)) if smallest else MISSING,
                "noisiest pair": f"{two_digits(worst)} ({names})" if smallest else MISSING,
                "floor (null test)": MISSING if floor is None else two_digits(floor.smallest(n)),
            }
        )
    return pd.DataFrame(rows)
