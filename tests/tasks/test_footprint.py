"""What a model is and what a step takes: numbers by hand, and times that are those of the trainer itself."""

import dataclasses
import time

import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx.tasks import footprint, supervised


class Half(nn.Module):
    """4 x 3 + 3 numbers that stay, 3 x 2 + 2 that are trained; batch norm: 6 trained, and beside them 3, 3 and a count."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 3).requires_grad_(requires_grad=False)
        self.norm = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.norm(self.base(x)))


def task():
    data = TensorDataset(torch.randn(20, 4), torch.arange(20) % 2)
    loss = nn.CrossEntropyLoss(reduction="none")
    return supervised(Half, data, loss, lambda parameters: torch.optim.SGD(parameters, lr=0.1), batch_size=10)


def test_a_models_numbers_are_counted():
    found = footprint.of(task(), 0)
    assert (found.parameters, found.trained, found.buffers) == (29, 14, 7)
    assert found.state == 29 * 4 + 6 * 4 + 8  # float32, and the count of batches is an int64
    assert found.tensors == 9
    assert found.device == "cpu"


class Slow:
    """A trainer whose first two steps take longer, as a compiler's would, and each other 20 ms."""

    def __init__(self, trainer):
        self._trainer, self.steps = trainer, 0

    def step(self):
        self.steps += 1
        time.sleep(0.5 if self.steps <= 2 else 0.02)
        return self._trainer.step()


def test_a_step_takes_what_the_trainers_step_takes_without_the_first_ones():
    quick, made = task(), []

    def trainer(model, seed):
        made.append(Slow(quick.trainer(model, seed)))
        return made[-1]

    found = footprint.of(dataclasses.replace(quick, trainer=trainer), 0)
    assert 0.02 <= found.seconds < 0.5
    assert made[0].steps == footprint.WARM + footprint.TRIED
