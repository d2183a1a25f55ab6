"""The environment names what ran."""

from paceline.bench.report import environment, what_was_run
from tests.synthetic import raced, results


def test_the_environment_names_the_library_that_ran() -> None:
    versions = ["Intel(R) oneAPI Math Kernel Library 2024.2", "Intel(R) MKL-DNN v3.12.0", "NNPACK is enabled"]
    ran = {"float32": "MKL, SGEMM", "bfloat16": "oneDNN, brg_matmul"}
    for libraries, said in (
        ({"versions": versions, "ran": ran}, "float32 by MKL, SGEMM; bfloat16 by oneDNN, brg_matmul"),
        ({"versions": versions}, "Intel(R) oneAPI Math Kernel Library 2024.2; Intel(R) MKL-DNN v3.12.0"),
    ):
        run = results(raced("MiniBatch", seconds=1.0), environment={"kernel_libraries": libraries})
        assert environment.table(run).set_index("what").loc["matrix library", "value"] == said


def run_of(commit: str, load: float, **changes: object) -> dict[str, object]:
    return {"paceline": "0.1.0", "git": {"commit": commit, "dirty": False}, "load_average": [load, 9.9, 9.9], **changes}


def test_a_merge_of_merges_names_all_runs_commits_and_loads() -> None:
    """The first source's commit and load, shown as those of all, hid three commits and a load of 3.3."""
    inner = {
        "merged": [{"label": "", "environment": run_of("bbb", 3.3)}, {"label": "", "environment": run_of("ccc", 2)}]
    }
    sources = [run_of("aaa", 0.65), inner, run_of("aaa", 1.4)]
    merged = run_of("aaa", 0.65) | {"merged": [{"label": "", "environment": source} for source in sources]}
    run = results(raced("MiniBatch", seconds=1.0), environment=merged)
    table = environment.table(run).set_index("what")["value"]
    assert table["runs"] == "4, merged"
    assert table["Paceline"] == "0.1.0, commits aaa, bbb and ccc"
    assert table["load average before the runs"] == "0.650 to 3.30"
    said = what_was_run.headline(run)
    assert "4 runs that were merged, the last trial begun 2026-01-01 00:00 UTC of 3 commits (aaa, bbb and ccc)" in said
    assert "load averages from 0.650 to 3.30 before them" in said


def test_a_run_alone_is_not_called_merged() -> None:
    run = results(raced("MiniBatch", seconds=1.0), environment=run_of("aaa", 0.65))
    table = environment.table(run).set_index("what")["value"]
    assert "runs" not in table
    assert table["Paceline"] == "0.1.0, commit aaa"
    assert table["load average before the run"] == "0.650, 9.90, 9.90"
    assert "merged" not in what_was_run.headline(run)
