"""Processes that decode pictures while the model trains: they draw nothing at random, so their number changes no bit.

Knows pictures and processes; knows no model and no order. They come from a fork server, not from a fork of this process: a
fork holds the site's lock and the GPU's context open after its parent was killed, and torch's threads do not survive it.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from alx.errors import ConfigError
from alx.tasks.data import picture
from alx.tasks.data.picture import Member

MOST = 16  # on a machine of many cores: not measured beyond two
WORTH = 2_000  # pictures: fewer are decoded here before a worker has imported what it needs

Pixels = NDArray[np.uint8]
Refusal = tuple[str, str | None]
Made = Pixels | Refusal


def by_cores() -> int:
    """As many as there are cores that this process may use, and no more than `MOST`."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)


class Workers:
    """Some of them, begun when first asked; none where `count` is 0, and all is done here.

    Args:
        count: processes.
        channels: 1 or 3.
        size: height, width.
    """

    def __init__(self, count: int, channels: int, size: tuple[int, int]) -> None:
        self.count, self._wanted = count, (channels, size)
        self._pool: ProcessPoolExecutor | None = None

    def begin(self, files: Sequence[Path | Member]) -> list["Future[Made]"]:
        """Have these decoded, a share of them by each worker.

        Raises:
            ConfigError: a worker died.
        """
        try:
            share = -(-len(files) // self.count)
            parts = [files[at : at + share] for at in range(0, len(files), share)]
            return [self._running().submit(_decoded, part, *self._wanted) for part in parts]
        except BrokenProcessPool as error:
            self._dead(error)

    def end(self, begun: Sequence["Future[Made]"]) -> Pixels:
        """What `begin` began, uint8 [n, height, width, channels], in its order.

        Raises:
            ConfigError: a picture cannot be used, the first of them in that order; or a worker died.
        """
        try:
            return np.concatenate([_taken(each.result()) for each in begun])
        except BrokenProcessPool as error:
            self._dead(error)

    def read(self, files: Sequence[Path | Member]) -> Pixels:
        """Decode, and wait for it; see `end`."""
        return self.end(self.begin(files)) if self.count else _taken(_decoded(files, *self._wanted))

    def _running(self) -> ProcessPoolExecutor:
        if self._pool is None:
            method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
            context = multiprocessing.get_context(method)
            context.set_forkserver_preload([__name__])
            self._pool = ProcessPoolExecutor(self.count, context, _ready)
        return self._pool

    def _dead(self, error: BrokenProcessPool) -> NoReturn:
        self._pool = None
        raise ConfigError(
            "a worker that decodes pictures ended before it was done: killed, or out of memory",
            "the same command goes on from its last checkpoint; fewer workers, in [data] of site.toml, take less memory",
        ) from error


def _ready() -> None:
    """In a worker: Ctrl-C is its parent's, and where that is killed it ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _decoded(files: Sequence[Path | Member], channels: int, size: tuple[int, int]) -> Made:
    """The pictures, or why the first that cannot be used is refused: a refusal as words, as not every error is pickled."""
    made = np.empty((len(files), *size, channels), np.uint8)
    for i, file in enumerate(files):
        try:
            made[i] = picture.read(file, channels, size)
        except ConfigError as error:
            return error.message, error.hint
    return made


def _taken(made: Any) -> Pixels:
    if isinstance(made, tuple):
        raise ConfigError(*made)
    return made  # type: ignore[no-any-return] # pixels
