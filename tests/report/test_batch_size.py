"""Batch sizes show their share of the best."""

from paceline.bench.report import batch_size
from tests.synthetic import batch_sizes, results


def test_batch_sizes_show_their_share_of_the_best() -> None:
    table = batch_size.table(results(batch_sizes({16: 2.5e4, 64: 1e5})))
    assert list(table["batch size"]) == ["16", "64"]
    assert list(table["of the best"]) == ["25 %", "100 %"]


def test_what_the_upper_end_of_an_interval_allows_is_no_recommendation() -> None:
    """B=16 gives two thirds of the best throughput, by turns a half more and less: nobody would choose it for that."""
    planted = batch_sizes({16: 6.6e4, 64: 1e5}, blocks=3)
    for record in planted:
        if record.hyperparameters["batch_size"] == 16:
            factor = (1.5, 1 / 1.5, 1.0)[record.block]
            record.curve["seconds"][:] = [seconds * factor for seconds in record.curve["seconds"]]
    [row] = batch_size.decisions(results(planted))
    assert row.choice == "B=64"
    assert "Not ruled out, though less in the mean, from B=16 on: 0.66" in row.why
