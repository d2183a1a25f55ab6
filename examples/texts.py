"""Texts, padded and masked, into a Hugging Face model: is a paragraph English or Python?

Needs ``transformers``. The model is a tiny one with random weights: nothing is downloaded.
"""

import argparse
import inspect
import pydoc
from pydoc_data.topics import topics

import torch
from torch import nn
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from paceline.bench import Workload


def paragraphs():
    """Return pairs of a paragraph's bytes and whether it is code: of texts of Python's help, and of its source."""
    texts = [(part, 0) for text in topics.values() for part in text.split("\n\n")]
    source = [(part, 1) for module in (argparse, inspect, pydoc) for part in inspect.getsource(module).split("\n\n")]
    parts = [(part, label) for part, label in [*texts[::2], *source] if len(part) > 20]
    order = torch.randperm(len(parts), generator=torch.Generator().manual_seed(0)).tolist()
    samples = [(torch.tensor(list(parts[k][0].encode())[:64]), parts[k][1]) for k in order]
    return samples[600:], samples[:600]


def padded(samples):
    """Return a batch of texts, as the model is called, and their classes."""
    ids = nn.utils.rnn.pad_sequence([text for text, _ in samples], batch_first=True)
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}, torch.tensor([label for _, label in samples])


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        small = {"dim": 32, "hidden_dim": 64, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 64}
        config = DistilBertConfig(vocab_size=256, **small)
        self.model = DistilBertForSequenceClassification(config)

    def forward(self, x):
        return self.model(**x).logits


HELP = Workload(name="help-texts", model=Classifier, data=paragraphs, collate=padded, target=0.9)
