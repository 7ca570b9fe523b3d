"""How ranks find each other before they are a group, and how torchrun ends them.

Knows what torchrun puts into the environment; knows no task.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from alx.errors import RanksError, escape
from alx.tasks.ranks import HINT, IDLE_SECONDS, PATIENCE, Place, alone_on, here, told

_BEGIN = "alx/begin"


def found(place: Place) -> Any:
    """Where ranks leave word for each other: torchrun's store, or rank 0's.

    Raises:
        RanksError: it is not found.
    """
    if alone_on(place):
        os.environ["MASTER_ADDR"] = "127.0.0.1"  # on one machine no name is asked for
    try:
        store, _, _ = next(rendezvous("env://", place.rank, place.world, timeout=PATIENCE))
    except (ValueError, RuntimeError) as error:
        raise RanksError(
            f"WORLD_SIZE is {place.world}, and the ranks do not find each other: {escape(told(error), 200)}",
            "torchrun starts them: docs/ranks.md; unset WORLD_SIZE to work alone",
        ) from error
    return store


def begin(store: Any, *, group: bool) -> None:
    """Rank 0: whether there will be a group; the first word counts."""
    store.compare_set(_BEGIN, "", "group" if group else "over")


def begun(store: Any) -> bool:
    """The others: wait until rank 0 needs them, for as long as a person takes to type a passphrase; False: it does not.

    Raises:
        RuntimeError: rank 0, and the store with it, is gone.
    """
    while True:
        with contextlib.suppress(dist.DistStoreError):
            store.wait([_BEGIN], timedelta(seconds=IDLE_SECONDS))
            return bool(store.get(_BEGIN) == b"group")


@contextlib.contextmanager
def told_to_stop(place: Place) -> Iterator[None]:
    """Rank 0: torchrun's signal, which it gives where another rank ended, becomes a refusal.

    Raises:
        RanksError: it came.
    """

    def stop(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough; after 30 s torchrun kills
        group = here()
        raise (
            RanksError(f"a rank of {place.world} ended", HINT) if group is None else group.lost("torchrun stops the others")
        )

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
