"""A Task out of a model, a data set and a loss: mini-batches in a seeded order, losses summed in float64.

Knows tensors and data sets; knows no file and no plan. An existing PyTorch script needs about three edits: the loss
with `reduction="none"`, the model behind a function, and the loop gone.
"""

from collections.abc import Callable, Mapping, Sized
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset, default_collate

from alx.errors import ConfigError
from alx.learning.task import LossSum, Task, Trainer

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs [n, …], targets [n, …]) -> losses [n], one a sample, at least 0 unless the plan says `loss = "own"`."""

EVALUATION_BATCH = 512  # samples at once when nothing is kept for a backward pass


def batch(data: Dataset[Any], indices: Tensor) -> tuple[Tensor, Tensor]:
    """The samples at `indices` as (inputs [n, …], targets [n, …])."""
    if isinstance(data, TensorDataset):
        inputs, targets = (t[indices.to(t.device)] for t in data.tensors)
        return inputs, targets
    many = getattr(data, "take", None)
    if many is not None:
        inputs, targets = many(indices)
        return inputs, targets
    inputs, targets = default_collate([data[i] for i in indices.tolist()])
    return inputs, targets


class MiniBatches:
    """The trainer of a supervised task: every sample once an epoch, in an order of its own seed.

    Args:
        model: trained in place.
        seed: of the order.
        data: the site's own.
        loss: one loss a sample.
        optimiser: makes an optimiser of the parameters.
        batch_size: samples a step; the last batch of an epoch may be smaller.
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
            self._order = torch.randperm(len(cast("Sized", self._data)), generator=self._generator)
            self._at = 0
        indices = self._order[self._at : self._at + self._batch_size]
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


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """1 for each sample whose class was found, else 0: float64 [n]. One logit a sample means two classes."""
    found = outputs.argmax(1) if outputs.ndim > 1 and outputs.shape[1] > 1 else (outputs.reshape(-1) > 0).long()
    return (found == targets.reshape(-1)).to(torch.float64)


def supervised(
    model: Callable[[], nn.Module],
    data: Dataset[Any],
    loss: Loss,
    optimiser: Callable[[Any], torch.optim.Optimizer],
    *,
    batch_size: int = 64,
    held_out: Dataset[Any] | None = None,
    score: Callable[[Tensor, Tensor], Tensor] = accuracy,
    device: str | torch.device = "cpu",
) -> Task:
    """Make a Task of a supervised problem.

    Args:
        model: a function that makes the model; weights drawn from torch's global random state.
        data: the site's own samples, each (input, target); a TensorDataset is indexed without a loop, and so is a
            data set with a method `take(indices) -> (inputs, targets)`.
        loss: one loss a sample, float [n]; `nn.CrossEntropyLoss(reduction="none")` for example.
        optimiser: `lambda parameters: torch.optim.Adam(parameters, lr=1e-3)` for example.
        batch_size: samples a step.
        held_out: samples kept apart; their mean score is shown, and never sent.
        score: (outputs, targets) -> a score for each sample, higher is better.
        device: where the model and the batches live.

    Raises:
        ConfigError: the data set is empty, or the loss gives no number for each sample.
    """
    place = torch.device(device)
    count = len(cast("Sized", data))
    if count < 1:
        raise ConfigError("the data set holds no samples", "look at the data's path in site.toml")

    def total(net: nn.Module, where: Dataset[Any], what: Loss) -> float:
        out = torch.zeros((), dtype=torch.float64)
        size = len(cast("Sized", where))
        for at in range(0, size, EVALUATION_BATCH):
            indices = torch.arange(at, min(at + EVALUATION_BATCH, size))
            inputs, targets = (t.to(place) for t in batch(where, indices))
            values = what(net(inputs), targets)
            if values.ndim == 0 or len(values) != len(indices):
                raise ConfigError(
                    f"the loss gives a tensor of shape {list(values.shape)} for {len(indices)} samples, "
                    f"expected one number for each",
                    'make it with reduction="none"',
                )
            out += values.reshape(len(indices), -1).to(torch.float64).mean(1).sum().cpu()
        return float(out)

    def trainer(net: nn.Module, seed: int) -> Trainer:
        return MiniBatches(net, seed, data, loss, optimiser, batch_size, place)

    def held_out_score(net: nn.Module) -> float:
        kept = cast("Dataset[Any]", held_out)
        return total(net, kept, score) / len(cast("Sized", kept))

    return Task(
        new_model=lambda: model().to(place),
        trainer=trainer,
        measure=lambda net: LossSum(total(net, data, loss), count),
        held_out=None if held_out is None else held_out_score,
    )


def losses(name: str) -> Loss:
    """The plan's `loss` by its name, one value a sample.

    Args:
        name: cross_entropy (class numbers), binary_cross_entropy (0 or 1 against one logit), or mse.
    """
    table: Mapping[str, Loss] = {
        "cross_entropy": lambda out, y: nn.functional.cross_entropy(out, y, reduction="none"),
        "binary_cross_entropy": lambda out, y: nn.functional.binary_cross_entropy_with_logits(
            out.reshape(len(y), -1).squeeze(1), y.to(out.dtype), reduction="none"
        ),
        "mse": lambda out, y: nn.functional.mse_loss(
            out.reshape(len(y), -1), y.to(out.dtype).reshape(len(y), -1), reduction="none"
        ).mean(1),
    }
    return table[name]


def optimisers(name: str, options: Mapping[str, Any]) -> Callable[[Any], torch.optim.Optimizer]:
    """The plan's optimiser by its name: adam, adamw or sgd, with torch.optim's options."""
    kind: Any = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[name]
    return lambda parameters: cast("torch.optim.Optimizer", kind(parameters, **options))
