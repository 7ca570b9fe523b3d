"""A stem of stride 2, two residual blocks with batch norm, and a linear layer: [n, 3, 32, 32] -> [n, 10]."""

from torch import nn


class Block(nn.Module):
    """He et al., 2015, Fig. 2: two convolutions of 3 x 3 and what goes around them."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.around = nn.Conv2d(inputs, outputs, 1, stride=stride) if (inputs, stride) != (outputs, 1) else nn.Identity()

    def forward(self, x):
        return (self.around(x) + self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))).relu()


class Residual(nn.Module):
    """See `residual`."""

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(Block(width, width, 1), Block(width, 2 * width, 2))
        self.head = nn.Linear(2 * width, 10)

    def forward(self, x):
        return self.head(self.blocks(self.bn(self.conv(x)).relu()).mean((2, 3)))


def residual(width=16):
    return Residual(width)
