"""Tables hold the planted numbers with their units, and the report is one page that opens offline."""

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
from paceline.bench.records.record import Record
from paceline.bench.report import claims, tables
from paceline.bench.report.decision import decision_text
from paceline.bench.report.page import open_run, render, write_summary_and_plots
from tests.paths import ROOT
from tests.synthetic import MB, batch_sizes, null_test, precisions, raced, ranks, results, write

NOTEBOOK = ROOT / "report.ipynb"


def only(table: pd.DataFrame, column: str, value: str) -> "pd.Series[str]":
    found = table[table[column] == value]
    assert len(found) == 1
    return found.iloc[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2074, "0.207"), (2.0, "2.00"), (114_253.0, "114,000"), (0.0, "0"), (999.6, "1,000"), (9.9996, "10.0"),
        (float("nan"), "—"), (float("inf"), "∞"), (6.56e-7, "6.56e-07"), (-0.003, "-0.00300"),
    ],
)  # fmt: skip
def test_a_number_has_three_significant_digits(value: float, text: str) -> None:
    assert tables.number(value) == text


def test_strategies_show_seconds_steps_samples_and_success() -> None:
    run = results(raced("MiniBatch", seconds=1.0, blocks=3), raced("Amp", seconds=1.0, missed=(0, 1, 2, 3), blocks=6))
    mini, amp = (only(tables.strategies(run), "strategy", name) for name in ("MiniBatch", "Amp"))
    assert re.fullmatch(r"1\.\d\d s \[0\.\d+, \d\.\d\d\]", mini["seconds to target"])
    assert mini["samples to target"] == "6,400 [6,400, 6,400]"
    assert mini["steps to target"].startswith("100 ")
    assert mini["learning rate"] == "0.1"
    assert mini["ranks x threads"] == "1 x 2"
    assert mini["reached"] == "3 of 3"
    assert amp["reached"] == "2 of 6"
    assert amp["seconds to target"] == "not reached in half of the trials"


def test_a_strategy_that_never_reached_the_target_says_so() -> None:
    table = tables.strategies(results(raced("Amp", seconds=1.0, missed=(0, 1, 2), blocks=3)))
    assert table["seconds to target"].iloc[0] == "not reached"


def test_costs_show_memory_in_megabytes_and_a_dash_for_what_was_not_measured() -> None:
    table = tables.strategy_costs(results(raced("MiniBatch", seconds=1.0, memory=5.0)))
    assert re.fullmatch(r"5\.00 MB \[4\.90, 5\.10\]", table["training memory"].iloc[0])
    assert table["peak RSS"].iloc[0].startswith("105 MB")
    assert table["energy"].iloc[0] == "—"


@pytest.mark.parametrize(
    ("rank", "text"),
    [
        ({"nvml_process_peak_bytes": 700 * MB}, "at least 300 MB; up to 0.0600 s between samples"),
        ({"nvml_process_peak_bytes": 1200 * MB}, "nothing known; up to 0.0600 s between samples"),
        (
            {"nvml_process_peak_bytes": 700 * MB, "beyond_torch_peak_bytes": 450 * MB},
            "at least 300 MB, at most 750 MB; up to 0.0600 s between samples",
        ),
        (
            {"nvml_process_peak_bytes": 1420 * MB, "beyond_torch_peak_bytes": 450 * MB},
            "at most 30.0 MB; up to 0.0600 s between samples",
        ),
        (
            {"nvml_device_peak_bytes": 900 * MB, "nvml_device_baseline_bytes": 150 * MB},
            "at least 250 MB; up to 0.0600 s between samples",
        ),
    ],
)
def test_what_nvml_is_known_to_have_missed_stands_beside_its_peaks(rank: dict[str, int], text: str) -> None:
    both = rank | {"peak_reserved_bytes": 1000 * MB, "nvml_longest_gap_seconds": 0.06}
    table = tables.memory(results(raced("Amp", seconds=1.0, ranks=[both], device="cuda")))
    assert list(table[tables.MISSED]) == [text]
    names = list(table.columns)
    assert "NVML" in names[names.index(tables.MISSED) - 1]


def test_the_worst_miss_of_a_cell_is_shown_and_ranks_are_summed() -> None:
    def trials(miss: int) -> list[Record]:
        rank = {"peak_reserved_bytes": 9 * MB, "nvml_process_peak_bytes": (9 - miss) * MB}
        return raced("Ddp", seconds=1.0, ranks=[rank, rank | {"nvml_longest_gap_seconds": 0.1}], device="cuda")

    (shown,) = tables.memory(results(trials(1)[:2], trials(4)[2:]))[tables.MISSED]
    assert shown == "at least 8.00 MB"  # one rank does not tell its gap
    assert tables.MISSED not in tables.memory(results(raced("Amp", seconds=1.0)))


def test_pairwise_ratios_are_taken_within_blocks() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0),
        raced("FullBatch", seconds=3.0),
        raced("Amp", seconds=9.0, missed=(2,)),
    )
    full, amp = (only(tables.pairwise(run), "strategy / MiniBatch", name) for name in ("FullBatch", "Amp"))
    assert full["seconds to target, ratio"].startswith(("2.99 [", "3.00 [", "3.01 ["))
    assert full["verdict"] == "slower"
    assert amp["seconds to target, ratio"].startswith(("at least 8.9", "at least 9.0"))


