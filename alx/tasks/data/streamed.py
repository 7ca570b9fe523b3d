"""Pictures that are decoded when they are asked for, ahead of time where it is known which come next: they need not fit.

Knows pixels, a listing and workers; knows no model. Which pictures make a batch is the trainer's to say: no buffer mixes
them, so the order is the plan's, and the same with any number of workers.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alx.errors import ConfigError
from alx.plan import Images
from alx.tasks.data.images import NormalisedImages
from alx.tasks.data.listing import Listing
from alx.tasks.data.samples import CPU, Inputs
from alx.tasks.data.workers import Workers

if TYPE_CHECKING:
    from concurrent.futures import Future

AHEAD = 2  # batches that are decoded before they are asked for, as torch's DataLoader has for each worker
TOGETHER = 1024  # pictures decoded at once where all are read
SHARE = 0.25  # of the memory at hand that pixels may fill: training takes more than they do
MEMINFO = Path("/proc/meminfo")


class Loading(NamedTuple):
    """How a site reads pictures.

    Attributes:
        workers: processes beside this one.
        in_memory: whether all pixels are held; None: where they fit in `SHARE` of the memory at hand.
        kept: the folder where listings are kept, or None.
    """

    workers: int = 0
    in_memory: bool | None = None
    kept: Path | None = None


PLAIN = Loading()


class Streamed:
    """Pictures of a listing; `Held` and `Pixels`, though what they hold is names.

    Args:
        listing: all pictures.
        rows: which of them these are, int64 [n].
        images: the plan's account of an input; its size is set.
        workers: that decode.
    """

    inputs: Inputs = "pixels"
    home, nbytes = CPU, 0  # batches are moved one by one

    def __init__(self, listing: Listing, rows: Tensor, images: Images, workers: Workers) -> None:
        self._listing, self._rows, self._images, self._workers = listing, rows, images, workers
        self.targets = torch.from_numpy(listing.labels).index_select(0, rows)
        none = torch.empty(0, images.channels, *(images.size or (1, 1)), dtype=torch.uint8)
        self._scaled = NormalisedImages(none, self.targets[:0], images.mean, images.std)
        self._next: Iterator[Tensor] = iter(())
        self._begun: deque[tuple[Tensor, list[Future[Any]]]] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    def to(self, _device: torch.device) -> "Streamed":
        """See `Samples`: they stay where they are."""
        return self

    def part(self, indices: Tensor) -> "Streamed":
        """See `Held`."""
        return Streamed(self._listing, self._rows.index_select(0, indices), self._images, self._workers)

    def ahead(self, batches: Iterable[Tensor]) -> None:
        """See `samples.ahead`."""
        self._begun.clear()
        self._next = iter(batches) if self._workers.count else iter(())
        self._begin()

    def _begin(self) -> None:
        while len(self._begun) < AHEAD and (indices := next(self._next, None)) is not None:
            self._begun.append((indices, self._workers.begin(self._files(indices))))

    def _files(self, indices: Tensor) -> list[Any]:
        return [self._listing[row] for row in self._rows.index_select(0, indices).tolist()]

    def _read(self, indices: Tensor) -> NDArray[np.uint8]:
        if not self._begun or not torch.equal(self._begun[0][0], indices):
            return self._workers.read(self._files(indices))
        made = self._workers.end(self._begun.popleft()[1])
        self._begin()
        return made

    def pixels_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """See `Pixels`."""
        # a clone, as grey pixels are contiguous both ways, and a convolution of the other way has other last bits
        pixels = torch.from_numpy(self._read(indices)).permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
        return pixels, self.targets.index_select(0, indices)

    def inputs_of(self, pixels: Tensor) -> Tensor:
        """See `Pixels`."""
        return self._scaled.inputs_of(pixels)

    def samples_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """See `Samples`."""
        pixels, targets = self.pixels_at(indices)
        return self.inputs_of(pixels), targets

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Held`; the pixels are decoded as they are sliced."""
        return cast("NDArray[Any]", _Sliced(self)), self.targets.numpy()


class _Sliced:
    """What `samples.digest` asks of an array."""

    dtype = np.dtype(np.uint8)

    def __init__(self, of: Streamed) -> None:
        self._of = of
        self.shape = (len(of), *(of._images.size or ()), of._images.channels)  # noqa: SLF001 - of this module

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, rows: Any) -> NDArray[np.uint8]:
        return self._of._read(torch.arange(len(self))[rows])  # noqa: SLF001 - of this module

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return np.array(self[:], dtype=dtype, copy=copy or None)


def read(listing: Listing, images: Images, loading: Loading = PLAIN) -> NormalisedImages | Streamed:
    """The pictures of a listing: held, or decoded as they are asked for.

    Raises:
        ConfigError: a picture that is held cannot be used.
    """
    size = images.size or (1, 1)
    count = loading.workers
    workers, takes = Workers(count, images.channels, size), len(listing) * size[0] * size[1] * images.channels
    if not (loading.in_memory if loading.in_memory is not None else takes <= SHARE * at_hand()):
        return Streamed(listing, torch.arange(len(listing)), images, workers)
    try:
        held = np.empty((len(listing), images.channels, *size), np.uint8)
    except MemoryError as error:
        raise ConfigError(
            f"the pixels of {len(listing):,} pictures take {takes:,} bytes of memory, more than there is",
            "leave in_memory out of [data] in site.toml: they are then decoded as they are asked for",
        ) from error
    coming: deque[tuple[int, list[Any]]] = deque()
    for at in range(0, len(listing), TOGETHER):
        files = [listing[i] for i in range(at, min(at + TOGETHER, len(listing)))]
        if not count:
            held[at : at + len(files)] = workers.read(files).transpose(0, 3, 1, 2)
            continue
        coming.append((at, workers.begin(files)))
        if len(coming) > AHEAD:
            _put(held, workers, *coming.popleft())
    for at, begun in coming:
        _put(held, workers, at, begun)
    return NormalisedImages(torch.from_numpy(held), torch.from_numpy(listing.labels), images.mean, images.std)


def _put(held: NDArray[np.uint8], workers: Workers, at: int, begun: list[Any]) -> None:
    made = workers.end(begun)
    held[at : at + len(made)] = made.transpose(0, 3, 1, 2)


def at_hand() -> int:
    """Bytes of memory that could be taken; where nobody says, more than any data."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return 1 << 62
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), 1 << 62)
