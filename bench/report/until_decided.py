"""The verdicts by which a run ended that added blocks until they fell."""

import pandas as pd

from paceline.bench.analysis.frames import Results
from paceline.bench.analysis.sequential import RACED, TIMED, verdicts
from paceline.bench.records.record import Record
from paceline.bench.report.wording import in_words, ratio


def table(results: Results) -> pd.DataFrame:
    """Return the verdicts of a run that added blocks until they fell; nothing where the number was fixed."""
    rows: list[dict[str, str]] = []
    if not results.environment.get("until_decided"):
        return pd.DataFrame(rows)
    comparisons: dict[str, dict[str, list[Record]]] = {}
    for record in (r for r in results.records if not r.search):
        comparisons.setdefault(record.comparison, {}).setdefault(record.cell, []).append(record)
    for name, cells in comparisons.items():
        for (a, b), found in verdicts(dict(sorted(cells.items()))).items():
            what = {"comparison": in_words(name), "cells": f"{a} / {b}"}
            metric = RACED if cells[a][0].stop_at_target else TIMED
            rows.append(what | {"metric": in_words(metric), "ratio": ratio(found), "verdict": found.verdict})
    return pd.DataFrame(rows)
