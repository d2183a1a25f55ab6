"""How trials ended is said as it was."""

from paceline.bench.report import what_was_run
from tests.synthetic import batch_sizes, raced, results


def test_timed_trials_are_not_called_missed() -> None:
    run = results(raced("MiniBatch", seconds=1.0, missed=(0,)), batch_sizes({16: 1e4}))
    ended = what_was_run.table(run).set_index("comparison")["how they ended"]
    assert ended["strategies"] == "5 reached, 1 missed"
    assert ended["batch size"] == "6 timed"
