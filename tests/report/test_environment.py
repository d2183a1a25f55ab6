"""The environment names what ran."""

from paceline.bench.report import environment
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
