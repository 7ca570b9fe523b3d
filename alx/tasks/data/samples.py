"""The samples of a data set: how many, some of them by their indices, and where they lie.

Knows data sets and devices; knows no model, and no kind of data by its name. What a reader returns is `Held`; whatever a
user has is wrapped once, by `of`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset, default_collate

from alx.errors import ConfigError

SHARE = 0.5  # of what is free on a GPU that a data set may take: the rest is for the model and its activations
HASHED = 1024  # samples at once: pixels lie otherwise in memory than in an array, and are copied
CPU = torch.device("cpu")


Inputs = Literal["pixels", "numbers"]


@runtime_checkable
class Samples(Protocol):
    """As training and measuring ask for them.

    Attributes:
        home: where indices belong.
        nbytes: what `to` takes of a device's memory.
    """

    home: torch.device
    nbytes: int

    def __len__(self) -> int:
        """How many."""
        ...

    def samples_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(inputs [n, …], targets [n, …]) at `indices`, int64 [n] at `home`; of memory of their own."""
        ...

    def to(self, device: torch.device) -> Self:
        """The same on a device, where batches are then made; nothing is copied where they are there already."""
        ...


class Held(Samples, Protocol):
    """What a reader of a site's data returns: indexed without a loop, all of it at hand.

    Attributes:
        targets: of all samples, [n] or [n, …].
        inputs: what an input is made of.
    """

    targets: Tensor
    inputs: Inputs

    def part(self, indices: Tensor) -> Self:
        """Some of them, int64 [m] at `home`, in that order."""
        ...

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and targets as an .npz has them: pixels [n, height, width, channels], or numbers [n, …]."""
        ...


@runtime_checkable
class Pixels(Samples, Protocol):
    """Samples whose inputs are made of pixels as they are asked for: augmentation comes before that."""

    def pixels_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """As `samples_at`, with uint8 [n, channels, height, width] for inputs."""
        ...

    def inputs_of(self, pixels: Tensor) -> Tensor:
        """What the model takes, float32 of the same shape."""
        ...


class Tensors(TensorDataset):
    """Numbers: two tensors, inputs float32 [n, …] and targets [n] or [n, …]; `Held`."""

    inputs: Inputs = "numbers"

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        super().__init__(inputs, targets)
        self.targets, self.home, self.nbytes = targets, inputs.device, inputs.nbytes + targets.nbytes

    def samples_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """See `Samples`."""
        # several times as fast as tensors[0][indices] on a CPU
        return self.tensors[0].index_select(0, indices), self.targets.index_select(0, indices)

    def to(self, device: torch.device) -> Self:
        """See `Samples`."""
        return type(self)(*(t.to(device) for t in self.tensors))

    def part(self, indices: Tensor) -> Self:
        """See `Held`."""
        return type(self)(*(t.index_select(0, indices) for t in self.tensors))

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Held`."""
        return self.tensors[0].numpy(), self.targets.numpy()


class _Own:
    """A user's data set: asked for one sample after the other, or for a block where it has a `samples_at` itself."""

    home, nbytes = CPU, 0  # it stays where it is: its batches are moved one by one

    def __init__(self, data: Any) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def to(self, _device: torch.device) -> Self:
        return self

    def samples_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        block = hasattr(self._data, "samples_at")
        found = self._data.samples_at(indices) if block else default_collate([self._data[i] for i in indices.tolist()])
        if not isinstance(found, (list, tuple)) or len(found) != 2 or not all(isinstance(t, Tensor) for t in found):  # noqa: PLR2004
            got = f"{len(found)} parts" if isinstance(found, (list, tuple)) else f"a {type(found).__name__}"
            raise ConfigError(
                f"a sample of the data set has {got}, expected (input, target), each a tensor or a number",
                "wrap the data set in one whose __getitem__ returns such a pair",
            )
        inputs, targets = found
        # it may give what it keeps, and a model may write into it
        return (inputs.clone(), targets.clone()) if block else (inputs, targets)


