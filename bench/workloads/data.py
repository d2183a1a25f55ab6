"""A workload's samples, in three parts: those trained on, those that decide, and those that judge.

Those trained on may be tensors, arrays that are mapped from files larger than memory, a ``Dataset`` or a stream. The
other two are in memory, for they are gone over again and again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import torch
from torch import Tensor

from paceline.bench.workloads.mapped_files import MAPPED, as_tensor, described, opened
from paceline.trainers.samples import (
    FromDataset,
    InMemory,
    Source,
    Stream,
    Tree,
    at,
    length,
    mapped,
    split,
    tensors,
    together,
)

# Samples of a dataset that are held out are put together so many at a time.
PUT_TOGETHER = 128


def at_random(n: int, count: int) -> Tensor:
    """Return the indices of ``count`` of ``n`` samples at random, always the same; of all where there are fewer."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:count].sort().values


class Samples(NamedTuple):
    """Some of a workload's samples: inputs ``x`` and targets ``y``, trees of ``[N, ...]``."""

    x: Tree
    y: Tree

    @property
    def n(self) -> int:
        """How many there are."""
        return length(self.y)

    def to(self, device: torch.device) -> "Samples":
        """Return them on ``device``."""
        return Samples(*mapped(lambda tensor: tensor.to(device), tuple(self)))

    def at(self, index: Tensor | slice) -> "Samples":
        """Return those at ``index``."""
        return Samples(at(self.x, index), at(self.y, index))

    def split(self, size: int) -> Iterator["Samples"]:
        """Yield ``size`` of them at a time, the last of what is left."""
        return split(self, size)

    def source(self, device: torch.device) -> Source:
        """Return them as a task takes them; what is mapped from a file stays there, and is moved by the batch."""
        stays = any(described(tensor) is not None for tensor in tensors(tuple(self)))
        return InMemory(*(self if stays else self.to(device)), device)


@dataclass(frozen=True)
class OfDataset:
    """Samples that a ``torch.utils.data.Dataset`` gives, one at a time."""

    dataset: Any
    collate: Callable[[list[Any]], tuple[Tree, Tree]] | None = None
    workers: int = 0

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.dataset)

    def at(self, index: Tensor | slice) -> Samples:
        """Return those at ``index``, read now and by this process."""
        return Samples(*FromDataset(self.dataset, torch.device("cpu"), self.collate)[index])

    def source(self, device: torch.device) -> Source:
        """Return them as a task takes them."""
        return FromDataset(self.dataset, device, self.collate, self.workers)

    def all(self, chosen: Tensor) -> list[Samples]:
        """Return those at ``chosen``, read once: in one piece where they are of one shape, else in several."""
        source = FromDataset(self.dataset, torch.device("cpu"), self.collate, self.workers)
        parts = [Samples(x, y) for x, y in source.fetch(chosen.split(PUT_TOGETHER), ahead=True)]
        shapes = {tuple(tensor.shape[1:] for tensor in tensors(tuple(part))) for part in parts}
        return [Samples(*together([tuple(part) for part in parts]))] if len(shapes) == 1 else parts


@dataclass(frozen=True)
class OfStream:
    """Samples that come one by one; ``samples`` begins anew."""

    samples: Callable[[], Any]
    collate: Callable[[list[Any]], tuple[Tree, Tree]] | None = None
    n: None = None

    def at(self, index: Tensor | slice) -> Samples:
        """Return as many as ``index`` has, from the beginning."""
        return Samples(*Stream(self.samples, torch.device("cpu"), self.collate)[index])

    def source(self, device: torch.device) -> Source:
        """Return them as a task takes them."""
        return Stream(self.samples, device, self.collate)


Train = Samples | OfDataset | OfStream


