"""Texts, padded and masked, into a Hugging Face model: is a paragraph of Python's help about its syntax or its types?

Needs ``transformers``. The model is a tiny one with random weights: nothing is downloaded.
"""

from pydoc_data.topics import topics

import torch
from torch import nn
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from paceline.bench import Workload

ABOUT_TYPES = ("types", "specialnames", "typesseq", "typesmapping", "strings", "customization", "objects")


def paragraphs():
    """Return pairs of a paragraph's bytes and whether it is about types."""
    samples = [
        (torch.tensor(list(part.encode())[:96]), int(name in ABOUT_TYPES))
        for name, text in sorted(topics.items())
        for part in text.split("\n\n")
        if len(part) > 20
    ]
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0)).tolist()
    samples = [samples[k] for k in order]
    return samples[600:3000], samples[:600]


def padded(samples):
    """Return a batch of texts, as the model is called, and their classes."""
    ids = nn.utils.rnn.pad_sequence([text for text, _ in samples], batch_first=True)
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}, torch.tensor([label for _, label in samples])


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        small = {"dim": 32, "hidden_dim": 64, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 96}
        config = DistilBertConfig(vocab_size=256, **small)
        self.model = DistilBertForSequenceClassification(config)

    def forward(self, x):
        return self.model(**x).logits


HELP = Workload(name="help-texts", model=Classifier, data=paragraphs, collate=padded, target=0.75)
