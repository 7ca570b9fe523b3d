"""The common model: the plan names the function below, and gives it its arguments."""

from torch import Tensor, nn


class Residual(nn.Module):
    """x + f(x), with batch norm and dropout."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def network(inputs: int, classes: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, width), Residual(width), Residual(width), nn.Linear(width, classes))
