"""Streams: how well each strategy predicts as it learns, and how many samples wait where they come too fast."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.prequential import ALPHA, BASELINES, Followed, faded, followed
from paceline.bench.analysis.statistics import Floats
from paceline.bench.records import streams
from paceline.bench.report.plots.findings import MOST
from paceline.bench.report.plots.style import FAINT, panels, short, styled, styles

POINTS = 400  # of a line: more are not seen
DASHES = {"no change": (0, (4, 2)), "majority": (0, (1, 1.5))}


@styled
def stream(results: Results) -> Figure | None:
    """Draw the fading prequential score over samples, and the samples that wait over time, a row a workload.

    Lines are means over seeds. Grey is what had to be beaten: predicting the last label again, or the commonest.

    Args:
        results: of a run.

    Returns:
        The figure; None if no stream was followed.
    """
    found = followed(results)
    if not found:
        return None
    trials = results.trials[results.trials["comparison"] == "stream"]
    trials = trials[trials["workload"].isin({one.cell["workload"] for one in found})]
    figure, rows = panels(_finding(found), results, trials, 2, 3.2)
    for workload, _, (left, right) in rows:
        own = [one for one in found if one.cell["workload"] == workload]
        _scores(left, [one for one in own if one.kind == "asked"], results)
        _backlogs(right, [one for one in own if one.kind == "flooded"], results)
    return figure


def _finding(found: list[Followed]) -> str:
    """Return who predicts how much right on a lone stream, the most first, by the means; else the question."""
    asked = sorted((one for one in found if one.kind == "asked"), key=lambda one: -one.score.median)
    if len({one.cell["workload"] for one in found}) > 1 or not asked:
        return "Who follows a stream that drifts, and who falls behind?"
    shares = [f"{short(one.cell['trainer'])} {100 * one.score.median:.0f} %" for one in asked]
    return short(f"Predicted right, then learned: {', '.join(shares)}", MOST)


def _scores(axes: Axes, found: list[Followed], results: Results) -> None:
    axes.set_title(f"samples come when asked for; score of the last {1 / (1 - ALPHA):.0f} or so", loc="left")
    if not found:
        axes.remove()
        return
    labels = max((record.stream["label"] for one in found for record in one.records), key=len)
    for name, right in BASELINES.items():
        share = 100 * faded(right(labels))
        axes.plot(*_thinned(share), color=FAINT, ls=DASHES[name], lw=1.2, label=name)
    for one in found:
        style = styles(results)[one.cell["trainer"]]
        least = min(len(record.stream["label"]) for record in one.records)
        mean = np.mean([faded(streams.right(record))[:least] for record in one.records], axis=0)
        axes.plot(*_thinned(100 * mean), color=style.color, ls=style.line, lw=1.8, label=short(one.cell["trainer"]))
    axes.set(ylim=(0, 100), xlim=(0, len(labels)))
    axes.set_xlabel("stream (samples)")
    axes.set_ylabel("predicted right (%)")
    _legend(axes)


def _backlogs(axes: Axes, found: list[Followed], results: Results) -> None:
    found = [one for one in found if not np.isnan(one.behind.median)]
    if not found:
        axes.remove()
        return
    rate = found[0].records[0].arrivals["per_second"]
    axes.set_title(f"{rate:,.0f} samples a second", loc="left")
    for one in found:
        style = styles(results)[one.cell["trainer"]]
        for record in one.records:
            at, waiting = streams.learned_at(record), streams.behind(record)
            known = ~np.isnan(waiting)
            name = short(one.cell["trainer"]) if record is one.records[0] else "_again"
            axes.plot(at[known], waiting[known], color=style.color, ls=style.line, lw=1.2, label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_xlabel("time since the first sample arrived (s)")
    axes.set_ylabel("waiting (samples)")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Name the lines above the panel, where none of them runs."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=5, frameon=False, fontsize=8, handlelength=1.6)


def _thinned(share: Floats) -> tuple[Floats, Floats]:
    places = np.unique(np.linspace(0, len(share) - 1, POINTS).astype(int))
    return places + 1.0, share[places]
