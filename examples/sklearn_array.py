"""Arrays as scikit-learn has them, with three parts of one's own making and a weight for the rarer class."""

import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from torch import nn

from paceline.bench import Workload

WEIGHTS = torch.tensor([1.0, 0.8, 1.5])  # of the three classes


def load():
    x, y = load_wine(return_X_y=True)
    x, rest, y, rest_y = train_test_split(x, y, test_size=0.5, random_state=0, stratify=y)
    halves = train_test_split(rest, rest_y, test_size=0.5, random_state=0, stratify=rest_y)
    validation, test, validation_y, test_y = halves
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    x, validation, test = (((part - mean) / deviation).astype("float32") for part in (x, validation, test))
    return x, y, validation, validation_y, test, test_y


def weighted(outputs, classes):
    return nn.functional.cross_entropy(outputs, classes, weight=WEIGHTS.to(outputs.device), reduction="none")


WINES = Workload(
    name="wines",
    model=lambda: nn.Sequential(nn.Linear(13, 16), nn.Tanh(), nn.Linear(16, 3)),
    data=load,
    loss=weighted,  # each sample's loss times its weight,
    weight=lambda classes: WEIGHTS.to(classes.device)[classes],  # and the mean is over the sum of weights
    target=0.93,
)
