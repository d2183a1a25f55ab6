"""Which trials ended without a result, and why."""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.report.wording import in_words


def table(results: Results) -> pd.DataFrame:
    """Return every trial that ended without a result, with its reason.

    That a rate of a search diverged is a result of the search.
    """
    return pd.DataFrame(
        [
            {
                "comparison": in_words(record.comparison),
                "cell": record.cell,
                "seed": str(record.seed),
                "block": str(record.block),
                "status": in_words(record.status),
                "reason": record.reason,
            }
            for record in results.records
            if record.status not in ("reached", "missed", "plateaued")
            and not (record.search and record.status == "diverged")
        ]
    )
