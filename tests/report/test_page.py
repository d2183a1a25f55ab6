"""Whatever a run holds it is tabulated, and the report is one page that opens offline."""

import importlib
import importlib.util
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from paceline.bench.__main__ import main
from paceline.bench.analysis.frames import Results
from paceline.bench.report import (
    batch_size,
    card,
    claims,
    environment,
    equivalence,
    failures,
    laws,
    memory_parts,
    not_measured,
    precision,
    scaling,
    strategies,
    what_was_run,
)
from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.decision import decision_text
from paceline.bench.report.page import open_run, render, write_summary_and_plots
from paceline.bench.run_command import print_report
from tests.paths import ROOT
from tests.synthetic import batch_sizes, null_test, precisions, raced, ranks, results, write

NOTEBOOK = ROOT / "report.ipynb"


def test_tables_of_an_empty_run_are_empty() -> None:
    run = results()
    for table in (what_was_run.table, strategies.table, strategies.costs, strategies.pairwise, batch_size.table,
                  precision.table, scaling.table, failures.table, not_measured.table):  # fmt: skip
        assert table(run).empty


DEAD = {
    "status": "out_of_memory",
    "reason": "killed",
    "ranks": [],
    "curve": {name: [] for name in ("step", "samples", "seconds", "loss", "score")},
}


@pytest.mark.parametrize(
    "run",
    [
        results(raced("MiniBatch", seconds=1.0, **DEAD), raced("FullBatch", seconds=1.0, **DEAD)),
        results(raced("MiniBatch", seconds=1.0, **DEAD), raced("FullBatch", seconds=1.0), raced("Online", seconds=1.0)),
        results(
            batch_sizes({1: 1e3, 4: 1e4}, **DEAD), precisions({(64, 32): 1.0}, **DEAD), ranks({1: 1.0, 2: 2.0}, **DEAD)
        ),
        results(
            batch_sizes({1: 1e3}, blocks=1), precisions({(64, 32): 1.0}, blocks=1), ranks({1: 1.0, 2: 2.0}, blocks=1)
        ),
        results(raced("MiniBatch", seconds=1.0, ranks=[]), raced("Amp", seconds=2.0, ranks=[])),
        results(raced("MiniBatch", seconds=1.0, memory=0.0), raced("Amp", seconds=2.0, memory=0.0)),
        results(raced("MiniBatch", seconds=1.0, device="cuda"), raced("Amp", seconds=2.0, device="cuda")),
        results(ranks({1: 1.0, 2: 2.0})[6:]),
        results(),
    ],
    ids=[
        "all died",
        "base died",
        "sweeps died",
        "one trial",
        "no memory",
        "zero memory",
        "gpu",
        "no single rank",
        "empty",
    ],
)
def test_whatever_a_run_holds_it_is_tabulated_judged_and_decided_without_a_warning(run: Results) -> None:
    for table in (what_was_run.table, strategies.table, strategies.costs, strategies.pairwise, batch_size.table,
                  precision.table, scaling.table, failures.table, not_measured.table, environment.table,
                  memory_parts.table, laws.table, equivalence.table):  # fmt: skip
        assert not table(run).isna().any(axis=None)
    assert len(claims.table(run)) == 18
    assert decision_text(run).split("\n\n")[1] == "Decision"
    assert what_was_run.headline(run).endswith(".")


def test_the_notebook_is_kept_without_outputs_and_runs_in_any_python3_kernel() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_every_benchmark_has_its_file_and_the_notebook_shows_what_that_draws() -> None:
    benchmarks = sorted(path.stem.removeprefix("bench_") for path in (ROOT / "bench").glob("bench_*.py"))
    assert benchmarks
    cells = "".join("".join(cell["source"]) for cell in json.loads(NOTEBOOK.read_text())["cells"])
    drawn = []
    for name in (*benchmarks, "any_target", "drift"):  # which are of what benchmarks left
        shown = importlib.import_module(f"paceline.bench.report.{name}")
        assert re.search(rf"\b{name}\b", cells)
        assert all(f'show_plot(results, "{plot}")' in cells for plot in shown.PLOTS)
        drawn += shown.PLOTS
    assert sorted([*drawn, *card.PLOTS]) == sorted(PLOTS)
    assert "page.show_card(results)" in cells


