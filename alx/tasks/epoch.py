"""Which samples an epoch takes, in which order and in which batches: each once, or each class equally often.

Knows labels and a generator; knows no sample. torch's WeightedRandomSampler draws classes equally often on the average of
many epochs; here they are so in each, and of a rare class no sample comes twice more often than another.
"""

import torch
from torch import Tensor

from alx.errors import ConfigError
from alx.tasks.data.samples import Samples


class Epochs:
    """The epochs of a turn, one after the other.

    Args:
        data: the turn's samples.
        seed: of the order; the numbers are drawn on the CPU, the same on every device.
        balanced: each class equally often, as many samples in all.

    Raises:
        ConfigError: `balanced`, and the labels are not at hand, or no classes.
    """

    def __init__(self, data: Samples, seed: int, *, balanced: bool) -> None:
        self._count = len(data)
        self._classes = by_class(data) if balanced else None
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self) -> Tensor:
        """The next epoch: indices of its samples, int64 [n] on the CPU."""
        if self._classes is None:
            return torch.randperm(self._count, generator=self._generator)
        return balanced(self._classes, self._generator)

    def state(self) -> Tensor:
        """The generator's, from which the epochs to come are drawn."""
        return self._generator.get_state()

    def go_on(self, state: Tensor) -> None:
        """Go on from `state()`."""
        self._generator.set_state(state)


def by_class(data: Samples) -> list[Tensor]:
    """The indices of each class's samples, int64 on the CPU; a label of 0 or 1 makes two classes.

    Raises:
        ConfigError: labels are not at hand, or a sample has several, or one that is no whole number.
    """
    labels: object = getattr(data, "targets", None)
    if not isinstance(labels, Tensor):
        raise ConfigError(
            "[training] balanced needs the labels of all samples at once, and the data set is asked for one at a time",
            "give a TensorDataset, or leave balanced out of the plan, on both sides",
        )
    flat = labels.cpu().reshape(len(labels), -1)
    if flat.shape[1] != 1 or (flat.is_floating_point() and bool((flat != flat.floor()).any())):
        got = f"{flat.shape[1]} labels a sample" if flat.shape[1] != 1 else "labels with a fraction"
        raise ConfigError(
            f"[training] balanced draws by class, and the data have {got}, expected one class number",
            "leave balanced out of the plan, on both sides",
        )
    _, places = torch.unique(flat[:, 0], return_inverse=True)
    order = torch.argsort(places, stable=True)
    return list(torch.split(order, torch.bincount(places).tolist()))


def next_batches(at: int, end: int, size: int, most: int) -> list[slice]:
    """The next batches of an epoch: at most so many, and none of a single sample where batches are larger.

    Args:
        at: samples of the epoch that were taken.
        end: samples of the epoch; more than `at`.
        size: of a batch.
        most: batches.
    """
    made: list[slice] = []
    while at < end and len(made) < most:
        stop = min(at + size, end)
        if size > 1 and end - stop == 1:
            stop = end
        made.append(slice(at, stop))
        at = stop
    return made


def balanced(classes: list[Tensor], generator: torch.Generator) -> Tensor:
    """An epoch in which no class comes more than once oftener than another; within a class likewise.

    Args:
        classes: indices of each class's samples.
        generator: decides which, and the order.

    Returns:
        As many indices as there are in all classes.
    """
    total = sum(map(len, classes))
    share, over = divmod(total, len(classes))
    more = torch.randperm(len(classes), generator=generator) < over
    drawn = [_repeated(rows, share + int(one), generator) for rows, one in zip(classes, more.tolist(), strict=True)]
    mixed = torch.cat(drawn)
    return mixed[torch.randperm(total, generator=generator)]


def _repeated(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of them: all as often as they go in, and some of them once more."""
    whole, left = divmod(count, len(rows))
    chosen = torch.randperm(len(rows), generator=generator)[:left]
    return torch.cat([rows.repeat(whole), rows[chosen]])
