"""The verdicts that ended a run are shown where they did."""

from paceline.bench.report import until_decided
from tests.synthetic import raced, results


def test_the_report_shows_them_only_where_blocks_were_added():
    trials = raced("MiniBatch", seconds=1.0), raced("Amp", seconds=2.0)
    assert until_decided.table(results(*trials)).empty
    [row] = until_decided.table(results(*trials, environment={"until_decided": True})).to_dict("records")
    assert (row["cells"], row["verdict"]) == ("digits-Amp / digits-MiniBatch", "slower")
