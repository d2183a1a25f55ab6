"""Mixed precision is compared within model and batch size."""

from dataclasses import replace

from paceline.bench.report import precision
from tests.synthetic import precisions, results


def test_precision_compares_within_model_and_batch_size() -> None:
    table = precision.table(results(precisions({(64, 32): 1.3, (1024, 512): 0.5})))
    assert list(table["workload"]) == ["digits-64", "digits-1024"]
    assert list(table["verdict"]) == ["slower", "faster"]
    assert table["speed-up"].iloc[1].startswith(("1.99", "2.0"))


def test_what_a_gpu_made_in_tf32_is_compared_by_that_name() -> None:
    records = [
        replace(record, dtype="tf32") if record.dtype == "float32" else record for record in precisions({(64, 32): 0.5})
    ]
    assert "tf32, per step" in precision.table(results(records))
    (decision,) = precision.decisions(results(records))
    assert "of bfloat16 over tf32" in decision.why


def test_medians_that_point_the_other_way_than_pairs_are_explained() -> None:
    """In the two slow blocks Amp is slower, in the fast one a little faster; by the medians it is the other way."""
    full, mixed = [1.0, 2.0, 3.0], [1.5, 1.9, 3.3]
    records = precisions({(64, 32): 1.0}, blocks=3)
    for record in records:
        times = (full if record.trainer == "MiniBatch" else mixed)[record.block]
        record.curve["seconds"][:] = [1e-3 * times * step for step in record.curve["step"]]
    [row] = precision.table(results(records)).to_dict("records")
    assert row["note"].startswith("the speed-up is taken within blocks")
    plain = precision.table(results(precisions({(64, 32): 2.0})))
    assert "note" not in plain
