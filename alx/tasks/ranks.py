"""Several processes that are one site: rank 0 says what is done, and all of them do it (docs/ranks.md).

Knows torch.distributed, and tensors; knows no task, and no site. What one rank tells another is JSON, numbers and tensors:
nothing is unpickled that came over a socket.
"""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Self

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import distributed_c10d

from alx import errors
from alx.errors import AlxError, ConfigError, RanksError, escape
from alx.tasks.batchnorm import synchronise

# A rank that says nothing for so long is given up: torch's own limit for gloo. One that ended is noticed at once, as its
# connections close, so this is for a node without power, and must be longer than the slowest step, or than reading the data.
PATIENCE = timedelta(minutes=30)
IDLE_SECONDS = 60.0  # rank 0 says that it is still there as often, however long it reads, seals or waits for a passphrase
REASON_SECONDS = 3.0  # a rank says why it stops before its connections close; this is for a slow store
LOOK_SECONDS = 0.05  # between looks whether all ranks have answered: torch's own waiting would let no signal through
HINT = "the site is as it was; the same command goes on from its last checkpoint, with any number of ranks"
_FAILED, _ANSWER = "alx/failed", "alx/answer"


class Place(NamedTuple):
    """Which of the processes this one is, by what torchrun says."""

    rank: int
    world: int
    local_rank: int
    local_world: int


class Part(NamedTuple):
    """This rank's samples of a batch.

    Attributes:
        rows: never none, as not every layer takes none: of a batch with fewer samples than ranks the first, for nothing.
        share: of the batch; 0 where `rows` are for nothing.
    """

    rows: slice
    share: float


def part(batch: slice, rank: int, world: int) -> Part:
    """A batch split by index: the first ranks have one more where it does not come out even; none comes twice.

    Args:
        batch: at least one sample.
        rank: whose part.
        world: how many ranks there are.
    """
    count = batch.stop - batch.start
    each, over = divmod(count, world)
    own = each + (rank < over)
    start = batch.start + rank * each + min(rank, over)
    return Part(slice(start, start + own), own / count) if own else Part(slice(batch.start, batch.start + 1), 0.0)


def alone_on(place: Place) -> bool:
    """Whether all ranks are on this machine."""
    return place.local_world == place.world


