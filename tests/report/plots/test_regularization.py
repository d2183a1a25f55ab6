"""What is coloured as decided is what the claim decides."""

from matplotlib.colors import to_hex

from paceline.bench.report.all_plots import PLOTS
from paceline.bench.report.plots.style import BLUE, GREEN, VERMILLION
from tests.synthetic import regularized, results


def colors_of(score: float, gap: float) -> list[str]:
    """Return the colours of score and gap of one regularizer, against 0.87 and 0.5 without any."""
    figure = PLOTS["regularization"](results(regularized("none", 0.87, gap=0.5), regularized("L2", score, gap=gap)))
    assert figure is not None
    return [
        to_hex(line.get_color()) for axes in figure.get_axes() for line in axes.get_lines() if line.get_label() == "L2"
    ]


def test_better_worse_and_no_difference_that_counts_have_their_colours() -> None:
    assert colors_of(0.92, 0.3) == [GREEN, GREEN]
    assert colors_of(0.80, 0.6) == [VERMILLION, VERMILLION]
    # Better by 0.004 in every seed, of 13 % of errors: within the margin, and no improvement.
    assert colors_of(0.874, 0.5)[0] == BLUE


def test_the_title_names_what_is_better() -> None:
    for score, said in ((0.92, "Better than without: L2"), (0.8, "No regularizer is resolved to be better than none")):
        figure = PLOTS["regularization"](results(regularized("none", 0.87, gap=0.5), regularized("L2", score, gap=0.5)))
        assert figure is not None
        assert figure.get_suptitle() == said
