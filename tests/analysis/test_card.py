"""The card names what was planted, keeps what is not beaten, and says where anything may do."""

from dataclasses import replace

import pytest

from paceline.bench.analysis.card import Card, Row
from paceline.bench.analysis.card_of_run import cards
from paceline.bench.analysis.tried import everything_tried
from paceline.bench.records.record import Record
from tests.synthetic import precisions, raced, ranks, results, swept


def card_of(*records: list[Record]) -> Card:
    return cards(results(*records))[0]


def row(card: Card, decision: str) -> Row:
    (found,) = (row for row in card.rows if row.decision == decision)
    return found


def pays(row: Row) -> dict[str, str]:
    return {one.name: one.pays for one in row.alternatives}


STRATEGIES = (
    raced("MiniBatch", seconds=1.0, lr=0.3),
    raced("FullBatch", seconds=3.0),
    raced("Amp", seconds=1.5, lr=0.3, dtype="bfloat16"),
    raced("Ddp", seconds=2.0, lr=0.3, world_size=2, threads=1),
)


def test_the_planted_best_is_used_and_each_strategy_stands_in_the_decision_that_it_is_about() -> None:
    card = card_of(*STRATEGIES)
    assert card.use is not None
    assert card.use.python == "MiniBatch(optimizer=Sgd(lr=0.3), batch_size=64)"
    assert card.use.workers == "1 process on 2 threads"
    assert card.use.reached == (6, 6)
    assert card.use.chance > 0.99
    assert (row(card, "strategy").any_of, pays(row(card, "strategy"))) == (("MiniBatch",), {"FullBatch": "no"})
    assert (row(card, "precision").any_of, pays(row(card, "precision"))) == (("float32",), {"bfloat16": "no"})
    assert pays(row(card, "workers")) == {"2 ranks on 1 thread each": "no"} or pays(row(card, "workers")) == {
        "2 ranks": "no"
    }
    assert row(card, "strategy").alternatives[0].takes.comparison.ratio == pytest.approx(3.0, rel=0.05)


def test_where_mixed_precision_is_the_fastest_it_is_used_and_float32_is_what_costs_more() -> None:
    card = card_of(raced("MiniBatch", seconds=1.0), raced("Amp", seconds=0.5, dtype="bfloat16"), STRATEGIES[1])
    assert card.use is not None
    assert card.use.python.startswith("Amp(")
    assert (row(card, "precision").chosen, pays(row(card, "precision"))) == ("bfloat16", {"float32": "no"})
    assert row(card, "strategy").chosen == "MiniBatch"


def test_a_tie_is_any_of_these_however_the_medians_lie() -> None:
    card = card_of(
        raced("MiniBatch", seconds=1.05, vary=1.4), raced("Online", seconds=1.0), raced("FullBatch", seconds=9.0)
    )
    found = row(card, "strategy")
    assert set(found.any_of) == {"MiniBatch", "Online"}
    assert found.seeds_wanted > 0


def of_sweep(vary: float = 1.0) -> list[Record]:
    """Return a sweep whose B=64 is what STRATEGIES ran; 256 is faster, and differs by ``vary`` from block to block."""
    # 10,000 (1 + B / 64) samples in steps of one length, whatever their batch: the largest is the fastest.
    found = swept((16, 64, 256), (0.1,), seconds_per_sample=0.0, spread=0.0, blocks=6)
    own = {"optimizer": {"name": "Sgd", "lr": 0.3}}
    found = [replace(r, hyperparameters=r.hyperparameters | own) for r in found if not r.search]
    factor = {block: vary if block % 2 else 1 / vary for block in range(6)}
    return [
        replace(r, curve=r.curve | {"seconds": [second * factor[r.block] for second in r.curve["seconds"]]})
        if "B256" in r.cell
        else r
        for r in found
    ]


def test_another_comparison_changes_the_choice_only_where_it_is_resolved_to_be_faster() -> None:
    card = card_of(*STRATEGIES, of_sweep())
    assert card.use is not None
    assert "batch_size=256" in card.use.python
    assert row(card, "batch size").chosen == "B=256"
    card = card_of(*STRATEGIES, of_sweep(vary=3.0))
    assert card.use is not None
    assert "batch_size=64" in card.use.python
    assert "B=256" in row(card, "batch size").any_of


