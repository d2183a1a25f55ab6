"""A character language model of English technical prose: the topics of Python's own ``help()``. Nothing is downloaded.

The text belongs to the Python that runs, and differs a little between versions: ``text_sha256`` tells which it is, and
each run's ``environment.json`` holds it. Losses are nats per character; compare them within one text only.

CPython 3.11.7's has 372,990 characters, which make 5,244 training sequences; 3.13.0's has a tenth more.
"""

import hashlib
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from paceline.bench.workloads.workload import Workload, evaluating

# Fixed, so that the model has the same size under every Python: what is not in it is left out of the text.
ALPHABET = "\n" + "".join(map(chr, range(32, 127)))
CONTEXT = 64  # characters a sequence
# What ``text_sha256`` gives under some versions of CPython.
SHA256 = {
    "3.11.7": "46f217c967240ab9e14636a9af462f87ccc58f2830feacf84d77bbaa1b7b1410",
    "3.12.1": "288060bd8cf78837ae3f176f47d4f27def76ffeaed4f15757f7c56a19366e4a8",
    "3.13.0": "6b57d8069bc189f4e46a8e48c79ec6ecb47f65fb6ed111855cd34ab3ba945961",
}
HELD_OUT = 512  # sequences, every other one for validation; each evaluation takes all of those


def text() -> str:
    """Return the help topics in the alphabet's characters, in order of their names, each paragraph once.

    Topics repeat paragraphs of each other: 8.5 % of the held-out sequences would otherwise stand in the training text.
    """
    from pydoc_data.topics import topics

    known = set(ALPHABET)
    whole = "\n\n".join(topics[name] for name in sorted(topics))
    paragraphs = dict.fromkeys("".join(filter(known.__contains__, whole)).split("\n\n"))
    return "\n\n".join(paragraphs)


def text_sha256() -> str:
    """Return the SHA-256 of the text, in hexadecimal."""
    return hashlib.sha256(text().encode()).hexdigest()


def sequences() -> tuple[Tensor, ...]:
    """Return sequences of 64 characters, int64 ``[N, 64]``, and what follows each of them, int64 ``[N, 64]``.

    They do not overlap. The first nine tenths of the text are for training; 256 sequences each for validation and for
    testing are spread evenly over the rest, which is about other topics.
    """
    code = {character: i for i, character in enumerate(ALPHABET)}
    codes = torch.tensor([code[character] for character in text()])
    count = (len(codes) - 1) // CONTEXT
    x = codes[: count * CONTEXT].view(count, CONTEXT)
    y = codes[1 : count * CONTEXT + 1].view(count, CONTEXT)
    train = count * 9 // 10
    held_out = torch.linspace(train, count - 1, HELD_OUT).long()
    validation, test = held_out[::2], held_out[1::2]
    return x[:train], y[:train], x[validation], y[validation], x[test], y[test]


class Block(nn.Module):
    """Self-attention, then a two-layer network, each added to what it was given; ``[B, T, width]`` both ways."""

    def __init__(self, width: int, heads: int) -> None:
        """Build the layers."""
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return ``x`` with what the layers add; each place sees those ``seen``, else none after itself."""
        batch, length, width = x.shape
        heads = self.queries_keys_values(self.norm_attention(x)).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # each [B, heads, T, width / heads]
        attended = nn.functional.scaled_dot_product_attention(q, k, v, seen, is_causal=seen is None)
        x = x + self.mix(attended.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm_mlp(x))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """A decoder, a GPT: characters ``[B, T]``, ``T`` up to ``CONTEXT`` -> logits of the next, ``[B, T, 96]``."""

    def __init__(self, layers: int, heads: int, width: int) -> None:
        """Build so many blocks, their attention of so many heads."""
        super().__init__()
        self.characters = nn.Embedding(len(ALPHABET), width)
        self.positions = nn.Parameter(torch.zeros(CONTEXT, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.last = nn.Linear(width, len(ALPHABET))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of the character after each."""
        hidden = self.characters(x) + self.positions[: x.shape[1]]
        return self.last(self.norm(self.blocks(hidden)))  # type: ignore[no-any-return]


def per_sequence_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of each sequence: ``(logits [B, T, C], characters [B, T]) -> [B]``, in nats."""
    return nn.functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none").mean(dim=1)


def nats_per_character(outputs: Tensor, targets: Tensor) -> float:
    """Return the mean cross-entropy over all characters: ``(logits [M, T, C], characters [M, T])``."""
    return per_sequence_loss(outputs, targets).double().mean().item()


def characters_of(x: Tensor) -> Tensor:
    """Return how many characters each sequence has, ``[B, T] -> [B]``."""
    return torch.full((len(x),), x.shape[1])


@torch.no_grad()
def continued(model: nn.Module, start: str, characters: int, seed: int = 0) -> str:
    """Return ``start`` with ``characters`` more, each drawn from what ``model`` expects after the last 64."""
    codes = torch.tensor([[ALPHABET.index(character) for character in start]])
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model):
        for _ in range(characters):
            expected = model(codes[:, -CONTEXT:])[:, -1].softmax(dim=1)
            codes = torch.cat([codes, torch.multinomial(expected, 1, generator=generator)], dim=1)
    return "".join(ALPHABET[code] for code in codes[0].tolist())


# A uniform guess has a loss of ln 96 = 4.56; knowing how frequent each character is, 3.23.
CHARACTERS = Workload(
    name="characters",
    model=partial(Transformer, layers=2, heads=4, width=64),
    data=sequences,
    target=2.3,
    loss=per_sequence_loss,
    score=nats_per_character,
    higher_is_better=False,
    tokens=characters_of,
)

# 826,208 parameters, for a CPU, and 85,252,704 for a GPU.
CHAR_GPT = replace(CHARACTERS, name="char-gpt", model=partial(Transformer, layers=4, heads=4, width=128))
CHAR_GPT_M = replace(CHARACTERS, name="char-gpt-m", model=partial(Transformer, layers=12, heads=12, width=768))
