"""Which trials break a law that every trial must satisfy."""

import pandas as pd

from paceline.bench.analysis.frames import Results, peak_flops
from paceline.bench.analysis.trial_laws import broken
from paceline.bench.report.wording import in_words, percent


def table(results: Results) -> pd.DataFrame:
    """Return every trial that breaks a law of ``analysis.trial_laws``, with the numbers that do not fit."""
    return pd.DataFrame(
        [
            {
                "comparison": in_words(record.comparison),
                "cell": record.cell,
                "block": str(record.block),
                "law": law.split(": ", 1)[0],
                "numbers": law.split(": ", 1)[1],
            }
            for record in results.records
            for law in broken(record, peak_flops(record, results.environment))
        ]
    )


def sentence(results: Results) -> str:
    """Return one sentence: how many trials break a law, and for how many the matrix peak was known."""
    trials = results.trials
    marked = int((trials["broken_laws"] != "").sum())
    verdict = f"{marked} of {len(trials)} trials break a law" if marked else f"all {len(trials)} trials keep every law"
    known = trials["mfu"].dropna()
    share = f"; matrix work used {percent(known.min())} to {percent(known.max())} of the measured peak (MFU)"
    return f"Checked: {verdict}{share if len(known) else '; no peak of matrix multiplication was measured'}."
