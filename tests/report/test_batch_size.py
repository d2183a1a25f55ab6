"""Batch sizes show their share of the best."""

from paceline.bench.report import batch_size
from tests.synthetic import batch_sizes, results


def test_batch_sizes_show_their_share_of_the_best() -> None:
    table = batch_size.table(results(batch_sizes({16: 2.5e4, 64: 1e5})))
    assert list(table["batch size"]) == ["16", "64"]
    assert list(table["of the best"]) == ["25 %", "100 %"]
