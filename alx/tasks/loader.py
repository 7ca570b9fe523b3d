"""A user's data loader that can go on in the middle of an epoch: the epoch begins again, and what was taken is dropped.

Knows loaders and random states; knows no model. An epoch of torch's DataLoader follows from the random state that it begins
with: the order is drawn from it, and so are the seeds of the workers. So that state and a count of batches are all that is
saved, and going on costs the reading of those batches. What is drawn between batches (dropout, augmentation in this process)
is put back by whoever goes on: `alx.learning.trajectory.Run` does.
"""

import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from alx.errors import ConfigError, escape
from alx.learning.trajectory import random_state, set_random_state

# How far a data set is searched for generators: transforms in a Compose in a Subset's data set, a few at each level.
DEPTH, WIDTH = 6, 50
UNSAVED = (np.random.Generator, np.random.RandomState, random.Random)  # have no state that is written without pickling


class Loader:
    """What a loop goes over, epoch by epoch; whatever else is asked of it is the user's loader's.

    Args:
        loader: a DataLoader, or anything else that can be gone over again and again.
        seed: of the generators that a DataLoader was given; without one it draws from torch's global random state.

    Raises:
        ConfigError: it cannot be gone over again, or not in the same way.
    """

    def __init__(self, loader: Iterable[Any], seed: int) -> None:
        _refuse(loader)
        self._loader = loader
        self._generators = _generators(loader)
        for generator in self._generators:
            generator.manual_seed(seed)
        self._began: dict[str, Any] | None = None
        self._batches: Iterator[Any] = iter(())
        self._taken = 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # of a copy that is being made, which has no loader yet
            raise AttributeError(name)
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type] # as of the user's loader, with its error where it has none

    def __iter__(self) -> Iterator[Any]:
        # as a generator: torch's order is drawn with the first batch, and that has to be the same when going on
        self._begin({"random": random_state(), "generators": [g.get_state() for g in self._generators]})
        while True:
            try:
                batch = next(self._batches)
            except StopIteration:
                return
            self._taken += 1
            yield batch

    def _begin(self, began: dict[str, Any]) -> None:
        self._began, self._taken = began, 0
        self._batches = iter(self._loader)

    def place(self) -> dict[str, Any]:
        """How the epoch began, and how many batches of it were taken."""
        return {"began": self._began, "taken": self._taken}

    def go_to(self, place: dict[str, Any]) -> None:
        """Go on from `place()`: the epoch that a loop is in becomes that one. Moves the global random states.

        Raises:
            ConfigError: there are not as many batches any more.
        """
        if place["began"] is None:
            return
        set_random_state(place["began"]["random"])
        for generator, state in zip(self._generators, place["began"]["generators"], strict=True):
            generator.set_state(state)
        self._begin(place["began"])
        for _ in range(place["taken"]):
            if next(self._batches, self) is self:
                raise ConfigError(
                    f"the loader has {self._taken} batches, and {place['taken']} were taken before the interruption",
                    "go on with the data and the batch size that the turn was begun with",
                )
            self._taken += 1


def _generators(loader: object) -> list[torch.Generator]:
    """Those that a DataLoader draws its order from, where it has its own."""
    sampler, batches = getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)
    holders = (loader, sampler, batches, getattr(batches, "sampler", None))
    found = [getattr(holder, "generator", None) for holder in holders]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())


def _refuse(loader: object) -> None:
    kind = escape(type(loader).__name__)
    if isinstance(loader, Dataset) or not hasattr(loader, "__iter__"):
        raise ConfigError(f"loader is a {kind}, expected what gives batches", "DataLoader(data, batch_size=…) does")
    if isinstance(loader, Iterator):
        raise ConfigError(f"loader is a {kind}, which can be gone over once", "give what makes it: a DataLoader, or a list")
    if not isinstance(loader, DataLoader):
        return
    if loader.persistent_workers:
        raise ConfigError(
            "the loader has persistent_workers: what they draw follows from all the epochs before, and a turn that was "
            "interrupted could not go on as it would have",
            "leave persistent_workers out",
        )
    where = _held(loader.dataset, "dataset") if loader.num_workers == 0 else None
    if where is not None:
        raise ConfigError(
            f"the loader's {escape(where)} is a random generator of the data set's own, whose state nobody saves",
            "draw from torch's or NumPy's global one; or give the loader num_workers=1: each epoch's worker begins anew",
        )


def _held(value: object, where: str, depth: int = DEPTH) -> str | None:
    """Where a random generator lies in what a data set holds."""
    if isinstance(value, (torch.Generator, *UNSAVED)):
        return where
    if depth == 0 or isinstance(value, (torch.Tensor, np.ndarray, str, bytes, type)):
        return None
    inside: list[tuple[str, object]]
    if isinstance(value, dict):
        inside = [(f"{where}[{key!r}]", v) for key, v in list(value.items())[:WIDTH]]
    elif isinstance(value, (list, tuple)):
        inside = [(f"{where}[{i}]", v) for i, v in enumerate(value[:WIDTH])]
    else:
        inside = [(f"{where}.{name}", v) for name, v in list(getattr(value, "__dict__", {}).items())[:WIDTH]]
    return next((found for there, v in inside if (found := _held(v, there, depth - 1))), None)
