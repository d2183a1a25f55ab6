"""A module that holds its own loss, as Lightning's do: what Paceline needs of it is its forward pass and that loss."""

import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from paceline.bench import Workload


class Module(nn.Module):
    """What a project already has, ``training_step`` and all."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x).squeeze(1)

    @staticmethod
    def loss(outputs, targets):
        return nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")

    def training_step(self, batch):
        x, y = batch
        return self.loss(self(x), y).mean()


def load():
    x, y = (torch.as_tensor(part).float() for part in load_breast_cancer(return_X_y=True))
    x = (x - x[:400].mean(dim=0)) / x[:400].std(dim=0)
    return x[:400], y[:400], x[400:], y[400:]


def share_right(outputs, targets):
    return ((outputs > 0) == (targets > 0)).double().mean().item()


TUMOURS = Workload(name="tumours", model=Module, data=load, loss=Module.loss, score=share_right, target=0.96)
