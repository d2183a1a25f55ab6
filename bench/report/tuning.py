"""What the report shows of ``bench_tuning.py``: what each strategy owes to its learning rate.

``report.rate_searches`` has its tables.
"""

from paceline.bench.report.plots import tuning as plots

COMPARISON = "tuning"

PLOTS = {"tuning": plots.tuning}
