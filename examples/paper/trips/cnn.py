"""Three convolutions, the first of stride 2, and a linear layer: [n, 3, 32, 32] -> [n, 10]; with batch norm or without."""

from torch import nn


def _block(inputs, outputs, stride, *, batch_norm):
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), *norm, nn.ReLU()]


def three_layers(width=16, *, batch_norm=False):
    return nn.Sequential(
        *_block(3, width, 2, batch_norm=batch_norm),
        *_block(width, 2 * width, 1, batch_norm=batch_norm),
        nn.MaxPool2d(2),
        *_block(2 * width, 4 * width, 1, batch_norm=batch_norm),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * width, 10),
    )
