"""How the data of a task of one's own are dealt out to the two parties of `alx simulate`.

Knows data sets and the numbers of samples; knows neither plan nor split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from alx.errors import ConfigError, escape
from alx.tasks import code
from alx.tasks.data import samples

READ_AT_ONCE = 256  # samples whose inputs are held while only their targets are asked for


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to deal out.

    Attributes:
        data: as make_task gave them.
        labels: as it gave them, or None.
        columns: values of each sample by name.
    """

    data: Any
    labels: Any
    columns: Mapping[str, Any]

    def __len__(self) -> int:
        """How many samples."""
        return len(self.data)

    def column(self, name: str) -> NDArray[Any]:
        """The values of a column that is there, one a sample [n].

        Raises:
            ConfigError: there are more, or fewer.
        """
        return self._each(f"the column '{escape(name)}'", self.columns[name])

    def classes(self) -> NDArray[Any]:
        """The label of each sample [n] or [n, …]; where make_task did not give them, every sample is read.

        Raises:
            ConfigError: the samples are no pairs of (input, target), or there are more labels, or fewer.
        """
        if self.labels is not None:
            return self._each("labels", self.labels)
        return np.asarray(code.call("reading the labels of all samples", _targets, self.data))

    def _each(self, what: str, values: Any) -> NDArray[Any]:
        found = np.asarray(code.call(f"reading {what}", np.asarray, values))
        if found.shape[:1] != (len(self),):
            got = f"{what} of shape {list(found.shape)}"
            raise ConfigError(f"settings.dealt was given {got}, expected a value for each of {len(self)} samples")
        return found


def _targets(data: Any) -> NDArray[Any]:
    whole = samples.of(data)
    rows = torch.split(torch.arange(len(whole)), READ_AT_ONCE)
    return torch.cat([whole.samples_at(part)[1] for part in rows]).numpy()


class Dealt(Subset[Any]):
    """Some samples of a data set that is indexed without a loop, and so are they."""

    def samples_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(inputs, targets) at `indices`, int64 [n] on the CPU."""
        found: tuple[Tensor, Tensor] = self.dataset.samples_at(torch.as_tensor(self.indices)[indices])  # type: ignore[attr-defined]
        return found


@dataclass(slots=True)
class Deal:
    """What `Settings.dealt` asks in a simulation, once in each call of make_task.

    Attributes:
        rows: the numbers of the party's samples, ascending; None takes all.
        found: what was asked for.
    """

    rows: Sequence[int] | None = None
    found: Found | None = field(default=None, init=False)

    def __call__(self, data: Any, labels: Any, columns: Mapping[str, Any]) -> Any:
        """The party's part of the data, of the same kind where that can be.

        Raises:
            ConfigError: the data cannot be counted, or are none, or were asked for twice.
        """
        if self.found is not None:
            raise ConfigError(
                "make_task calls settings.dealt twice",
                "deal the samples out once, and take what is kept for validation from what it gives",
            )
        try:
            count = len(data)
        except TypeError as error:
            raise ConfigError(
                f"settings.dealt was given a {type(data).__name__}, which has no length", "give a data set, or a list"
            ) from error
        if count < 1:
            raise ConfigError("settings.dealt was given no samples", "all of them lie where make_task reads its own")
        self.found = Found(data, labels, columns)
        return data if self.rows is None else _part(data, self.rows)


def _part(data: Any, rows: Sequence[int]) -> Any:
    if isinstance(data, TensorDataset):
        return TensorDataset(*(tensor[torch.as_tensor(rows)] for tensor in data.tensors))
    if isinstance(data, (Tensor, np.ndarray)):
        return data[torch.as_tensor(rows) if isinstance(data, Tensor) else np.asarray(rows)]
    if isinstance(data, (list, tuple)):
        return type(data)(data[i] for i in rows)
    return (Dealt if hasattr(data, "samples_at") else Subset)(data, rows)
