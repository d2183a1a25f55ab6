"""Where samples come from: memory, files that are mapped into it, a ``Dataset``, a stream. A strategy never knows.

Whatever the source, a strategy that draws the same order gets the same batches.
"""

import itertools
import multiprocessing as mp
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

# A tensor, or a dict, list or tuple of trees; what a model or a loss takes. Tensors of a batch have ``[B, ...]``.
Tree = Any

# Which samples make a batch: int64 ``[B]`` on the CPU, or a slice, which in memory is no copy.
Index = Tensor | slice


def mapped(function: Callable[[Tensor], Any], tree: Tree) -> Tree:
    """Return ``tree`` with ``function`` of each tensor in its place; what is neither tensor nor container is kept."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {name: mapped(function, part) for name, part in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(mapped(function, part) for part in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(mapped(function, part) for part in tree)
    return tree


def tensors(tree: Tree) -> list[Tensor]:
    """Return the tensors of ``tree``, in order."""
    found: list[Tensor] = []
    mapped(found.append, tree)
    return found


def at(tree: Tree, index: Index) -> Tree:
    """Return the samples of ``tree`` at ``index``; at a slice nothing is copied."""
    if not isinstance(tree, Tensor):
        return mapped(lambda tensor: at(tensor, index), tree)
    # Not tree[index]: to take 64 of 4,000 images of 784 pixels took 20 us so on one core, and 6.5 us this way.
    return tree.index_select(0, index) if isinstance(index, Tensor) else tree[index]


def length(tree: Tree) -> int:
    """Return the number of samples in ``tree``."""
    return len(tree) if isinstance(tree, Tensor) else len(tensors(tree)[0])


def split(tree: Tree, size: int) -> Iterator[Tree]:
    """Yield ``size`` samples of ``tree`` at a time, the last of what is left."""
    for start in range(0, length(tree), size):
        yield at(tree, slice(start, start + size))


def together(trees: list[Tree]) -> Tree:
    """Return the samples of ``trees``, which are alike, one after the other in one tree."""
    columns = iter([torch.cat(column) for column in zip(*map(tensors, trees), strict=True)])
    return mapped(lambda _: next(columns), trees[0])


class Batch:
    """The samples of one step, or this rank's share: ``x, y = batch`` gives inputs and targets, ``[B, ...]``."""

    def __init__(
        self,
        x: Tree,
        y: Tree,
        samples: int,
        weight: Callable[[Tree], Tensor] | None = None,
        world_size: int = 1,
    ) -> None:
        """Take a share ``x, y`` of a batch that holds ``samples`` over all ranks."""
        self._x, self._y = x, y
        self._samples, self._weight, self._world_size = samples, weight, world_size
        self._total: Tensor | None = None

    def __iter__(self) -> Iterator[Tree]:
        """Yield ``x`` and ``y``."""
        return iter((self._x, self._y))

    def __len__(self) -> int:
        """Return the number of samples, over all ranks."""
        return self._samples

    @property
    def weight(self) -> Tensor | int:
        """What the sum of all losses of the batch is divided by to be their mean, over all ranks.

        The number of samples, unless the task weighs them: then the sum of their weights, which each rank knows of its
        own share only, and asks the others.
        """
        if self._weight is None:
            return self._samples
        if self._total is None:
            _, y = self
            self._total = self._weight(y).sum()
            if self._world_size > 1:
                dist.all_reduce(self._total)
        return self._total

    def split(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        """Yield ``x`` and ``y`` of ``size`` samples at a time, the last of what is left."""
        return split((self._x, self._y), size)


class Picked(Batch):
    """A batch that is still where all samples are: what is taken of it is copied then, and no more than that."""

    def __init__(self, source: "InMemory", index: Tensor, weight: Callable[[Tree], Tensor] | None) -> None:
        """Take the samples at ``index`` of ``source``."""
        self._source, self._index = source, index
        self._samples, self._weight, self._world_size, self._total = len(index), weight, 1, None

    def __iter__(self) -> Iterator[Tree]:
        """Yield ``x`` and ``y``."""
        return iter(self._source[self._index])

    def split(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        """Yield ``x`` and ``y`` of ``size`` samples at a time, the last of what is left."""
        return map(self._source.__getitem__, self._index.split(size))


class Source(Protocol):
    """Samples that an order of them turns into batches.

    Attributes:
        waited: seconds in which a step stood still for want of samples.
    """

    waited: float

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def __getitem__(self, index: Index) -> tuple[Tree, Tree]:
        """Return inputs and targets of the samples at ``index``, on the task's device."""
        ...

    def fetch(self, order: Iterable[Index], ahead: bool) -> Iterator[tuple[Tree, Tree]]:
        """Yield inputs and targets of the samples at each index of ``order``, read ahead of need if it may be."""
        ...


class InMemory:
    """Trees of tensors ``[N, ...]``: on the task's device, or on the CPU (mapped files too) and moved by the batch."""

    waited = 0.0  # indexing is work of the step

    def __init__(self, x: Tree, y: Tree, device: torch.device) -> None:
        """Take samples, and where they are needed."""
        self.x, self.y, self._device = x, y, device
        self._there = all(tensor.device == device for tensor in tensors((x, y)))
        self._plain = self._there and device.type == "cpu" and isinstance(x, Tensor) and isinstance(y, Tensor)

    def __len__(self) -> int:
        """Return the number of samples."""
        return length(self.y)

    def __getitem__(self, index: Index) -> tuple[Tree, Tree]:
        """Return the samples at ``index``."""
        if self._plain and isinstance(index, Tensor):  # what follows says the same, and takes longer
            return self.x.index_select(0, index), self.y.index_select(0, index)
        if self._there and isinstance(index, Tensor):
            index = index.to(self._device, non_blocking=True)
        found = at(self.x, index), at(self.y, index)
        return found if self._there else moved(found, self._device)

    def fetch(self, order: Iterable[Index], ahead: bool) -> Iterator[tuple[Tree, Tree]]:
        """Yield the samples at each index."""
        return map(self.__getitem__, order)


class FromDataset:
    """A ``torch.utils.data.Dataset`` of ``(x, y)``, read by ``workers`` processes ahead of need, or by this one.

    A dataset with ``__getitems__`` is asked for a batch at a time. Processes are started once, not once an epoch.
    """

    def __init__(
        self,
        dataset: Any,
        device: torch.device,
        collate: Callable[[list[Any]], tuple[Tree, Tree]] | None = None,
        workers: int = 0,
    ) -> None:
        """Take a dataset, where its samples are needed, and what makes a batch of a list of them."""
        self.dataset, self._device, self._collate, self._workers = dataset, device, collate, workers
        self.waited = 0.0

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getitem__(self, index: Index) -> tuple[Tree, Tree]:
        """Return the samples at ``index``, read now."""
        return next(self._batches([index], workers=0))

    def fetch(self, order: Iterable[Index], ahead: bool) -> Iterator[tuple[Tree, Tree]]:
        """Yield the samples at each index, in that order, however many processes read them."""
        return self._batches(order, self._workers if ahead else 0)

    def _batches(self, order: Iterable[Index], workers: int) -> Iterator[tuple[Tree, Tree]]:
        with warnings.catch_warnings():
            # More workers than cores: how many are enough is what is asked, of each number alike.
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            loader = DataLoader(
                self.dataset,
                batch_sampler=_Numbers(order, len(self.dataset)),
                num_workers=workers,
                collate_fn=self._collate,
                pin_memory=self._device.type == "cuda",
                # As everywhere on Linux; a process that a server has forked would ask that server, and pickle the data.
                multiprocessing_context="fork" if workers and "fork" in mp.get_all_start_methods() else None,
            )
            batches = iter(loader)
        while True:
            began = time.perf_counter()
            try:
                batch = next(batches, None)
            except Exception as error:
                told = _in_one_line(error)
                if told is error:
                    raise
                raise told from error
            self.waited += time.perf_counter() - began
            if batch is None:
                return
            x, y = batch
            yield moved((x, y), self._device)


def _in_one_line(error: Exception) -> Exception:
    """Return what a process that reads samples failed of, whose own account has many lines."""
    said = str(error).strip()
    if "DataLoader worker (pid" in said:
        return RuntimeError(
            "a process that reads samples died: killed for memory, or ended by what the dataset calls (with workers=0 "
            "the trial reads them itself)"
        )
    if said.startswith("Caught "):  # in a worker; the last line of its traceback says what
        return RuntimeError(f"a sample could not be read: {said.splitlines()[-1]}")
    return error


class _Numbers:
    """An order of batches as a ``DataLoader`` takes it: lists of numbers."""

    def __init__(self, order: Iterable[Index], samples: int) -> None:
        self._order, self._samples = order, samples

    def __iter__(self) -> Iterator[list[int]]:
        for index in self._order:
            yield index.tolist() if isinstance(index, Tensor) else list(range(*index.indices(self._samples)))


class Stream:
    """Samples that come one by one, ``(x, y)`` each, in an order that is theirs; there is no second look.

    An index says how many are taken, and nothing else.

    Attributes:
        waited: see ``Source``.
        taken: samples so far.
        ended: whether there are no more.
    """

    def __init__(
        self,
        samples: Callable[[], Iterable[tuple[Tree, Tree]]],
        device: torch.device,
        collate: Callable[[list[Any]], tuple[Tree, Tree]] | None = None,
    ) -> None:
        """Take what begins the stream anew, and where its samples are needed."""
        self.begin, self._device, self.collate = samples, device, collate or default_collate
        self.waited, self.taken, self.ended = 0.0, 0, False

    def __len__(self) -> int:
        """Raise: nobody knows.

        Raises:
            TypeError: always; one line.
        """
        raise TypeError("a stream has no length: take its samples as they come, task.batches(size)")

    def __getitem__(self, index: Index) -> tuple[Tree, Tree]:
        """Return as many samples as ``index`` has, from the beginning."""
        return next(self.fetch([index], ahead=False))

    def fetch(self, order: Iterable[Index], ahead: bool) -> Iterator[tuple[Tree, Tree]]:
        """Yield as many samples as each index has; at the end what is left, and no more.

        Raises:
            ValueError: if all are asked for.
        """
        coming, self.taken, self.ended = iter(self.begin()), 0, False
        for index in order:
            if isinstance(index, slice) and index.stop is None:
                raise ValueError("a stream has no whole that a step could take in: full batch needs samples that stay")
            wanted = len(index) if isinstance(index, Tensor) else index.stop - (index.start or 0)
            began = time.perf_counter()
            samples = list(itertools.islice(coming, wanted))
            self.waited += time.perf_counter() - began
            self.taken += len(samples)
            if not samples:
                self.ended = True
                return
            x, y = self.collate(samples)
            yield moved((x, y), self._device)


def moved(batch: tuple[Tree, Tree], device: torch.device) -> tuple[Tree, Tree]:
    """Return ``batch`` on ``device``; to a GPU from memory that is pinned, so that the copy waits for nothing."""
    if device.type == "cpu":
        return batch

    def to_device(tensor: Tensor) -> Tensor:
        pinned = tensor if tensor.is_pinned() or tensor.device.type != "cpu" else tensor.pin_memory()
        return pinned.to(device, non_blocking=True)

    x, y = mapped(to_device, batch)
    return x, y
