"""Whether compiling pays, in words: by the number of steps, never, or not known."""

from paceline.bench.report import compile
from paceline.bench.report.choice import not_run
from tests.synthetic import compiled, results


def test_the_table_says_what_compiling_took_and_when_it_has_paid() -> None:
    table = compile.table(results(compiled("even", 2.0, 10.0), compiled("growing", 0.5, 10.0)))
    assert list(table["batches"]) == ["even", "growing"]
    assert list(table["verdict"]) == ["faster", "slower"]
    assert table["speed-up of a step"].iloc[0].startswith(("1.9", "2.0"))
    assert table["has paid after, steps"].iloc[0].startswith(("19,", "20,"))
    assert table["has paid after, steps"].iloc[1] == "never"
    assert list(table["recompilations"]) == ["0", "1.00"]
    assert "note" not in table


def test_what_is_not_resolved_is_not_said_to_pay() -> None:
    (found,) = compile.payoffs(results(compiled("even", 1.001, 10.0)))
    assert compile.even_after(found).startswith("not before ")


def test_the_decision_names_where_and_from_how_many_steps_on() -> None:
    assert compile.decisions(results()) == not_run("compiling", "bench_compile.py")
    (faster,) = compile.decisions(results(compiled("even", 2.0, 10.0)))
    assert faster.choice.startswith("compiled, for runs of more than 2")
    assert "digits with even batches: 2.0" in faster.why
    (some,) = compile.decisions(results(compiled("even", 2.0, 10.0), compiled("ragged", 0.5, 10.0)))
    assert some.choice.startswith("compiled on digits with even batches, for runs of more than 2")
    (none,) = compile.decisions(results(compiled("even", 0.5, 10.0)))
    assert none.choice == "as written"
    (open_,) = compile.decisions(results(compiled("even", 1.001, 10.0)))
    assert open_.choice in ("not decided", "as written")
