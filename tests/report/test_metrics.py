"""A metric is shown alike wherever it is: heading, unit and scale come from one place."""

import pytest

from paceline.bench.analysis.cells import cells_of
from paceline.bench.analysis.paired import pair
from paceline.bench.records.metrics import SHOWN
from paceline.bench.report.metrics import columns, in_its_unit, median_in_words, median_of, ratio_column
from tests.synthetic import raced, results


def test_the_unit_stands_where_the_heading_does_not_say_it() -> None:
    [cell] = cells_of(results(raced("MiniBatch", seconds=1.0, memory=5.0)), "strategies")
    assert median_of(cell, "samples_to_target") == "6,400 [6,400, 6,400]"
    assert median_in_words(cell, "samples_to_target") == "6,400 samples [6,400, 6,400]"
    assert median_of(cell, "training_memory_bytes").startswith("5.00 MB [")
    assert median_of(cell, "final_score") == median_in_words(cell, "final_score")


def test_columns_bear_the_headings_and_a_cell_that_is_missing_is_a_dash() -> None:
    run = results(raced("MiniBatch", seconds=1.0), raced("FullBatch", seconds=3.0))
    full, mini = cells_of(run, "strategies")
    shown = columns(full, "seconds_to_target", "samples_per_second")
    assert list(shown) == ["seconds to target", "throughput"]
    assert shown["throughput"].split()[1] == "samples/s"
    assert columns(None, "energy_joules") == {"energy": "—"}
    [heading] = ratio_column(pair(run, full, mini, "seconds_to_target"), "seconds_to_target")
    assert heading == "seconds to target, ratio"


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [("peak_rss_bytes", 105e6, "105 MB"), ("seconds_per_step", 0.002, "2.00 ms"), ("final_score", 0.93, "0.930")],
)
def test_a_value_is_turned_into_its_unit(metric: str, value: float, text: str) -> None:
    assert in_its_unit(value, metric) == text


def test_an_axis_names_its_unit() -> None:
    assert SHOWN["seconds_to_target"].label == "training time to target (s)"
    assert SHOWN["samples_per_second"].label == "throughput (samples/s)"
