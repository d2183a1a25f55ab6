"""Mixed precision is paired with float32 on the same model at the same batch size, and with nothing else."""

from paceline.bench.analysis.precision import precision_pairs
from tests.synthetic import precisions, results


def test_pairs_differ_in_nothing_else() -> None:
    records = precisions({(1024, 512): 1.0, (64, 512): 1.0, (64, 32): 1.0})
    pairs = precision_pairs(results(records))
    assert [(amp["workload"], amp["batch_size"]) for amp, _ in pairs] == [
        ("digits-64", 32), ("digits-64", 512), ("digits-1024", 512),
    ]  # fmt: skip
    for amp, full in pairs:
        assert (amp["trainer"], full["trainer"]) == ("Amp", "MiniBatch")
        assert (amp["workload"], amp["batch_size"]) == (full["workload"], full["batch_size"])


def test_one_without_the_other_is_no_pair() -> None:
    assert precision_pairs(results([r for r in precisions({(64, 32): 1.0}) if r.trainer == "Amp"])) == []
