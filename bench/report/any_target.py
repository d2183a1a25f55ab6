"""The time to any target as the page shows it: a slider over the target, and the numbers at where it stands."""

import json
import math

import pandas as pd

from paceline.bench.analysis.any_target import AnyTarget, any_targets
from paceline.bench.analysis.frames import Results
from paceline.bench.report.each_workload import parts
from paceline.bench.report.plots.any_target import any_target as drawn
from paceline.bench.report.wording import interval, number, percent

PLOTS = {"any_target": drawn}


def table(found: AnyTarget, at: int) -> pd.DataFrame:
    """Return when each strategy first reached the target number ``at``, the soonest first."""
    rows = [
        {
            "strategy": name,
            "time to it": _seconds(found, i, at),
            "trials that got there": percent(float(found.reached[i, at])),
            "chance to be the fastest": percent(float(found.chance[i, at])),
        }
        for i, name in sorted(enumerate(found.strategies), key=lambda one: _median(found, one[0], at))
    ]
    return pd.DataFrame(rows)


def _median(found: AnyTarget, i: int, at: int) -> float:
    median = found.seconds[i][at].median
    return math.inf if math.isnan(median) else median


def _seconds(found: AnyTarget, i: int, at: int) -> str:
    one = found.seconds[i][at]
    return interval(one, "s") if math.isfinite(one.median) else "not reached in half of the trials"


def fragment(results: Results) -> str:
    """Return a slider a workload, at the run's own target at first, and the table that it changes."""
    shown = {}
    for found in any_targets(results):
        last = len(found.targets) - 1
        data = json.dumps([table(found, at).to_numpy().tolist() for at in range(last + 1)], ensure_ascii=False)
        head = "".join(f"<th>{name}</th>" for name in table(found, last).columns)
        rows = "".join(
            f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in table(found, last).to_numpy().tolist()
        )
        targets = " ".join(number(float(target)) for target in found.targets)
        shown[found.workload] = (
            f'<div class="any-target" data-targets="{targets}"><label>{found.workload}, target '
            f"<output>{number(float(found.targets[last]))}</output> "
            f'<input type="range" min="0" max="{last}" value="{last}" aria-label="target score"></label>'
            f'<div class="table"><table class="numbers"><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
            f'<script type="application/json">{data.replace("</", "<" + chr(92) + "/")}</script></div>'
        )
    return parts(shown) or "<p>Not measured: run bench_strategies.py.</p>"
