"""Data beyond memory: private memory over the samples seen, of those who went on."""

import numpy as np
from matplotlib.figure import Figure

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.memory import OutOfCore, out_of_core
from paceline.bench.records.record import Record
from paceline.bench.report.plots.style import FAINT, MB, log_axis, panels, short, styled, styles


@styled
def memory(results: Results) -> Figure | None:
    """Draw what private memory a trial's process has over the samples it has seen, a panel a workload.

    Who ended for want of memory is named. The dashed line rises as it would if one kept what it has seen.

    Args:
        results: of a run.

    Returns:
        The figure; None if nothing was measured under a limit.
    """
    found = out_of_core(results)
    if not any(one.went_on for one in found):
        return None
    trials = results.trials[results.trials["comparison"] == "memory"]
    going = {one.cell["workload"] for one in found if one.went_on}
    trials = trials[trials["workload"].isin(going)]
    figure, rows = panels(_finding(found), results, trials, 1, 3.2)
    for workload, _, (axes,) in rows:
        own = [one for one in found if one.cell["workload"] == workload]
        last = 10.0
        start = np.inf
        for one in own:
            style = styles(results)[one.cell["trainer"]]
            for number, record in enumerate(_records(results, one)):
                seen, taken = (np.asarray(record.memory[name], float) for name in ("samples", "private_bytes"))
                name = short(one.cell["trainer"]) if not number else "_again"
                axes.plot(seen, taken / MB, color=style.color, ls=style.line, lw=1.5, label=name)
                last, start = max(last, float(seen[-1])), min(start, float(taken[0]) / MB)
        each = max(one.floor for one in own if one.went_on) / 0.05 / MB
        seen = np.geomspace(1, last, 300)
        axes.plot(
            seen, start + each * seen, color=FAINT, ls=(0, (6, 3)), lw=1.2, zorder=1, label="if all seen were kept"
        )
        for one in own:
            if not one.went_on:
                reason = one.reason.split(":")[0].replace("_", " ")
                axes.plot([], [], " ", label=f"{short(one.cell['trainer'])}: {reason}")
        log_axis(axes, "x", 1, 1.1 * last)
        axes.set_ylim(0)
        axes.set_xlabel("training (samples seen)")
        axes.set_ylabel("private memory (MB)")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def _finding(found: list[OutOfCore]) -> str:
    """Return whose memory stays flat on a lone workload, whose grows, and who ended."""
    if len({one.cell["workload"] for one in found}) > 1:
        return "Does memory grow with the samples seen?"
    said: dict[str, list[str]] = {}
    for one in found:
        how = {"flat": "flat", "grows": "growing", "undecided": "undecided"}[one.verdict] if one.went_on else "ended"
        said.setdefault(how, []).append(short(str(one.cell["trainer"])))
    parts = [f"{how} ({', '.join(said[how])})" for how in ("flat", "growing", "undecided", "ended") if how in said]
    return short(f"Memory over the samples seen: {', '.join(parts)}", 86)


def _records(results: Results, one: OutOfCore) -> list[Record]:
    place = ("memory", one.cell["cell"])
    return [r for r in results.records if (r.comparison, r.cell) == place and r.memory.get("samples")]