def of(data: Samples | Dataset[Any]) -> Samples:
    """The samples of any data set.

    Args:
        data: `Samples`; a TensorDataset; one with `samples_at(indices)`; or any other that has a length.

    Raises:
        ConfigError: there are none, or they cannot be counted. When used: a sample is no pair of (input, target).
    """
    try:
        count = len(data)  # type: ignore[arg-type] # that is the question
    except TypeError as error:
        raise ConfigError(
            f"the data set, a {type(data).__name__}, has no length", "a loss is a sum over samples that can be counted"
        ) from error
    if count < 1:
        raise ConfigError("the data set holds no samples", "look at the data's path in site.toml")
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:  # noqa: PLR2004 - (input, target)
        return Tensors(*data.tensors)
    return data if isinstance(data, Samples) else _Own(data)


def placed(data: Samples, device: torch.device) -> Samples:
    """The samples on the device, unless they would take more than `SHARE` of a GPU's free memory."""
    if device.type == "cuda" and data.nbytes > SHARE * torch.cuda.mem_get_info(device)[0]:
        return data
    return data.to(device)


def digest(parts: Iterable[Held]) -> str:
    """The SHA-256, in hexadecimal, of samples with their labels, in their order.

    Args:
        parts: those that are trained on, and those that are measured.
    """
    found = hashlib.sha256()
    for part in parts:
        for array in part.arrays():
            found.update(f"{array.dtype.str} {array.shape}\n".encode())
            for at in range(0, len(array), HASHED):
                found.update(np.ascontiguousarray(array[at : at + HASHED]).data)
    return found.hexdigest()


def prints(data: Held) -> NDArray[np.uint64] | None:
    """A hash of each sample's input, [n]; None where pictures are decoded as they are asked for, and not for this alone."""
    inputs, _ = data.arrays()
    if not isinstance(inputs, np.ndarray):
        return None
    blocks = (np.ascontiguousarray(inputs[at : at + HASHED]) for at in range(0, len(inputs), HASHED))
    rows = (row for block in blocks for row in block)
    return np.frombuffer(b"".join(hashlib.blake2b(row, digest_size=8).digest() for row in rows), np.uint64)


def among(part: Held, own: NDArray[np.uint64] | None) -> NDArray[np.bool_] | None:
    """Which samples kept from training have the input of one that is trained on, byte for byte: the same one, or by chance.

    Args:
        part: those kept.
        own: `prints` of those trained on.

    Returns:
        Of each whether it has, [n]; None where nobody looked.
    """
    found = None if own is None else prints(part)
    return None if own is None or found is None else np.isin(found, own)


@runtime_checkable
class Ahead(Protocol):
    """Samples that are read ahead of time, where it is known which come next."""

    def ahead(self, batches: Iterable[Tensor]) -> None:
        """Begin to read these, in this order, each indices int64 [n] at `home`; what was told before is forgotten.

        Asking for others stays allowed, and changes nothing of what they are.
        """
        ...


def ahead(data: Samples, batches: Iterable[Tensor]) -> None:
    """Say which samples are asked for next; of those in memory nothing is to be read ahead."""
    if isinstance(data, Ahead):
        data.ahead(batches)


def moved(batch: Tensor, device: torch.device) -> Tensor:
    """A batch on the device; to a GPU from memory that it fetches by itself, without this process waiting for it."""
    if device.type == "cuda" and batch.device.type == "cpu":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


def first(data: Samples) -> tuple[Tensor, Tensor]:
    """One sample, as a batch."""
    return data.samples_at(torch.zeros(1, dtype=torch.int64, device=data.home))


def targets(data: Samples) -> Tensor:
    """The targets of all samples, on the CPU; where they are not at hand, samples are read for them."""
    held = getattr(data, "targets", None)
    if isinstance(held, Tensor):
        return held.cpu()
    rows = torch.arange(len(data), device=data.home)
    ahead(data, torch.split(rows, HASHED))
    return torch.cat([data.samples_at(part)[1].cpu() for part in torch.split(rows, HASHED)])


def copies(count: int, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """A batch as it was read, once for each of several models: a model, or a loss, may write into what it is given."""
    for _ in range(count - 1):
        yield inputs.clone(), targets.clone()
    yield inputs, targets