class Data(NamedTuple):
    """A workload's samples in three parts, so that what was chosen is not judged on what chose it.

    Attributes:
        train: what trainers see.
        validation: what decides: when a target is reached, when to stop, which learning rate is best. In one piece, or
            in several that are not of one shape.
        test: what a trained model's reported score is taken on, once, at its end; likewise.
    """

    train: Train
    validation: list[Samples]
    test: list[Samples]

    @classmethod
    def of(
        cls,
        built: tuple[Any, ...],
        collate: Callable[[list[Any]], tuple[Tree, Tree]] | None = None,
        workers: int = 0,
    ) -> "Data":
        """Return the parts of what ``Workload.data`` returned, its held-out samples halved where it gives one such set.

        The halves are drawn at random, always the same: the seeds of a search and those of a comparison must not share
        a sample between what chooses and what judges.
        """
        first, *rest = built
        if is_tree(first):
            train: Train = Samples(*mapped_arrays(built[:2]))
            rest = list(built[2:])
        elif is_dataset(first):
            train = OfDataset(first, collate, workers)
        else:
            train = OfStream(first if callable(first) else first.__iter__, collate)
        if is_tree(rest[0]):
            held_out = [Samples(*mapped_arrays(tuple(rest[k : k + 2]))) for k in range(0, len(rest), 2)]
            parts = [[part] for part in (held_out if len(held_out) == 2 else halves(held_out[0]))]
        else:
            sets = [OfDataset(part, collate, workers) for part in rest]
            everything = [torch.arange(part.n) for part in sets]
            chosen = everything if len(sets) == 2 else halved(sets[0].n)
            parts = [part.all(which) for part, which in zip(sets * 2, chosen, strict=False)]
        return cls(train, *parts)

    def save(self, file: Path) -> None:
        """Write the parts to ``file``: tensors, of mapped ones where they are found; and beside it what is neither."""
        held_out = [[tuple(part) for part in parts] for parts in self[1:]]
        if isinstance(self.train, Samples):
            torch.save([mapped(lambda tensor: described(tensor) or tensor, tuple(self.train)), *held_out], file)
            return
        torch.save([None, *held_out], file)
        _beside(file).write_bytes(cloudpickle.dumps(self.train))

    @classmethod
    def load(cls, file: str | Path, mmap: bool = False) -> "Data":
        """Return what ``save`` wrote to ``file``."""
        train, *held_out = torch.load(file, weights_only=True, mmap=mmap)
        parts = [[Samples(*part) for part in parts] for parts in held_out]
        if train is None:  # from our own parent, who had it from the user
            return cls(cloudpickle.loads(_beside(Path(file)).read_bytes()), *parts)
        return cls(Samples(*(_opened(part) for part in train)), *parts)


def _beside(file: Path) -> Path:
    return file.with_suffix(".pickled")


def _opened(tree: Any) -> Tree:
    if isinstance(tree, tuple) and tree and tree[0] == MAPPED:
        return opened(tree)
    if isinstance(tree, dict):
        return {name: _opened(part) for name, part in tree.items()}
    return type(tree)(_opened(part) for part in tree) if isinstance(tree, list | tuple) else tree


def halves(held_out: Samples) -> list[Samples]:
    """Return the two halves of a held-out set."""
    return [held_out.at(which) for which in halved(held_out.n)]


def halved(n: int) -> list[Tensor]:
    """Return the indices of the two halves of ``n`` samples."""
    drawn = torch.zeros(n, dtype=torch.bool)
    drawn[at_random(n, n // 2)] = True
    return [drawn.nonzero().flatten(), (~drawn).nonzero().flatten()]


def is_tree(value: Any) -> bool:
    """Return whether ``value`` is a tensor, an array, or a dict, list or tuple of such."""
    if isinstance(value, dict):
        return bool(value) and all(map(is_tree, value.values()))
    if isinstance(value, list | tuple):
        return bool(value) and all(map(is_tree, value))
    return isinstance(value, Tensor | np.ndarray)


def is_dataset(value: Any) -> bool:
    """Return whether ``value`` has samples to be asked for by their number."""
    return hasattr(value, "__getitem__") and hasattr(value, "__len__")


def mapped_arrays(trees: tuple[Any, ...]) -> list[Tree]:
    """Return ``trees`` with tensors in place of arrays; those of mapped arrays are mapped likewise."""
    return [_with_tensors(tree) for tree in trees]


def _with_tensors(tree: Any) -> Tree:
    if isinstance(tree, np.ndarray):
        return as_tensor(tree)
    if isinstance(tree, dict):
        return {name: _with_tensors(part) for name, part in tree.items()}
    return type(tree)(map(_with_tensors, tree)) if isinstance(tree, list | tuple) else tree
