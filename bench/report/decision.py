"""The decision a run supports: for each constraint a choice, and the numbers it rests on.

Ties are called ties, and where the data do not decide, the choice says so. Medians choose the candidate;
paired comparisons within blocks say whether another is really worse.
"""

import textwrap

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.report import (
    batch_size,
    compile,
    critical_batch,
    drift,
    loading,
    null,
    precision,
    scaling,
    strategy_choice,
    stream,
)


def decide(results: Results) -> pd.DataFrame:
    """Return the decision table: columns ``constraint``, ``choice`` and ``why``, a row a constraint.

    A comparison that was not run gives a row that says so.
    """
    rows = [
        *strategy_choice.decisions(results),
        *batch_size.decisions(results),
        *critical_batch.decisions(results),
        *scaling.decisions(results),
        *precision.decisions(results),
        *compile.decisions(results),
        *stream.decisions(results),
        *loading.decisions(results),
    ]
    return pd.DataFrame(rows, columns=["constraint", "choice", "why"])


def decision_text(results: Results) -> str:
    """Return the decision table as plain text, after which differences the run does not resolve or cannot trust."""
    told = filter(None, (null.headline(results), drift.warning(results)))
    lines = [*(textwrap.fill(line, 100) for line in told), "\nDecision"]
    for row in decide(results).itertuples():
        lines.append(f"\n{row.constraint}: {row.choice}")
        lines.append(textwrap.fill(str(row.why), 100, initial_indent="    ", subsequent_indent="    "))
    return "\n".join(lines)
