"""Mixed precision is compared within model and batch size."""

from paceline.bench.report import precision
from tests.synthetic import precisions, results


def test_precision_compares_within_model_and_batch_size() -> None:
    table = precision.table(results(precisions({(64, 32): 1.3, (1024, 512): 0.5})))
    assert list(table["workload"]) == ["digits-64", "digits-1024"]
    assert list(table["verdict"]) == ["slower", "faster"]
    assert table["speed-up"].iloc[1].startswith(("1.99", "2.0"))
