"""The workloads on which an advisor's regret is measured, each with all rates and batch sizes that it may choose from.

All are cheap, so that every cell can be trained to its target: at its best one a workload takes a tenth of a second or
so. The first 14 are for developing an advisor. The last ten are held out: an advisor is frozen before they are run.

Where classes are told apart, the target is a mean cross-entropy of the validation samples. An accuracy of 500 samples
crosses a target by luck, and so many steps sooner or later that no seeds told a regret of 5 % from none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from torch import Tensor, nn

from paceline.bench.workloads import characters, docstrings, mnist1d
from paceline.bench.workloads.cnn import small_cnn
from paceline.bench.workloads.digits_stream import drifting_digits
from paceline.bench.workloads.fashion_mnist import clothes
from paceline.bench.workloads.few_digits import few_digits
from paceline.bench.workloads.least_squares import LeastSquares
from paceline.bench.workloads.mnist5k import digits, mlp
from paceline.bench.workloads.streaming_least_squares import streaming_least_squares
from paceline.bench.workloads.workload import Workload, mean_over_samples, per_sample_cross_entropy
from paceline.trainers import Adam, AdamW, Optimizer, Sgd

RATES, BATCH_SIZES = 8, 6  # of a grid
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Grid:
    """A workload and the cells to train it in.

    Attributes:
        workload: what is trained; its name is the grid's.
        optimizer: at the fourth of the rates, which are a factor of 2 apart.
        smallest: the smallest batch size, of six that are a factor of 2 apart.
    """

    workload: Workload
    optimizer: Optimizer
    smallest: int = 16

    @property
    def name(self) -> str:
        """What it is called."""
        return self.workload.name

    @property
    def rates(self) -> tuple[float, ...]:
        """All learning rates, rising."""
        return tuple(float(f"{self.optimizer.lr * 2.0**k:.4g}") for k in range(-3, RATES - 3))

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """All batch sizes, rising."""
        return tuple(self.smallest * 2**k for k in range(BATCH_SIZES))


@cache
def few_clothes(samples: int) -> tuple[Tensor, ...]:
    """Return the first ``samples`` images of clothes, 1,000 of the validation and 1,000 of the test images."""
    x, y, validation_x, validation_y, test_x, test_y = clothes()
    parts = x[:samples], y[:samples], validation_x[:1000], validation_y[:1000], test_x[:1000], test_y[:1000]
    return tuple(part.clone() for part in parts)  # the rest need not stay in memory


@cache
def few_sequences() -> tuple[Tensor, ...]:
    """Return the characters, of which 64 sequences are held out for each purpose."""
    x, y, *held_out = characters.sequences()
    return x, y, *(part[::4] for part in held_out)


def steady_stream() -> tuple[object, ...]:
    """Return the stream of digits, each drawn anew, that does not drift; and ``mnist5k``'s held-out digits."""
    return partial(drifting_digits, 1), *digits()[2:]


@cache
def signals() -> tuple[Tensor, ...]:
    """Return MNIST-1D, made once."""
    return mnist1d.signals()


@cache
def padded_texts() -> tuple[Tensor, ...]:
    """Return the paragraphs, put together once."""
    return docstrings.padded_texts()


