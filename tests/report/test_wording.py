"""Numbers in words."""

import pytest

from paceline.bench.report.wording import number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2074, "0.207"), (2.0, "2.00"), (114_253.0, "114,000"), (0.0, "0"), (999.6, "1,000"), (9.9996, "10.0"),
        (float("nan"), "—"), (float("inf"), "∞"), (6.56e-7, "6.56e-07"), (-0.003, "-0.00300"),
    ],
)  # fmt: skip
def test_a_number_has_three_significant_digits(value: float, text: str) -> None:
    assert number(value) == text
