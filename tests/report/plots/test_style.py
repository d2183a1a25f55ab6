"""A strategy looks the same in every plot, and carries its marks."""

from dataclasses import replace

import pytest

from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.plots.style import number, short, styles
from tests.report.plots.drawn_runs import (
    MB,
    SCALING,
    TWELVE,
    axes_of,
    gated,
    only,
    precisions,
    record,
    results_of,
    strategies,
    written,
)
from tests.report.plots.nasty_runs import NASTY
from tests.synthetic import failed_gate


def test_a_strategy_looks_the_same_in_every_plot_and_like_no_other() -> None:
    few, many = styles(results_of(*strategies(("Amp", "Lion")))), styles(results_of(*strategies(TWELVE)))
    assert few["Amp"] == many["Amp"]
    assert set(TWELVE) <= set(many)
    assert len({(s.color, s.marker) for s in many.values()}) == len(many)
    figure = axes_of(PLOTS["time_to_target"](results_of(*strategies(TWELVE))))[0]
    for name in TWELVE:
        assert (only(figure, name).get_color(), only(figure, name).get_marker()) == (
            many[name].color,
            many[name].marker,
        )


@pytest.mark.parametrize("key", ["convergence", "time_to_target", "pareto"])
def test_a_failed_gate_puts_a_star_on_the_strategy_and_says_why_below(key: str) -> None:
    records = strategies(("MiniBatch", "Ddp", "Amp"))
    plain, marked = (written(PLOTS[key](gated(gate, *records))) for gate in ([], [failed_gate("Ddp")]))
    footnote = "* Ddp solves another problem: the planted reason"
    expected = ["Ddp *" if text == "Ddp" else text for text in plain]
    assert "Ddp *" in expected
    assert sorted(marked) == sorted([*expected, footnote])


@pytest.mark.parametrize("key", list(PLOTS))
def test_where_every_gate_passed_nothing_is_marked(key: str) -> None:
    passed = [failed_gate(name, reason="", passed=True, gap=0.0) for name in TWELVE]
    plain, checked = (PLOTS[key](gated(gate, *NASTY["usual"])) for gate in ([], passed))
    assert written(checked) == written(plain)


def test_a_mark_stays_in_its_workload_and_its_comparison() -> None:
    gate = [failed_gate("Ddp", workload="a")]
    records = strategies(("Amp", "Ddp"), workload="a") + strategies(("Amp", "Ddp"), workload="b")
    found = written(PLOTS["pareto"](gated(gate, *records)))
    assert (found.count("Ddp *"), found.count("Ddp")) == (1, 1)
    elsewhere = [replace(each, workload="c") for each in SCALING]
    assert not any("another problem" in text for text in written(PLOTS["scaling"](gated(gate, *elsewhere))))


def test_ranks_that_solve_another_problem_are_marked_by_their_number() -> None:
    plain, others, marked = (
        written(PLOTS["scaling"](gated([failed_gate("Ddp", world_size=size)], *SCALING))) for size in (3, 32, 2)
    )
    assert plain == others
    assert "* Ddp with 2 ranks solves another problem: the planted reason" in marked
    assert {text for text in marked if text.endswith(" *")} == {
        "strong (256 samples in all) *", "weak (256 samples a rank) *"
    }  # fmt: skip


def test_the_heat_map_marks_the_model_on_which_amp_solves_another_problem() -> None:
    found = written(PLOTS["precision"](gated([failed_gate("Amp", "digits-256")], *precisions())))
    assert "* Amp on digits-256 solves another problem: the planted reason" in found
    assert [text for text in found if " *\n" in text] == ["digits-256 *\n(256k)"]


def test_a_strategy_without_a_point_is_marked_where_it_is_named() -> None:
    records = [replace(r, ranks=[]) if r.trainer == "Ddp" else r for r in strategies(("Amp", "Ddp"))]
    found = written(PLOTS["pareto"](gated([failed_gate("Ddp", reason="no driver", gap=None)], *records)))
    assert "no point: Ddp * (memory not measured)" in found
    assert "* Ddp is not shown to solve the same problem: no driver" in found


def test_memory_on_a_gpu_is_what_was_allocated() -> None:
    ranks = [{"peak_allocated_bytes": 30 * MB, "start_allocated_bytes": 10 * MB}]
    [axes] = axes_of(PLOTS["pareto"](results_of(record("strategies", "Amp", device="cuda", ranks=ranks))))
    assert axes.get_xlabel() == "GPU memory that training allocated (MB)"
    assert only(axes, "Amp").get_xdata()[0] == 20


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.2149, "0.21"),
        (0.00123, "0.0012"),
        (2.44, "2.4"),
        (31.4, "31"),
        (121, "121"),
        (999.7, "1.0k"),
        (7744, "7.7k"),
        (332_000, "332k"),
        (1_863_690, "1.9M"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_short_names_keep_both_ends() -> None:
    assert short("Accumulate") == "Accumulate"
    assert short("SharpnessAwareMinimization", 12) == "Sharpne…tion"
    assert short("a$b$") == r"a\$b\$"
