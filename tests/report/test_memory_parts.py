"""What NVML missed stands beside its peaks."""

import pytest

from paceline.bench.records.record import Record
from paceline.bench.report import memory_parts
from tests.synthetic import MB, raced, results


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
    table = memory_parts.table(results(raced("Amp", seconds=1.0, ranks=[both], device="cuda")))
    assert list(table[memory_parts.MISSED]) == [text]
    names = list(table.columns)
    assert "NVML" in names[names.index(memory_parts.MISSED) - 1]


def test_the_worst_miss_of_a_cell_is_shown_and_ranks_are_summed() -> None:
    def trials(miss: int) -> list[Record]:
        rank = {"peak_reserved_bytes": 9 * MB, "nvml_process_peak_bytes": (9 - miss) * MB}
        return raced("Ddp", seconds=1.0, ranks=[rank, rank | {"nvml_longest_gap_seconds": 0.1}], device="cuda")

    (shown,) = memory_parts.table(results(trials(1)[:2], trials(4)[2:]))[memory_parts.MISSED]
    assert shown == "at least 8.00 MB"  # one rank does not tell its gap
    assert memory_parts.MISSED not in memory_parts.table(results(raced("Amp", seconds=1.0)))
