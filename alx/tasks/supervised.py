"""A Task out of a model, a data set and a loss: mini-batches in a seeded order, losses summed in float64.

Knows tensors and data sets; knows no file and no plan. An existing PyTorch script needs about three edits: the loss
with `reduction="none"`, the model behind a function, and the loop gone.
"""

from collections.abc import Callable, Sized
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset, default_collate

from alx.errors import ConfigError
from alx.learning.task import LossSum, Task, Trainer
from alx.tasks.objective import Loss, Score, accuracy

EVALUATION_BATCH = (
    512  # samples at once when nothing is kept for a backward pass; not the plan's, so sums do not depend on it
)


def batch(data: Dataset[Any], indices: Tensor) -> tuple[Tensor, Tensor]:
    """The samples at `indices` as (inputs [n, …], targets [n, …]).

    Raises:
        ConfigError: a sample is no pair of (input, target).
    """
    if isinstance(data, TensorDataset):
        found: Any = [t[indices.to(t.device)] for t in data.tensors]
    elif hasattr(data, "samples_at"):
        found = data.samples_at(indices)
    else:
        found = default_collate([data[i] for i in indices.tolist()])
    if not isinstance(found, (list, tuple)) or len(found) != 2 or not all(isinstance(t, Tensor) for t in found):  # noqa: PLR2004
        got = f"{len(found)} parts" if isinstance(found, (list, tuple)) else f"a {type(found).__name__}"
        raise ConfigError(
            f"a sample of the data set has {got}, expected (input, target), each a tensor or a number",
            "wrap the data set in one whose __getitem__ returns such a pair",
        )
    inputs, targets = found
    return inputs, targets


def size(data: Dataset[Any]) -> int:
    """Number of samples.

    Raises:
        ConfigError: there are none, or they cannot be counted.
    """
    try:
        count = len(cast("Sized", data))
    except TypeError as error:
        raise ConfigError(
            f"the data set, a {type(data).__name__}, has no length", "a loss is a sum over samples that can be counted"
        ) from error
    if count < 1:
        raise ConfigError("the data set holds no samples", "look at the data's path in site.toml")
    return count


class MiniBatches:
    """The trainer of a supervised task: every sample once an epoch, in an order of its own seed.

    Args:
        model: trained in place.
        seed: of the order.
        data: the site's own.
        loss: one loss a sample.
        optimiser: makes an optimiser of the parameters.
        batch_size: samples a step; the last batch of an epoch may be smaller. A single sample left over joins the batch
            before it, as batch norm cannot train on one.
        device: where batches go.
    """

    def __init__(
        self,
        model: nn.Module,
        seed: int,
        data: Dataset[Any],
        loss: Loss,
        optimiser: Callable[[Any], torch.optim.Optimizer],
        batch_size: int,
        device: torch.device,
    ) -> None:
        self._model, self._data, self._loss = model, data, loss
        self._batch_size, self._device = batch_size, device
        self._optimiser = optimiser(model.parameters())
        self._generator = torch.Generator().manual_seed(seed)
        self._order = torch.empty(0, dtype=torch.int64)
        self._at = 0

    def step(self) -> float:
        """One optimiser step on the next batch; returns its mean loss."""
        if self._at >= len(self._order):
            self._order = torch.randperm(size(self._data), generator=self._generator)
            self._at = 0
        end = self._at + self._batch_size
        left_over = self._batch_size > 1 and len(self._order) - end == 1
        indices = self._order[self._at : end + left_over]
        self._at += len(indices)
        inputs, targets = (t.to(self._device) for t in batch(self._data, indices))
        self._optimiser.zero_grad(set_to_none=True)
        loss = self._loss(self._model(inputs), targets).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Optimiser, order, place in it, and the generator of the orders to come."""
        return {
            "optimiser": self._optimiser.state_dict(),
            "order": self._order,
            "at": self._at,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._optimiser.load_state_dict(state["optimiser"])
        self._order, self._at = state["order"], state["at"]
        self._generator.set_state(state["generator"])


def supervised(
    model: Callable[[], nn.Module],
    data: Dataset[Any],
    loss: Loss,
    optimiser: Callable[[Any], torch.optim.Optimizer],
    *,
    batch_size: int = 64,
    held_out: Dataset[Any] | None = None,
    score: Score = accuracy,
    device: str | torch.device = "cpu",
) -> Task:
    """Make a Task of a supervised problem.

    Args:
        model: a function that makes the model; weights drawn from torch's global random state.
        data: the site's own samples, each (input, target); a TensorDataset is indexed without a loop, and so is a
            data set with a method `samples_at(indices) -> (inputs, targets)`.
        loss: one loss a sample, float [n]; `nn.CrossEntropyLoss(reduction="none")` for example. Where a sample has
            several numbers, [n, …], its loss is their mean.
        optimiser: `lambda parameters: torch.optim.Adam(parameters, lr=1e-3)` for example.
        batch_size: samples a step.
        held_out: samples kept apart; their mean score is shown, and never sent.
        score: (outputs, targets) -> a score for each sample, higher is better.
        device: where the model and the batches live.

    Raises:
        ConfigError: the data set is empty or cannot be counted; when used, a sample is no (input, target), or the loss
            gives no number for each sample.
    """
    place = torch.device(device)
    count = size(data)
    kept = 0 if held_out is None else size(held_out)

    def total(net: nn.Module, where: Dataset[Any], samples: int, what: Loss) -> float:
        out = torch.zeros((), dtype=torch.float64)
        for at in range(0, samples, EVALUATION_BATCH):
            indices = torch.arange(at, min(at + EVALUATION_BATCH, samples))
            inputs, targets = (t.to(place) for t in batch(where, indices))
            values = what(net(inputs), targets)
            if values.ndim == 0 or len(values) != len(indices):
                raise ConfigError(
                    f"the loss gives a tensor of shape {list(values.shape)} for {len(indices)} samples, "
                    f"expected one number for each",
                    'make it with reduction="none"',
                )
            # to the CPU first: some accelerators have no float64
            out += values.reshape(len(indices), -1).cpu().to(torch.float64).mean(1).sum()
        return float(out)

    def trainer(net: nn.Module, seed: int) -> Trainer:
        return MiniBatches(net, seed, data, loss, optimiser, batch_size, place)

    def held_out_score(net: nn.Module) -> float:
        return total(net, cast("Dataset[Any]", held_out), kept, score) / kept

    return Task(
        new_model=lambda: model().to(place),
        trainer=trainer,
        measure=lambda net: LossSum(total(net, data, count, loss), count),
        held_out=None if held_out is None else held_out_score,
    )
