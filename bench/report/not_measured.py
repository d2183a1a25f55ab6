"""What trials could not measure, and why."""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.report.wording import in_words


def table(results: Results) -> pd.DataFrame:
    """Return what trials could not measure: quantity, reason, and in how many trials."""
    counts: dict[tuple[str, str], int] = {}
    for record in results.records:
        for key in record.unmeasured.items():
            counts[key] = counts.get(key, 0) + 1
    return pd.DataFrame(
        [
            {
                "quantity": in_words(name),
                "reason": reason,
                "trials": f"{count} of {len(results.records)}",
            }
            for (name, reason), count in sorted(counts.items())
        ]
    )
