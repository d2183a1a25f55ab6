"""What is said and drawn of advisors replayed on planted tables."""

import numpy as np
import pandas as pd
import pytest

from paceline.bench import regret as command
from paceline.bench.analysis.regret import COLUMNS
from paceline.bench.harness import grid_table, grid_times
from paceline.bench.report import regret as shown
from paceline.bench.report.plots.regret import regret as plot

NULLS = {"a": 0.01, "b": -0.02, "c": 0.2, "d": 0.0}  # regrets of the best itself


def states(*rows):
    return pd.DataFrame([(*row, NULLS[row[1]], 0.13) for row in rows], columns=COLUMNS)


def frozen_before(workloads, found):
    return found.assign(held_out=found["workload"].isin(list(workloads)))


# None is held out.
FOUND = states(
    *(("Paceline", name, False, 0, 0.04, regret) for name, regret in zip("abcd", (0, 0.01, 0.2, 0), strict=True)),
    *(("library default", name, False, 0, 0.0, 12.0) for name in "abcd"),
    *(("random cells", name, False, 0, cost, np.nan if cost < 0.1 else 0.0) for name in "abcd" for cost in (0.05, 0.5)),
)


def test_a_row_a_search_says_how_wrong_it_is_and_what_it_costs():
    rows = shown.table(FOUND).set_index("how it was chosen")
    assert rows.loc["Paceline", "within 5 % of the best"].startswith("75 % [")
    assert rows.loc["Paceline", "worst"] == "20 %"
    assert rows.loc["Paceline", "cost, of the grid's"] == "4.0 %"
    assert rows.loc["library default", "worst"] == "13.0 times"
    assert rows.loc["random cells", ["worst", "does not know"]].tolist() == ["—", "100 %"]


def test_wins_are_counted_at_equal_cost():
    rows = shown.against(FOUND).set_index("Paceline against")
    assert rows.loc["library default"].tolist() == ["4", "0", "0"]
    assert rows.loc["random cells"].tolist() == ["4", "0", "0"]  # it knew nothing yet


def test_the_headline_says_what_it_was_developed_on_and_what_cannot_be_told_from_none():
    said = shown.headline(FOUND)
    assert said.startswith("On the 4 workloads that it was developed on, the advice was within 5 % of the best in 75 %")
    assert said.endswith(
        "What seeds allow: the best itself came within 5 % of itself on other seeds in 75 % of the workloads. Its runs "
        "differ by 13 % from seed to seed, in the median workload, and of a cell a search has 3 at most, whose mean is "
        "known to 8 %."
    )
    assert "which flatters it" in shown.headline(FOUND.assign(null=np.nan))


def test_where_workloads_are_held_out_it_is_judged_on_those():
    """On c and d, whose regrets are 20 % and 0, half are within; on a and b, 0 and 1 %, all."""
    found = frozen_before("cd", FOUND)
    said = shown.headline(found)
    assert said.startswith(
        "On 2 workloads that it had not seen, the advice was within 5 % of the best in 50 % [0 %, 100 %]"
    )
    assert "aimed at were 90 %. In the median its regret was 0.0 %, at worst 20 %." in said
    assert "On the 2 that it was developed on it was within in 100 %." in said
    assert "itself on other seeds in 50 % of the workloads." in said
    assert shown.table(found).set_index("how it was chosen").loc["Paceline", "workloads"] == "2"
    assert shown.against(found).set_index("Paceline against").loc["library default"].tolist() == ["2", "0", "0"]
    assert plot(found).axes[0].get_lines()[0].get_ydata()[-1] == 50
    assert shown.by_workload(found).to_numpy().tolist() == [
        ["c", "20 %", "library default, 13.0 times", "20 %"],
        ["d", "0.0 %", "library default, 13.0 times", "0.0 %"],
    ]
    assert shown.in_short(found) == (
        "How wrong such a search is: on 2 workloads that it had not seen it was within 5 % of the best in 50 % [0 %, "
        "100 %] of all searches, and at worst 20 % off."
    )


def test_what_is_published_is_read_and_where_nothing_is_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(shown, "FILE", tmp_path / "regrets.csv.gz")
    nothing = shown.published()
    assert shown.headline(nothing) == shown.NONE
    assert shown.in_short(nothing) == ""
    assert plot(nothing) is None
    assert not len(shown.table(nothing)) + len(shown.by_workload(nothing)) + len(shown.against(nothing))
    FOUND.to_csv(shown.FILE, index=False)
    assert shown.headline(shown.published()) == shown.headline(FOUND)


def test_a_row_for_each_way_to_make_a_step_says_how_far_the_product_is_off():
    columns = ["workload", "dtype", "threads", "seed", "steps", "seconds"]
    held_to = pd.DataFrame(
        [("a", "float32", 2, k, 1.0, s) for k, s in enumerate((0.9, 1.0, 1.2, np.nan))], columns=columns
    )
    held_to.loc[3, "steps"] = np.nan
    (row,) = shown.direct(held_to).to_numpy().tolist()
    assert row == ["float32 on 2 threads", "1.00 [1.00 to 1.00]", "1.00 [0.950 to 1.10]", "4", "1"]


def test_each_search_is_a_line_that_only_rises():
    left, right = plot(FOUND).axes
    lines = {line.get_label(): line for line in left.get_lines() if not line.get_label().startswith("_")}
    assert list(lines) == ["Paceline", "library default", "random cells"]
    assert lines["random cells"].get_ydata()[[0, -1]].tolist() == [0, 100]
    assert lines["Paceline"].get_ydata()[-1] == 75
    assert left.get_xlabel() == right.get_xlabel() == "cost (% of training every configuration)"
    assert plot(FOUND).get_suptitle().startswith("75% of searches end within 5% of the best, for at most 10%")
    assert plot(FOUND.iloc[:0]) is None


def test_the_command_replays_what_was_made_and_timed(tmp_path, monkeypatch, capsys):
    from tests.harness.test_grid_table import descent

    grid = descent()
    grid_table.make(tmp_path, [grid], 1, lambda _: None)
    monkeypatch.setattr(command, "DEVELOPMENT", (grid,))
    for file in ("FILE", "DIRECT"):
        monkeypatch.setattr(shown, file, tmp_path / "package" / getattr(shown, file).name)
    monkeypatch.setattr("sys.argv", ["regret", "replay", "-o", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "step_times.csv is missing: run 'python -m paceline.bench.regret time'" in capsys.readouterr().err
    lines = [
        f"descent,{size},{dtype},{threads},0,{1e-4 + 1e-6 * size},missed"
        for size in grid.batch_sizes
        for dtype in grid_times.TRAINERS
        for threads in grid_times.THREADS
    ]
    (tmp_path / grid_times.FILE).write_text("\n".join([",".join(grid_times.COLUMNS), *lines]) + "\n")
    command.main()
    assert "On the 1 workloads that it was developed on" in capsys.readouterr().out
    assert (tmp_path / "regret.png").stat().st_size > 0
    assert set(pd.read_csv(tmp_path / "regrets.csv.gz")["workload"]) == {"descent"}
    assert not shown.FILE.exists()
    shown.FILE.parent.mkdir()
    monkeypatch.setattr("sys.argv", ["regret", "replay", "--publish", "-o", str(tmp_path)])
    command.main()
    assert shown.headline(shown.published()) == shown.headline(pd.read_csv(tmp_path / "regrets.csv.gz"))
    assert shown.direct(shown.published_direct()).empty  # no trial raced
