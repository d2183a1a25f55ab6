"""The heat map shows the planted ratios, and marks what is undecided."""

from dataclasses import replace

from paceline.bench.report.all_plots import PLOTS
from tests.report.plots.drawn_runs import axes_of, path, precisions, results_of


def test_cells_show_the_planted_ratio_and_difference() -> None:
    records = precisions(1.83)
    for i, r in enumerate(records):
        if r.trainer == "Amp":
            records[i] = replace(r, curve=r.curve | {"score": [None, 0.9 - 0.004]})
    speed, change = axes_of(PLOTS["precision"](results_of(*records)))[:2]
    assert [text.get_text() for text in speed.texts] == ["1.83x\n[1.83, 1.83]"] * 9
    assert [text.get_text() for text in change.texts] == ["-0.40\n[-0.60, -0.20]"] * 9  # no finer than scores differ by
    assert [label.get_text() for label in speed.get_yticklabels()] == [
        "digits-64\n(64k)",
        "digits-256\n(256k)",
        "digits-1024\n(1.0M)",
    ]
    assert "percentage points" in axes_of(PLOTS["precision"](results_of(*records)))[3].get_xlabel()


def test_undecided_cells_are_marked_and_faster_and_slower_have_opposite_colors() -> None:
    records = precisions(2.0, widths=(64,)) + precisions(0.5, widths=(256,))
    noisy = [
        replace(r, curve=path([t * (1 + 0.9 * (r.seed == 1)), 2 * t * (1 + 0.9 * (r.seed == 1))], [None, 0.9], 32))
        if r.trainer == "Amp"
        else r
        for r in precisions(1.1, widths=(1024,))
        for t in [r.curve["seconds"][0]]
    ]
    speed = axes_of(PLOTS["precision"](results_of(*records, *[r for r in noisy if "-B32-" in r.cell])))[0]
    boxes = {box.get_label(): box for box in speed.patches}
    faster, slower = (boxes[text].get_facecolor() for text in ("2.00x\n[2.00, 2.00]", "0.50x\n[0.50, 0.50]"))
    assert faster[2] > faster[0]  # blueish
    assert slower[0] > slower[2]  # orange
    marked = [text.get_text() for text in speed.texts if "?" in text.get_text()]
    assert len(marked) == 1
    assert sum(bool(box.get_hatch()) for box in speed.patches) == 1


def test_a_change_of_the_score_that_may_be_none_is_marked() -> None:
    """By 0.4 points and as much between seeds: it may be none, or as large as counts."""
    records = [
        replace(r, curve=r.curve | {"score": [None, 0.9 - 0.004 * r.seed]}) if r.trainer == "Amp" else r
        for r in precisions(1.83)
    ]
    change = axes_of(PLOTS["precision"](results_of(*records)))[1]
    assert all(" ?" in text.get_text() for text in change.texts)


def test_where_blocks_were_added_until_decided_the_interval_allows_for_it() -> None:
    """Twice as fast to within 20 %: three blocks fixed beforehand tell, three that were looked at do not."""
    noisy = [
        replace(r, curve=r.curve | {"seconds": [s * (0.8, 1.0, 1.25)[r.seed] for s in r.curve["seconds"]]})
        if r.trainer == "Amp"
        else r
        for r in precisions(2.0, widths=(64,))
        if "-B32" in r.cell
    ]
    for asked in (False, True):
        run = replace(results_of(*noisy), environment={"until_decided": asked})
        assert all(("?" in text.get_text()) == asked for text in axes_of(PLOTS["precision"](run))[0].texts)


def test_axes_say_in_what_was_computed() -> None:
    """What a GPU multiplied in TF32 was not multiplied in float32."""
    records = [replace(r, dtype="tf32") if r.trainer == "MiniBatch" else r for r in precisions(2.0)]
    speed, change = axes_of(PLOTS["precision"](results_of(*records)))[2:]
    assert speed.get_xlabel() == "speed-up of bfloat16 over tf32 (ratio of s/step)"
    assert change.get_xlabel().startswith("final score, bfloat16 - tf32")


def test_what_does_not_stand_among_all_is_not_shown_as_decided() -> None:
    """Alone, 1.5 times [1.05, 2.1] is faster; as one of nine it is not."""
    off = (0.87, 1.0, 1.15)
    records = [
        replace(r, curve=r.curve | {"seconds": [s * off[r.seed] for s in r.curve["seconds"]]})
        if r.trainer == "Amp"
        else r
        for r in precisions(1.5)
    ]
    alone = [r for r in records if r.workload == "digits-64" and "-B32" in r.cell]
    for run, marked in ((alone, 0), (records, 9)):
        speed = axes_of(PLOTS["precision"](results_of(*run)))[0]
        assert sum("?" in text.get_text() for text in speed.texts) == marked


def test_round_numbers_stand_at_the_scale() -> None:
    for ratio, ticks in (
        (1.1, ["0.8x", "1x", "1.25x"]),
        (1.83, ["0.5x", "1x", "2x"]),
        (3, ["0.25x", "0.5x", "1x", "2x", "4x"]),
    ):
        scale = axes_of(PLOTS["precision"](results_of(*precisions(ratio))))[2]
        assert [label.get_text() for label in scale.get_xticklabels()] == ticks
