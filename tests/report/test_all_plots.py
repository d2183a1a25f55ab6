"""Plots: every word of them can be read, whatever a run holds."""

import itertools
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from paceline.bench.report.all_plots import PLOTS, save_plots
from tests.report.plots.drawn_runs import (
    batch_sizes,
    gated,
    ranks_of,
    results_of,
    texts,
)
from tests.report.plots.nasty_runs import GATES, NASTY


@pytest.fixture(scope="module")
def figures() -> dict[tuple[str, str], Figure]:
    runs = {case: gated(GATES.get(case, []), *records) for case, records in NASTY.items()}
    drawn = {(case, key): plot(run) for case, run in runs.items() for key, plot in PLOTS.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def test_no_two_texts_overlap_and_none_is_cut_off(figures: dict[tuple[str, str], Figure]) -> None:
    wrong = []
    for name, figure in figures.items():
        written = texts(figure)
        for (a, box), (b, other) in itertools.combinations(written, 2):
            if box.padded(-0.5).overlaps(other.padded(-0.5)):
                wrong.append((*name, a, b))
        page = figure.bbox.padded(1)
        wrong += [
            (*name, a, "is cut off")
            for a, b in written
            if not page.contains(b.x0, b.y0) or not page.contains(b.x1, b.y1)
        ]
    assert not wrong


def test_every_axis_names_its_unit(figures: dict[tuple[str, str], Figure]) -> None:
    for (case, key), figure in figures.items():
        for axes in figure.get_axes():
            if axes.get_label() == "<colorbar>":
                assert re.search(r"\(.+\)$", axes.get_xlabel())
                continue
            assert re.search(r"\(.+\)$", axes.get_xlabel()), (case, key, axes.get_xlabel())
            shares = key in (
                "card",
                "compile",
                "convergence",
                "noise_scale",
                "null",
                "phases",
                "precision",
                "regularization",
                "reproductions",
                "time_to_target",
                "tried",
            )  # there the left panel's, or names
            assert re.search(r"\(.+\)$", axes.get_ylabel()) or (shares and not axes.get_ylabel())
    units = {
        key: [a.get_ylabel() for a in figures["usual", key].get_axes()] for key in ("pareto", "batch_size", "scaling")
    }
    assert units == {
        "pareto": ["training time to target (s)"],
        "batch_size": ["throughput (samples/s)", "resident memory that training added (MB)"],
        "scaling": ["speed-up over one rank (x)", "efficiency: speed-up over ranks (%)"],
    }


def test_files_are_written_for_exactly_the_plots_that_there_are_results_for(tmp_path: Path) -> None:
    assert save_plots(results_of(), tmp_path / "empty") == []
    both = results_of(*ranks_of({2: 1.5}, seeds=1), *batch_sizes(seeds=1))
    written = save_plots(both, tmp_path / "new" / "folder")
    assert [file.name for file in written] == ["card.png", "batch_size.png", "scaling.png"]
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == [
        "batch_size.png",
        "card.png",
        "scaling.png",
    ]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in written)


def test_plots_without_results(figures: dict[tuple[str, str], Figure]) -> None:
    drawn = {case: [key for key in PLOTS if (case, key) in figures] for case in NASTY}
    assert drawn["empty"] == []
    assert drawn["usual"] == list(PLOTS)
    assert drawn["missed"] == [
        "convergence",
        "time_to_target",
        "best_rate",
    ]  # no strategy has a time, so none has a point
    assert drawn["crashed"] == ["time_to_target"]  # which counts them
    assert drawn["unmeasured"] == ["card", "tried", "convergence", "time_to_target", "any_target", "batch_size"]