def test_the_run_is_the_named_else_the_newest_else_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PACELINE_RESULTS", raising=False)
    with pytest.raises(FileNotFoundError, match="no results in results"):
        open_run()
    reference = write(tmp_path / "results" / "reference", raced("MiniBatch", seconds=1.0, blocks=1))
    assert open_run().folder == reference
    latest = write(tmp_path / "results" / "latest", raced("MiniBatch", seconds=1.0, blocks=1))
    assert open_run().folder == latest
    other = write(tmp_path / "other", raced("MiniBatch", seconds=1.0, blocks=1))
    monkeypatch.setenv("PACELINE_RESULTS", str(other))
    assert open_run().folder == other


def test_summary_and_plots_are_written(tmp_path: Path) -> None:
    folder = write(tmp_path, raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=2.0))
    write_summary_and_plots(folder)
    assert len(pd.read_csv(folder / "summary.csv")) == 2
    assert (folder / "plots" / "convergence.png").stat().st_size > 1000


def test_without_jupyter_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nbclient" else found(name))
    with pytest.raises(ValueError, match=re.escape("nbclient: pip install -e '.[report]'")) as error:
        render(write(tmp_path, raced("MiniBatch", seconds=1.0, blocks=1)))
    assert "\n" not in str(error.value)


class Page(HTMLParser):
    """Gathers what a page would load, its headings, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_report_is_one_page_without_code_that_loads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nbclient")
    # A "python3" kernel of some other interpreter, installed where Jupyter looks first.
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    kernel = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "other", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    folder = write(
        tmp_path / "run",
        raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=2.0),
        raced("Online", seconds=4.0, batch_size=1),
        batch_sizes({16: 1e4, 64: 9.7e4, 256: 1e5}), precisions({(64, 32): 1.3, (1024, 512): 0.5}),
        ranks({1: 1.0, 2: 1.8, 4: 3.0}, cores=2), null_test([0.03, -0.02, 0.01, 0.0, -0.01, 0.02]),
    )  # fmt: skip
    path = render(folder)
    assert path == folder / "report.html"
    assert [p.name for p in folder.glob("*.html")] == ["report.html"]
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert all(target.startswith(("data:", "#")) for target in page.loaded)
    assert "link" not in page.tags
    assert "@import" not in source
    assert "url(" not in source
    text = " ".join(Page(source.split("</nav>")[1]).text)
    headings = ("use this", "1. Which", "2. Which", "3. What", "The decision", "Could this run see", "How to read")
    places = [text.index(heading) for heading in headings]
    assert places == sorted(places)
    assert "open_run" not in text  # no code
    assert "Traceback" not in text
    assert page.tags.count("img") == 9
    assert "bfloat16 at digits-1024 B=512" in text


def test_the_command_draws_all_anew_and_nothing_that_is_older_than_its_page_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "run", raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=2.0))
    monkeypatch.setattr("paceline.bench.report.page.render", lambda path: Path(path) / "report.html")
    monkeypatch.setattr(sys, "argv", ["paceline", "report", str(folder)])
    main()
    assert f"plots   {folder / 'plots'}" in capsys.readouterr().out
    assert (folder / "summary.csv").exists()
    assert (folder / "plots" / "convergence.png").exists()
    drawn = (folder / "plots" / "convergence.png").read_bytes()
    for stale in ("summary.csv", "plots/convergence.png", "plots/scaling.png"):
        (folder / stale).write_text("of an earlier version")
    (folder / "plots" / "my_own.png").write_text("kept")
    main()
    assert len(pd.read_csv(folder / "summary.csv")) == 2
    assert (folder / "plots" / "convergence.png").read_bytes() == drawn
    assert not (folder / "plots" / "scaling.png").exists()  # this run holds no trial of it
    assert (folder / "plots" / "my_own.png").read_text() == "kept"


def test_what_a_run_has_just_drawn_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "run", raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=2.0))
    monkeypatch.setattr("paceline.bench.report.page.render", lambda path: Path(path) / "report.html")
    print_report(folder, drawn=True)  # but that could not write
    assert (folder / "plots" / "convergence.png").exists()
    (folder / "plots" / "convergence.png").write_text("just drawn")
    print_report(folder, drawn=True)
    assert (folder / "plots" / "convergence.png").read_text() == "just drawn"
