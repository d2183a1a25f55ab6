"""How trials ended is said as it was."""

from dataclasses import replace

from paceline.bench.report import what_was_run
from tests.synthetic import batch_sizes, raced, results


def test_timed_trials_are_not_called_missed() -> None:
    run = results(raced("MiniBatch", seconds=1.0, missed=(0,)), batch_sizes({16: 1e4}))
    ended = what_was_run.table(run).set_index("comparison")["how they ended"]
    assert ended["strategies"] == "5 reached, 1 missed"
    assert ended["batch size"] == "6 timed"


def test_what_was_cut_or_left_out_is_said_with_its_reason() -> None:
    whole = results(raced("MiniBatch", seconds=1.0))
    assert what_was_run.cut(whole).empty
    assert "cut" not in what_was_run.headline(whole)
    run = replace(
        whole,
        environment={
            "budget_seconds": 90.0,
            "cut": ["precision: 1 of 3 blocks", "scaling: a left out"],
            "left_out": {"scaling b": "256 samples a step, of which c has 50"},
        },
    )
    assert what_was_run.headline(run).endswith(" 3 things were cut to what time and machine allowed: see below.")
    assert what_was_run.cut(run).to_dict("records") == [
        {"what": "precision: 1 of 3 blocks", "why": "the run's budget of 90.0 s; more with --minutes or --resume"},
        {"what": "scaling: a left out", "why": "the run's budget of 90.0 s; more with --minutes or --resume"},
        {"what": "scaling b left out", "why": "256 samples a step, of which c has 50"},
    ]
    merged = replace(whole, environment={"merged": [{"environment": run.environment}]})
    assert len(what_was_run.cut(merged)) == 3
