"""How many trials had to share their cores, and what became of them."""

from paceline.bench.analysis.cells import Cell, name_of
from paceline.bench.analysis.frames import Results
from paceline.bench.records.contamination import LARGEST_CLEAN_SHARE
from paceline.bench.report.wording import listed


def sentence(results: Results) -> str:
    """Return in a sentence or two how many trials had to share their cores, and what became of them."""
    repeated, trials = len(results.superseded), results.trials
    still = trials[trials["contaminated"].astype(bool)]
    stated = f"{LARGEST_CLEAN_SHARE:.0%} of its training seconds"
    probed = trials["probe_seconds"].notna().any()
    if not repeated and still.empty:
        known = trials["throttled_seconds"].notna().any()
        quota = "or was held back by a quota, " if known else ""
        slower = " Around none was the machine slower than it usually was in this run." if probed else ""
        return (
            f"No trial waited for a core, lost one, {quota}for more than {stated}; no GPU was throttled or shared."
            + slower
        )
    cells = listed(dict.fromkeys(still["cell"]))
    return (
        f"{repeated + len(still)} of {repeated + len(trials)} trials were contaminated: they waited for a core, lost "
        f"one to another machine, or were held back by a CPU quota for more than {stated}, or their GPU was throttled "
        f"or used by others"
        f"{', or the machine was slower around them than it usually was in this run' if probed else ''}. "
        f"{repeated} of them were repeated and do not count."
        + (f" {len(still)} count although they are contaminated: of {cells}." if len(still) else "")
    )


def touched(results: Results, *cells: Cell) -> str:
    """Return a sentence that names those of ``cells`` of which contaminated trials count; or ""."""
    said = []
    for cell in cells:
        trials = results.trials[(results.trials["search"] == "") & (results.trials["cell"] == cell["cell"])]
        own = trials[(trials["comparison"] == cell["comparison"]) & (trials["environment"] == cell["environment"])]
        if count := int(own["contaminated"].astype(bool).sum()):
            said.append(f"{name_of(cell)} ({count} of {len(own)})")
    return f"Contaminated trials count in {listed(dict.fromkeys(said))}." if said else ""