class Ranks:
    """The process group that this process is in.

    Args:
        place: which one it is.
        store: where ranks leave word for each other.

    Raises:
        RanksError: the others do not come, or fewer GPUs are here than ranks.
    """

    def __init__(self, place: Place, store: Any) -> None:
        self.rank, self.world, self._store = place.rank, place.world, store
        self.idle = False  # this rank's rows of the batch are for nothing
        self.trainers = 0  # that share their steps, made so far
        self.questions = 0  # of the task that all make, asked so far
        self.amiss = False  # the ranks may be at different places: nothing more can be said
        self._lock, self._over = threading.RLock(), threading.Event()
        backend = "gloo"
        if torch.cuda.is_available():
            if torch.cuda.device_count() < place.local_world:
                raise ConfigError(
                    f"{place.local_world} ranks are on this machine, and it has {torch.cuda.device_count()} GPUs",
                    "give torchrun --nproc-per-node as many as there are GPUs; CUDA_VISIBLE_DEVICES= trains on the CPU",
                )
            torch.cuda.set_device(place.local_rank)
            backend = "cpu:gloo,cuda:nccl"
        if alone_on(place):  # else gloo asks for the host's name, and waits where nobody knows it
            os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
        with self.exchange():
            dist.init_process_group(
                backend,
                store=distributed_c10d.PrefixStore("group", store),
                rank=place.rank,
                world_size=place.world,
                timeout=PATIENCE,
            )

    def __deepcopy__(self, _memo: object) -> Self:
        """Itself: a copy of a model is of the same group."""
        return self

    # What rank 0 says, and the others hear

    @contextlib.contextmanager
    def command(self, what: int, number: int = 0, data: bytes = b"") -> Iterator[None]:
        """Rank 0: all do it now, this one in the body."""
        with self._lock:
            self.amiss = True
            with self.exchange():
                dist.broadcast(torch.tensor([what, number, len(data)]), 0)
                if data:
                    dist.broadcast(torch.frombuffer(bytearray(data), dtype=torch.uint8), 0)
            yield
            self.amiss = False

    def hear(self) -> tuple[int, int, bytes]:
        """The others: what to do next."""
        with self.exchange():
            head = torch.empty(3, dtype=torch.int64)
            dist.broadcast(head, 0)
            what, number, size = head.tolist()
            data = torch.empty(size, dtype=torch.uint8)
            if size:
                dist.broadcast(data, 0)
        return what, number, data.numpy().tobytes()

    def remind(self, still_here: int) -> None:
        """Rank 0: say now and then that it is there, as long as nothing else is said."""

        def run() -> None:
            while not self._over.wait(IDLE_SECONDS):
                if self._lock.acquire(blocking=False):
                    try:
                        with self.command(still_here):
                            pass
                    except AlxError:  # the next command meets it too, where it can be told
                        return
                    finally:
                        self._lock.release()

        threading.Thread(target=run, daemon=True).start()

    # What they exchange

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Rank 0's tensors become everybody's."""
        with self.exchange(), torch.no_grad():
            for value in tensors:
                whole = value.detach().contiguous()
                if whole.numel():
                    dist.broadcast(whole.reshape(-1).view(torch.uint8), 0)  # gloo knows some types alone
                if whole.data_ptr() != value.data_ptr():
                    value.copy_(whole)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over ranks, in place: to the bit the same on each."""
        with self.exchange():
            dist.all_reduce(value)
        return value

    def train(self, model: nn.Module) -> None:
        """A trainer of this model shares its steps: its batch norm goes by the batches of all ranks."""
        self.trainers += 1
        synchronise(model, self.sum, lambda: self.idle)

    def part(self, batch: slice) -> Part:
        """This rank's samples of a batch."""
        mine = part(batch, self.rank, self.world)
        self.idle = not mine.share
        return mine

    # How it ends

    def answer(self, number: int, text: str) -> None:
        """Leave an answer for rank 0."""
        self._store.set(f"{_ANSWER}/{number}/{self.rank}", text)

    def answers(self, number: int) -> list[str]:
        """Rank 0: what the other ranks answered, in their order.

        Raises:
            RanksError: one of them stopped, or has not answered for too long.
        """
        keys = [f"{_ANSWER}/{number}/{rank}" for rank in range(1, self.world)]
        until = time.monotonic() + PATIENCE.total_seconds()
        while not self._store.check(keys):
            if self._store.check([_FAILED]) or time.monotonic() > until:
                raise self.lost("a rank did not answer")
            time.sleep(LOOK_SECONDS)
        return [self._store.get(key).decode() for key in keys]

    def fail(self, error: AlxError) -> None:
        """The others: leave word why this rank stops; the first word counts."""
        said = {"rank": self.rank, "kind": type(error).__name__, "message": error.message, "hint": error.hint}
        with contextlib.suppress(RuntimeError):  # rank 0, and the store with it, may be gone
            self._store.compare_set(_FAILED, "", json.dumps(said))

    def lost(self, cause: str) -> AlxError:
        """What to raise where the ranks lost each other: what one of them said, if it could."""
        said, until = None, time.monotonic() + (0 if self.rank else REASON_SECONDS)
        with contextlib.suppress(RuntimeError):
            while not self._store.check([_FAILED]) and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
            if self._store.check([_FAILED]):
                said = json.loads(self._store.get(_FAILED))
        if said is None:
            return RanksError(f"a rank of {self.world} is gone, and did not say why: {escape(cause, 200)}", HINT)
        kind = getattr(errors, said["kind"], RanksError)
        refusal = kind if isinstance(kind, type) and issubclass(kind, AlxError) else RanksError
        return refusal(said["message"], said["hint"] or HINT).within(f"rank {said['rank']} of {self.world}")

    @contextlib.contextmanager
    def exchange(self) -> Iterator[None]:
        """What torch raises in the body becomes a refusal.

        Raises:
            RanksError: a rank is gone.
        """
        try:
            yield
        except dist.DistError as error:
            raise self.lost(told(error)) from error
        except RuntimeError as error:
            if not any(word in str(error) for word in _LOST):
                raise
            raise self.lost(told(error)) from error

    def leave(self) -> None:
        """Out of the group; nothing is waited for."""
        self._over.set()
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


_LOST = ("gloo", "onnection", "Socket", "socket", "imed out", "NCCL")  # in what torch says where it has no class for it


def told(error: Exception) -> str:
    """What torch says, without the place in its source, and without its advice."""
    said = re.sub(r"^(\[\S+:\d+\]\s*)+", "", " ".join(str(error).split()))
    return said.split(". ")[0].rstrip(".")


def _loopback() -> str:
    return next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


_here: list[Ranks] = []


def here() -> Ranks | None:
    """The group that this process is in; None where it is alone."""
    return _here[0] if _here else None


def join(place: Place, store: Any) -> Ranks:
    """Into the group."""
    _here[:] = [Ranks(place, store)]
    return _here[0]
