"""What the report shows of ``bench_stream.py``: who follows a stream that drifts, how late, and who falls behind."""

import math

import pandas as pd

from paceline.bench.analysis.cells import by_workload
from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.prequential import ALPHA, BASELINES, Followed, followed, lead, lead_over
from paceline.bench.analysis.scores import ScoreGap
from paceline.bench.report.choice import NOT_DECIDED, Decision, not_run
from paceline.bench.report.judging import Finding, Judged, Said, over_workloads, scores_better
from paceline.bench.report.plots import stream as plots
from paceline.bench.report.wording import MISSING, interval, listed, number, number_of, percent, with_interval

PLOTS = {"stream": plots.stream}

BENCHMARK = "bench_stream.py"

# The share of the samples from which on all were learned, but for rounding.
ALL = 0.995

# What a baseline does, in a sentence.
IN_WORDS = {"no change": "naming the last label again", "majority": "naming the commonest label"}


def table(results: Results) -> pd.DataFrame:
    """Return, for each strategy and each way in which samples arrive, its score, its latency and its backlog."""
    rows = []
    for found in followed(results):
        labels = found.records[0].stream["label"]
        score = {name: percent(float(right(labels).mean()), 1) for name, right in BASELINES.items()}
        rows.append(
            {
                "workload": found.cell["workload"],
                "strategy": found.cell["trainer"],
                "samples arrive": _rate(found),
                "predicted right": interval(found.score, "%", 100),
                f"at the end (the last {1 / (1 - ALPHA):.0f} or so)": interval(found.at_end, "%", 100),
                **score,
                "latency p50": interval(found.p50, "ms", 1e3),
                "latency p99": interval(found.p99, "ms", 1e3),
                "most behind": interval(found.behind, "samples"),
                "learned": percent(found.learned.median),
            }
        )
    return pd.DataFrame(rows)


def _rate(found: Followed) -> str:
    rate = found.records[0].arrivals["per_second"]
    return "when asked for" if rate is None else f"{number_of(rate)} a second"


def decisions(results: Results) -> list[Decision]:
    """Return, for each workload, who is to follow its stream: the best score, unless others tie with it."""
    rows = []
    for workload, of_workload in _by_workload(results).items():
        asked = [found for found in of_workload if found.kind == "asked"]
        if not asked:
            continue
        best = max(asked, key=lambda found: found.score.median)
        others = [found for found in asked if found is not best]
        gaps = {str(found.cell["trainer"]): lead(best, found) for found in others}
        ties = [name for name, gap in gaps.items() if gap.verdict != "better"]
        names = [str(best.cell["trainer"]), *ties]
        choice = names[0] if not ties else NOT_DECIDED if others and len(ties) == len(others) else listed(names, "or")
        words = [f"{_points(gap)} over {name}" for name, gap in gaps.items()]
        why = f"{best.cell['trainer']} predicts {interval(best.score, '%', 100)} right"
        why += f", a lead of {listed(words)}." if words else "."
        short = [f"{one.cell['trainer']} {percent(one.learned.median)}" for one in asked if one.learned.median < ALL]
        why += (
            f" Of the samples there was time for: {listed(short)}; leads are over those that both had." if short else ""
        )
        rows.append(
            Decision(f"{workload}: what to train on data that drift", choice, f"{why} {_late(of_workload)}".strip())
        )
    return rows or not_run("what to train on data that drift", BENCHMARK)


def claim_follows(results: Results) -> Judged:
    """Judge claim 4 by the share of samples that are predicted right before they are learned from.

    Online training follows if it beats both who predicts the last label again and who predicts the commonest; batch
    training cannot, if training anew on the last samples, again and again, does worse than online.
    """
    findings = []
    for workload, of_workload in _by_workload(results).items():
        asked = {str(found.cell["trainer"]): found for found in of_workload if found.kind == "asked"}
        online, batch = asked.get("Online"), asked.get("Retrain")
        if online is None or batch is None:
            continue
        gap, over = lead(online, batch), {name: lead_over(online, name) for name in BASELINES}
        said = _of_all([scores_better(gap), *(_beats(each) for each in over.values())])
        baselines = listed(f"{_points(each)} over {IN_WORDS[name]}" for name, each in over.items())
        text = (
            f"On {workload} online training predicts {interval(online.score, '%', 100)} of the samples right before it "
            f"learns from them, {_points(gap)} over retraining on the last ones, and {baselines}. {_late(of_workload)}"
        )
        findings.append(Finding(said, text.strip(), workload))
    return over_workloads(findings, f"Online and Retrain of {BENCHMARK}")


def _beats(gap: ScoreGap) -> Said:
    """Return whether a baseline is beaten; as good as one that knows nothing is not followed."""
    said = scores_better(gap)
    return Said("fails", said.more, said.p) if said.verdict == "equivalent" else said


def _of_all(said: list[Said]) -> Said:
    """Return what holds of a claim in parts: that which is least so; the least sure of those that agree."""
    order = ("fails", "undecided", "equivalent", "holds")
    return min(said, key=lambda one: (order.index(one.verdict), -one.p if not math.isnan(one.p) else 0.0))


def _late(of_workload: list[Followed]) -> str:
    """Return how late each strategy is at the rate to keep up with, and who falls behind at the other."""
    paced = [found for found in of_workload if found.kind == "paced" and not math.isnan(found.p50.median)]
    flooded = [found for found in of_workload if found.kind == "flooded" and not math.isnan(found.behind.median)]
    late = [
        f"{found.cell['trainer']} {number(1e3 * found.p50.median)} and {number(1e3 * found.p99.median)} ms"
        for found in paced
    ]
    behind = [f"{found.cell['trainer']} {number_of(found.behind.median)}" for found in flooded]
    text = f"At {_rate(paced[0])} the latency of half and of 99 % of the samples is: {listed(late)}." if late else ""
    more = f"At {_rate(flooded[0])} so many samples wait at the worst: {listed(behind)}." if behind else ""
    return f"{text} {more}".strip()


def _points(gap: ScoreGap) -> str:
    """Return "3.1 points [2.0, 4.2]", of a hundred."""
    found = gap.interval
    if math.isnan(found.median):
        return MISSING
    return with_interval(found.median, found.low, found.high, found.n, "points", 100)


def _by_workload(results: Results) -> dict[str, list[Followed]]:
    names = by_workload([found.cell for found in followed(results)])
    return {name: [found for found in followed(results) if found.cell["workload"] == name] for name in names}