def test_what_missed_the_target_is_not_used_and_says_how_often() -> None:
    card = card_of(raced("MiniBatch", seconds=1.0, missed=(2,)), raced("FullBatch", seconds=3.0))
    assert card.use is not None
    assert card.use.python.startswith("FullBatch(")
    (one,) = row(card, "strategy").alternatives
    assert one.note == "reached the target in 5 of 6 trials"


def test_where_nothing_reached_the_target_there_is_no_configuration_and_a_reason() -> None:
    card = card_of(raced("MiniBatch", seconds=1.0, missed=tuple(range(6))))
    assert (card.use, card.rows) == (None, ())
    assert card.why_not == "no configuration reached the target in every trial"


def test_memory_is_that_of_whole_processes() -> None:
    card = card_of(raced("MiniBatch", seconds=1.0, memory=50.0), raced("FullBatch", seconds=3.0, memory=250.0))
    found = row(card, "memory")
    assert found.value.median == pytest.approx(150e6, rel=0.02)  # 100 MB lay there before
    assert pays(found) == {"FullBatch": "no"}


def test_steps_alone_say_where_lower_precision_and_more_workers_pay() -> None:
    run = results(precisions({(64, 32): 2.0, (1024, 512): 0.5}), ranks({1: 1.0, 2: 1.1}, threads={1: 1.0, 2: 1.9}))
    (card,) = cards(run)
    assert card.workload == ""
    assert pays(row(card, "precision")) == {"bfloat16, digits-64 B=32": "no", "bfloat16, digits-1024 B=512": "yes"}
    assert row(card, "workers").chosen == "1 process on 2 threads"
    assert pays(row(card, "workers"))["2 ranks, digits"] == "no"


def test_everything_that_was_tried_is_there_once_and_the_default_is_marked() -> None:
    run = results(*STRATEGIES, raced("MiniBatch", seconds=5.0, lr=0.1, workload="digits", comparison="optimizers"))
    (card,) = cards(run)
    tried = everything_tried(run, card)
    assert [one.role for one in tried] == ["chosen", "", "", "", "default"]
    assert [len(one.trials) for one in tried] == [6] * 5
    same = results(*STRATEGIES, raced("MiniBatch", seconds=1.0, lr=0.3, comparison="optimizers"))
    assert [len(one.trials) for one in everything_tried(same, cards(same)[0])] == [12, 6, 6, 6]


def test_a_run_without_a_race_has_no_card() -> None:
    assert cards(results()) == []


def test_what_was_tried_alone_is_used_and_decides_nothing() -> None:
    card = card_of(raced("MiniBatch", seconds=1.0))
    assert card.use is not None
    assert card.rows == ()


def test_what_did_not_run_in_a_race_is_compared_with_its_cells_by_anchors() -> None:
    """The size that was chosen is not of the sweep: the row is about it, and its rivals' verdicts stand in a family."""
    sizes = [(16, 4.0, None), (128, 1.05, 1.3)]
    sweep = [
        raced(f"B{b}", seconds=s, batch_size=b, vary=v, comparison="critical_batch", lr=0.3, score_along=True)
        for b, s, v in sizes
    ]
    sweep = [[replace(record, trainer="MiniBatch") for record in records] for records in sweep]
    anchors = [
        replace(record, trial=f"{comparison}#{record.block}", cell="anchor", comparison=comparison)
        for comparison in ("strategies", "critical_batch")
        for record in raced("anchor", seconds=0.2, score_along=True)
    ]
    run = replace(results(*STRATEGIES, *sweep), anchors=tuple(anchors))
    found = row(cards(run)[0], "batch size")
    assert found.chosen == "B=64"
    assert pays(found) == {"B=16": "no", "B=128": "undecided"}
    assert found.alternatives[0].takes.comparison.ratio == pytest.approx(4.0, rel=0.1)


def test_the_rate_is_told_of_the_very_optimizer_that_was_chosen() -> None:
    """SGD with momentum is of the same class, and its rates are other ones."""

    def searched(momentum: float) -> list[Record]:
        return [
            replace(r, hyperparameters=r.hyperparameters | {"optimizer": {"name": "Sgd", "lr": rate, **settings}})
            for r in swept((64,), (0.01, 0.03, 0.1), spread=0.0)
            for rate, settings in [(r.hyperparameters["optimizer"]["lr"], {"momentum": momentum} if momentum else {})]
        ]

    decisions = [[found.decision for found in card_of(*STRATEGIES, searched(m)).rows] for m in (0.0, 0.9)]
    assert ["learning rate" in each for each in decisions] == [True, False]
