"""Ragged texts to tell apart: which package of Python's standard library does a paragraph of documentation belong to?

Nothing is downloaded: the paragraphs are those of the docstrings of six packages that every Python has. They belong to
the Python that runs, and differ a little between versions; compare scores within one. CPython 3.11.7's make 1,807
training paragraphs and 731 held-out ones, of 5 to 64 words, 18 on average.

Modules are dealt out whole, so that the held-out paragraphs are about something else, and a paragraph that stands in
several counts once, where it stands first.
"""

import ast
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from paceline.bench.workloads.characters import Block
from paceline.bench.workloads.workload import Workload

PACKAGES = ("asyncio", "email", "importlib", "multiprocessing", "unittest", "xml")
FEWEST, MOST = 5, 64  # words of a paragraph; those of a longer one beyond these are left off
PADDING, UNKNOWN = 0, 1  # in place of words
WORDS = 2_000  # of the vocabulary: the most frequent ones of the training paragraphs
HELD_OUT = (2, 4)  # of each five modules of a package, the longest first


def paragraphs(module: Path) -> Iterator[tuple[str, ...]]:
    """Yield the words of each paragraph of the docstrings in the file ``module``, its calls and signs left out."""
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                words = re.findall(r"[a-z]+", paragraph.lower())
                if len(words) >= FEWEST:
                    yield tuple(words[:MOST])


@cache
def texts() -> tuple[list[tuple[tuple[str, ...], int]], list[tuple[tuple[str, ...], int]]]:
    """Return the paragraphs for training and those held out, each with the number of its package."""
    library = Path(sysconfig.get_path("stdlib"))
    seen: set[tuple[str, ...]] = set()
    train: list[tuple[tuple[str, ...], int]] = []
    held_out: list[tuple[tuple[str, ...], int]] = []
    for number, package in enumerate(PACKAGES):
        modules = [list(paragraphs(file)) for file in sorted((library / package).rglob("*.py"))]
        for place, module in enumerate(sorted(modules, key=len, reverse=True)):
            new = [words for words in dict.fromkeys(module) if words not in seen]
            seen.update(new)
            part = held_out if place % 5 in HELD_OUT else train
            part += [(words, number) for words in new]
    return train, held_out


def padded_texts() -> tuple[Tensor, ...]:
    """Return texts, int64 ``[N, 64]``, each padded to that length once and for all, and their packages, int64 ``[N]``.

    For training and held out, in an order that is drawn at random, always the same.
    """
    train, held_out = texts()
    counted = Counter(word for words, _ in train for word in words)
    numbers = {word: number for number, (word, _) in enumerate(counted.most_common(WORDS), UNKNOWN + 1)}
    order, found = torch.Generator().manual_seed(0), list[Tensor]()
    known: set[tuple[int, ...]] = set()
    for part in (train, held_out):
        packages: dict[tuple[int, ...], int] = {}
        for words, package in part:
            row = tuple(numbers.get(word, UNKNOWN) for word in words)
            if row not in known:  # texts that differ in unknown words only are one
                known.add(row)
                packages[row] = package
        x = torch.tensor([row + (PADDING,) * (MOST - len(row)) for row in packages])
        drawn = torch.randperm(len(x), generator=order)
        found += [x[drawn], torch.tensor(list(packages.values()))[drawn]]
    return tuple(found)


def lengths(x: Tensor) -> Tensor:
    """Return how many words each text has, int64 ``[B]``."""
    return (x != PADDING).sum(dim=1)


class BiLstm(nn.Module):
    """Embedding, a bidirectional LSTM that ends with each text, a dense layer: ``[B, T] -> [B, 6]``."""

    def __init__(self, width: int = 64) -> None:
        """Build the layers, each direction ``width`` wide."""
        super().__init__()
        self.words = nn.Embedding(UNKNOWN + 1 + WORDS, width, padding_idx=PADDING)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.dense = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, len(PACKAGES)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.words(x), lengths(x).cpu(), batch_first=True, enforce_sorted=False
        )
        _, (last, _) = self.lstm(packed)  # [2, B, width]: where each direction ended
        return self.dense(torch.cat([last[0], last[1]], dim=1))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """A Transformer encoder that sees no padding, and the mean of what it says of each word: ``[B, T] -> [B, 6]``."""

    def __init__(self, layers: int = 2, heads: int = 4, width: int = 64) -> None:
        """Build so many blocks, their attention of so many heads."""
        super().__init__()
        self.words = nn.Embedding(UNKNOWN + 1 + WORDS, width, padding_idx=PADDING)
        self.positions = nn.Parameter(torch.zeros(MOST, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, len(PACKAGES))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        is_word = x != PADDING
        hidden = self.words(x) + self.positions[: x.shape[1]]
        for block in self.blocks:
            hidden = block(hidden, is_word[:, None, None, :])
        summed = (self.norm(hidden) * is_word[:, :, None]).sum(dim=1)
        return self.last(summed / is_word.sum(dim=1, keepdim=True))  # type: ignore[no-any-return]


# The most frequent package is that of 0.3 of the held-out paragraphs.
TEXT_BILSTM = Workload(name="text-bilstm", model=BiLstm, data=padded_texts, target=0.4, tokens=lengths)
TEXT_ENCODER = Workload(name="text-encoder", model=Encoder, data=padded_texts, target=0.4, tokens=lengths)
