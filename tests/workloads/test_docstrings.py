"""Ragged texts: real paragraphs, none in two parts, and padding that changes nothing."""

import pytest
import torch

from paceline.bench.workloads import find_workload
from paceline.bench.workloads.docstrings import FEWEST, MOST, PACKAGES, PADDING, WORDS, lengths, padded_texts, texts

NAMES = ("text-bilstm", "text-encoder")


def test_each_package_has_paragraphs_of_both_kinds_and_none_is_in_two_parts():
    parts = texts()
    train, held_out = ({words for words, _ in part} for part in parts)
    assert not train & held_out
    assert [len(train), len(held_out)] == [len(part) for part in parts]
    for part in parts:
        assert {package for _, package in part} == set(range(len(PACKAGES)))
    assert len(train) > 1000


def test_texts_are_ragged_and_padded_behind():
    x, y, held_out_x, held_out_y = padded_texts()
    assert (x.shape[1], held_out_x.shape[1], len(y), len(held_out_y)) == (MOST, MOST, len(x), len(held_out_x))
    found = lengths(x)
    assert found.min() == FEWEST
    assert found.max() == MOST
    assert len(found.unique()) > 40
    for row, length in zip(x[:100], found[:100], strict=True):
        assert (row[:length] != PADDING).all()
        assert (row[length:] == PADDING).all()
    assert x.max() == WORDS + 1
    assert len({row.numpy().tobytes() for row in (*x, *held_out_x)}) == len(x) + len(held_out_x)
    assert torch.equal(padded_texts()[0], x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(name, training):
    """A text alone and cut to its own length has the logits that it has in a batch of longer ones."""
    torch.manual_seed(0)
    model = find_workload(name).model().double().train(training)
    x = torch.randint(2, WORDS + 2, (4, 30))
    for row, length in zip(x, (30, 5, 17, 1), strict=True):
        row[length:] = PADDING
    together = model(x)
    assert together.shape == (4, len(PACKAGES))
    for row, length, logits in zip(x, (30, 5, 17, 1), together, strict=True):
        torch.testing.assert_close(model(row[None, :length])[0], logits)


@pytest.mark.parametrize("name", NAMES)
def test_every_word_counts(name):
    torch.manual_seed(0)
    model = find_workload(name).model()
    x = torch.randint(2, WORDS + 2, (1, 20))
    for place in range(20):
        changed = x.clone()
        changed[0, place] = x[0, place] % WORDS + 2
        assert not torch.equal(model(changed), model(x))


@pytest.mark.parametrize(("name", "parameters"), [("text-bilstm", 203_334), ("text-encoder", 232_710)])
def test_the_models_have_their_sizes(name, parameters):
    assert sum(p.numel() for p in find_workload(name).model().parameters()) == parameters