def test_batch_sizes_show_their_share_of_the_best() -> None:
    table = tables.batch_sizes(results(batch_sizes({16: 2.5e4, 64: 1e5})))
    assert list(table["batch size"]) == ["16", "64"]
    assert list(table["of the best"]) == ["25 %", "100 %"]


def test_precision_compares_within_model_and_batch_size() -> None:
    table = tables.precision(results(precisions({(64, 32): 1.3, (1024, 512): 0.5})))
    assert list(table["workload"]) == ["digits-64", "digits-1024"]
    assert list(table["verdict"]) == ["slower", "faster"]
    assert table["speed-up"].iloc[1].startswith(("1.99", "2.0"))


def test_oversubscribed_ranks_are_marked_and_given_no_speedup() -> None:
    table = tables.scaling(results(ranks({1: 1.0, 2: 1.8, 4: 3.0}, cores=2)))
    fair, shared = table[table["ranks x threads"] == "2 x 1"], table[table["ranks x threads"] == "4 x 1"]
    assert fair["speed-up"].str.startswith(("1.79", "1.80", "1.81")).all()
    assert fair["efficiency"].str.startswith(("0.89", "0.90")).all()
    assert (shared[["speed-up", "efficiency"]] == "—").all(axis=None)
    assert shared["note"].str.contains("oversubscribed: 4 threads on 2 cores").all()


def test_failures_and_what_was_not_measured_have_their_reasons() -> None:
    run = results(
        raced("MiniBatch", seconds=1.0),
        raced("Amp", seconds=1.0, blocks=1, status="diverged", reason="loss is nan"),
    )
    failures = tables.failures(run)
    assert list(failures["reason"]) == ["loss is nan"]
    assert list(failures["cell"]) == ["digits-Amp"]
    missing = only(tables.not_measured(run), "quantity", "energy joules")
    assert missing["reason"] == "no GPU: the trial ran on the CPU"
    assert missing["trials"] == "7 of 7"


def test_timed_trials_are_not_called_missed() -> None:
    run = results(raced("MiniBatch", seconds=1.0, missed=(0,)), batch_sizes({16: 1e4}))
    ended = tables.run(run).set_index("comparison")["how they ended"]
    assert ended["strategies"] == "5 reached, 1 missed"
    assert ended["batch size"] == "6 timed"


def test_tables_of_an_empty_run_are_empty() -> None:
    run = results()
    for table in (tables.run, tables.strategies, tables.strategy_costs, tables.pairwise, tables.batch_sizes,
                  tables.precision, tables.scaling, tables.failures, tables.not_measured):  # fmt: skip
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
    for name in ("run", "strategies", "strategy_costs", "pairwise", "batch_sizes", "precision", "scaling", "failures",
                 "not_measured", "environment", "memory", "conservation",
                 "equivalence"):  # fmt: skip
        table = getattr(tables, name)
        assert not table(run).isna().any(axis=None)
    assert len(claims.table(run)) == 19
    assert decision_text(run).split("\n\n")[1] == "Decision"
    assert tables.headline(run).endswith(".")


def test_the_notebook_is_kept_without_outputs_and_runs_in_any_python3_kernel() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


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
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "@import" not in source
    assert "url(" not in source
    text = " ".join(page.text)
    for heading in ("The decision", "Question 1", "Question 2", "Question 3", "Common claims", "How to read"):
        assert heading in text
    assert "open_run" not in text  # no code
    assert "Traceback" not in text
    assert page.tags.count("img") == 7
    # The report leads with what it cannot see.
    assert text.index("Differences under") < text.index("Could this run see a difference?") < text.index("The decision")
    assert "bfloat16 at digits-1024 B=512" in text


def test_the_environment_names_the_library_that_ran() -> None:
    versions = ["Intel(R) oneAPI Math Kernel Library 2024.2", "Intel(R) MKL-DNN v3.12.0", "NNPACK is enabled"]
    ran = {"float32": "MKL, SGEMM", "bfloat16": "oneDNN, brg_matmul"}
    for libraries, said in (
        ({"versions": versions, "ran": ran}, "float32 by MKL, SGEMM; bfloat16 by oneDNN, brg_matmul"),
        ({"versions": versions}, "Intel(R) oneAPI Math Kernel Library 2024.2; Intel(R) MKL-DNN v3.12.0"),
    ):
        run = results(raced("MiniBatch", seconds=1.0), environment={"kernel_libraries": libraries})
        assert tables.environment(run).set_index("what").loc["matrix library", "value"] == said


def test_the_command_draws_what_a_merged_run_lacks_and_leaves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "run", raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=2.0))
    monkeypatch.setattr("paceline.bench.report.page.render", lambda path: Path(path) / "report.html")
    monkeypatch.setattr(sys, "argv", ["paceline", "report", str(folder)])
    main()
    assert f"plots   {folder / 'plots'}" in capsys.readouterr().out
    assert (folder / "summary.csv").exists()
    assert (folder / "plots" / "convergence.png").exists()
    (folder / "summary.csv").write_text("kept")
    main()
    assert (folder / "summary.csv").read_text() == "kept"
