"""Three convolutions, the first of stride 2, and a linear layer: [n, 3, 32, 32] -> [n, 10]; 33,834 parameters."""

from torch import nn


def three_layers(width=16):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 4 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * width, 10),
    )
