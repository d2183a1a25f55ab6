"""A comparison: its cells, how many blocks of them to run, and in which order their trials run."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from paceline.bench.harness.rate_search import Search
from paceline.bench.harness.trial import Trial
from paceline.bench.records.anchors import ANCHOR, ANCHOR_OF_SEARCHES

# What a comparison is made of: trials, and searches for the rate at which to make them.
Cells = Mapping[str, Trial | Search]


@dataclass
class Comparison:
    """A benchmark's question.

    Attributes:
        name: of the benchmark.
        cells: what is compared, by name, what matters most first: where time is short it is the last that go.
        blocks: how often.
        left_out: why a cell cannot be run here, by its name.
        anchor: what runs once in each block beside the cells, and once in each turn of the searches but the
            last, which the first block follows; see ``harness.anchor``.
        fewer: in how many of the blocks, the first ones, the cells of a workload are that is not in all, by its name.
    """

    name: str
    cells: Cells
    blocks: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    anchor: Trial | None = None
    fewer: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return how many trials it takes, those of searches and anchors included."""
        return sum(count for _, count in self.trials().values())

    def trials(self) -> dict[str, tuple[Trial, int]]:
        """Return what each cell runs, the anchor's among them, and in how many trials, those of its search included."""
        found = {
            name: (trial_of(cell), self.blocks_of(name) + (len(cell) if isinstance(cell, Search) else 0))
            for name, cell in self.cells.items()
        }
        if self.anchor is not None:
            found[ANCHOR] = self.anchor, self.blocks
            found[ANCHOR_OF_SEARCHES] = self.anchor, max(0, self.turns() - 1)
        return found

    def blocks_of(self, cell: str) -> int:
        """Return in how many blocks ``cell`` is."""
        return min(self.blocks, self.fewer.get(trial_of(self.cells[cell]).workload.name, self.blocks))

    def turns(self) -> int:
        """Return in how many turns rates are searched."""
        return max((1 + cell.refinements for cell in self.cells.values() if isinstance(cell, Search)), default=0)


def trial_of(cell: Trial | Search) -> Trial:
    """Return what a cell runs, at whatever rate if that is to be searched."""
    return cell.trial if isinstance(cell, Search) else cell


def schedule(comparison: str, cells: Iterable[str], blocks: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Yield (block, position, cell) in the order in which trials run: every cell once a block, shuffled.

    The order is that of a block's own number, whichever blocks ran before it.
    """
    cells = list(cells)
    for block in blocks:
        order = cells.copy()
        random.Random(f"{comparison} {block}").shuffle(order)
        for position, cell in enumerate(order):
            yield block, position, cell
