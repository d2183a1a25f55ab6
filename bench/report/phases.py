"""What the report shows of ``bench_phases.py``: where a step's time goes."""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.phases import Breakdown, breakdowns
from paceline.bench.analysis.scores import ScoreVerdict, score_verdict
from paceline.bench.analysis.statistics import ERROR, p_value
from paceline.bench.records.record import PHASES
from paceline.bench.report.judging import Judged, Point, Said, Verdict, over_sweep
from paceline.bench.report.plots import phases as plots
from paceline.bench.report.wording import interval, number_of, percent

PLOTS = {"phases": plots.phases}


def table(results: Results) -> pd.DataFrame:
    """Return the share of each phase of a profiled step, a row a cell; a phase that none has is no column."""
    found = breakdowns(results)
    shown = [phase for phase in PHASES if any(one.share(phase) > 0 for one in found)]
    return pd.DataFrame(
        [
            {
                "workload": one.cell["workload"],
                "strategy": one.cell["trainer"],
                "ranks x threads": f"{one.cell['world_size']} x {one.cell['threads']}",
                "batch size": number_of(one.cell["batch_size"]),
                "time per step, profiled": interval(one.step_seconds, "ms", 1e3),
                **{plots.NAMES[phase]: _share(one, phase) for phase in shown},
                "most of it": plots.NAMES[one.largest] if one.largest else "not resolved",
            }
            for one in found
        ]
    )


def _share(found: Breakdown, phase: str) -> str:
    """Return "31 % [28, 34]"."""
    one = found.interval(phase)
    ends = "" if one.n < 3 else f" [{100 * max(0.0, one.low):.0f}, {100 * min(1.0, one.high):.0f}]"
    return percent(one.median) + ends


def synchronization_is_what_costs(results: Results) -> Judged:
    """Judge whether ranks spend more of a step in waiting for each other than in any other phase."""
    points = []
    for found in breakdowns(results):
        if int(found.cell["world_size"]) < 2:
            continue

        def judged(error: float, found: Breakdown = found) -> ScoreVerdict:
            lead = found.lead("communication", error)
            return score_verdict(lead.low, lead.high, 0.0)

        words: dict[str, Verdict] = {"better": "holds", "worse": "fails"}
        said = Said(words.get(judged(ERROR), "undecided"), p=p_value(judged))
        cell, other = found.cell, max((p for p in PHASES if p != "communication"), key=found.share)
        place = f"{cell['workload']} {cell['trainer']} B={number_of(cell['batch_size'])} on {cell['world_size']} ranks"
        numbers = f"{_share(found, 'communication')} of a step, {plots.NAMES[other]} {_share(found, other)}"
        points.append(Point(place, said, numbers))
    measure = (
        "Share of a profiled step in which a rank did nothing but communicate or wait for the others, against the "
        "largest other part"
    )
    needs = "bench_phases.py on a machine with room for more than one rank"
    return over_sweep(points, "the network and the batch", measure, needs)
