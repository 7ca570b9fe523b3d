"""The samples of a data set: how many, a batch of them by their indices, and where they lie.

Knows data sets and devices; knows no model.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset, default_collate

from alx.errors import ConfigError
from alx.tasks.data.images import NormalisedImages

SHARE = 0.5  # of what is free on a GPU that a data set may take: the rest is for the model and its activations
CPU = torch.device("cpu")


def size(data: Dataset[Any]) -> int:
    """Number of samples.

    Raises:
        ConfigError: there are none, or they cannot be counted.
    """
    try:
        count = len(data)  # type: ignore[arg-type] # that is the question
    except TypeError as error:
        raise ConfigError(
            f"the data set, a {type(data).__name__}, has no length", "a loss is a sum over samples that can be counted"
        ) from error
    if count < 1:
        raise ConfigError("the data set holds no samples", "look at the data's path in site.toml")
    return count


def placed(data: Dataset[Any], device: torch.device) -> Dataset[Any]:
    """The data set on the device, so that a batch is made there; nothing is copied where it is there already.

    A data set that takes more than `SHARE` of a GPU's free memory stays where it is, and so does one of the user's own:
    their batches are moved one by one.
    """
    if isinstance(data, TensorDataset):
        tensors = data.tensors
    elif isinstance(data, NormalisedImages):
        tensors = (data.images, data.targets)
    else:
        return data
    if device.type == "cuda" and sum(t.nbytes for t in tensors) > SHARE * torch.cuda.mem_get_info(device)[0]:
        return data
    if isinstance(data, NormalisedImages):
        return data.to(device)
    return TensorDataset(*(t.to(device) for t in tensors))


def home(data: Dataset[Any]) -> torch.device:
    """Where the indices of `batch` belong."""
    if isinstance(data, TensorDataset):
        return data.tensors[0].device
    return data.images.device if isinstance(data, NormalisedImages) else CPU


def batch(data: Dataset[Any], indices: Tensor) -> tuple[Tensor, Tensor]:
    """Some samples.

    Args:
        data: a TensorDataset, one with `samples_at(indices)`, or any other, asked for one sample after the other.
        indices: int64 [n], where `home` says.

    Returns:
        (inputs [n, …], targets [n, …]), of memory of their own.

    Raises:
        ConfigError: a sample is no pair of (input, target).
    """
    if isinstance(data, TensorDataset):
        # several times as fast as data.tensors[0][indices] on a CPU
        found: Any = [t.index_select(0, indices) for t in data.tensors]
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
    if hasattr(data, "samples_at") and not isinstance(data, NormalisedImages):
        return inputs.clone(), targets.clone()  # a user's may give what it keeps, and a model may write into it
    return inputs, targets


def copies(count: int, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A batch as it was read, once for each of several models: a model, or a loss, may write into what it is given."""
    for _ in range(count - 1):
        yield inputs.clone(), targets.clone()
    yield inputs, targets