@mean_over_samples
def nats(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean cross-entropy: ``(logits [M, C], classes [M])``."""
    return per_sample_cross_entropy(outputs, targets).double().mean().item()


def _classes(
    name: str, target: float, model: Callable[[], nn.Module], data: Callable[[], tuple[object, ...]] = digits
) -> Workload:
    return Workload(name=name, model=model, data=data, target=target, score=nats, higher_is_better=False)


def _mlp(*hidden: int) -> Callable[[], nn.Module]:
    return partial(mlp, 784, *hidden, 10)


def _characters(name: str, target: float, width: int) -> Workload:
    return Workload(
        name=f"characters-{name}",
        model=partial(characters.Transformer, layers=1, heads=2, width=width),
        data=few_sequences,
        target=target,
        loss=characters.per_sequence_loss,
        score=characters.nats_per_character,
        higher_is_better=False,
    )


class BagOfWords(nn.Module):
    """The mean of what each word says: ``[B, T] -> [B, 6]``."""

    def __init__(self, width: int) -> None:
        """Build the layers."""
        super().__init__()
        self.words = nn.Embedding(docstrings.UNKNOWN + 1 + docstrings.WORDS, width, padding_idx=docstrings.PADDING)
        self.last = nn.Linear(width, len(docstrings.PACKAGES))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        summed = self.words(x).sum(dim=1)
        return self.last(summed / docstrings.lengths(x)[:, None])  # type: ignore[no-any-return]


EASY = LeastSquares(features=63, noise=0.2)
NOISY = LeastSquares(features=31, noise=0.5)

CLOTHES, MORE_CLOTHES = partial(few_clothes, 5_000), partial(few_clothes, 10_000)

DEVELOPMENT = (
    Grid(streaming_least_squares(EASY, 1e-3, name="least-squares"), Sgd(0.1), smallest=4),
    Grid(_classes("digits-32-sgd", 0.36, _mlp(32)), Sgd(0.1)),
    Grid(_classes("digits-linear-adam", 0.40, _mlp()), Adam(2e-3)),
    Grid(_classes("digits-64-adam", 0.30, _mlp(64)), Adam(2e-3)),
    Grid(_classes("digits-64x64-momentum", 0.35, _mlp(64, 64)), Sgd(0.02, momentum=0.9)),
    Grid(_classes("few-digits-64-sgd", 0.50, _mlp(64), few_digits), Sgd(0.1), smallest=8),
    Grid(_classes("few-digits-128-adamw", 0.47, _mlp(128), few_digits), AdamW(2e-3), smallest=8),
    Grid(_classes("mnist1d-mlp-adam", 1.50, mnist1d.Mlp, signals), Adam(4e-3)),
    Grid(_classes("mnist1d-linear-sgd", 1.75, mnist1d.linear, signals), Sgd(0.2)),
    Grid(_classes("mnist1d-cnn-adam", 1.30, mnist1d.cnn, signals), Adam(4e-3)),
    Grid(_classes("clothes-32-sgd", 0.62, _mlp(32), CLOTHES), Sgd(0.05)),
    Grid(_classes("clothes-64x64-adam", 0.52, _mlp(64, 64), CLOTHES), Adam(2e-3)),
    Grid(_characters("32-adamw", 2.4, 32), AdamW(8e-3), smallest=8),
    Grid(_classes("texts-bag-adam", 1.40, partial(BagOfWords, 32), padded_texts), Adam(1e-2)),
)

HELD_OUT = (
    Grid(_classes("digits-cnn-adam", 0.30, small_cnn), Adam(4e-3), smallest=8),
    Grid(_classes("digits-stream-momentum", 0.40, _mlp(64), steady_stream), Sgd(0.02, momentum=0.9)),
    Grid(_classes("clothes-128-momentum", 0.55, _mlp(128), MORE_CLOTHES), Sgd(0.02, momentum=0.9)),
    Grid(_classes("mnist1d-mlp-momentum", 1.50, mnist1d.Mlp, signals), Sgd(0.05, momentum=0.9)),
    Grid(streaming_least_squares(NOISY, 2e-3, name="least-squares-noisy"), Sgd(0.01), smallest=4),
    Grid(_classes("digits-256-adamw", 0.28, _mlp(256)), AdamW(1e-3)),
    Grid(_classes("few-digits-cnn-momentum", 0.60, small_cnn, few_digits), Sgd(0.01, momentum=0.9), smallest=8),
    Grid(_classes("texts-bag-adamw", 1.42, partial(BagOfWords, 64), padded_texts), AdamW(4e-3)),
    Grid(_classes("digits-32x32x32-adam", 0.45, _mlp(32, 32, 32)), Adam(4e-3)),
    Grid(_classes("clothes-linear-adam", 0.56, _mlp(), CLOTHES), Adam(1e-3)),
)

GRIDS = {grid.name: grid for grid in DEVELOPMENT + HELD_OUT}


def find_grid(name: str) -> Grid:
    """Return the grid of that name.

    Raises:
        ValueError: one line, if there is none.
    """
    if name not in GRIDS:
        raise ValueError(f"unknown grid {name!r}: known are {', '.join(GRIDS)}")
    return GRIDS[name]
