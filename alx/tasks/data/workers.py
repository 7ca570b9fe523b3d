"""Processes that decode pictures while the model trains: they draw nothing at random, so their number changes no bit.

Knows pictures and processes; knows no model and no order. Each is `python -m alx.decoding`, and a thread takes what it
answers, in the order in which it was asked. It holds nothing else that is open here, neither the site's lock nor a GPU.
"""

import contextlib
import fcntl
import json
import os
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from alx import decoding
from alx.decoding import Place
from alx.errors import ConfigError

if TYPE_CHECKING:
    from io import BufferedReader, BufferedWriter

PIPE_BYTES = 1 << 20  # as much as Linux gives to anybody: an answer waits in there, and the next question is begun

Pixels = NDArray[np.uint8]


class Workers:
    """Some of them, begun when first asked; none where `count` is 0, and all is done here.

    Args:
        count: processes.
        channels: 1 or 3.
        size: height, width.
    """

    def __init__(self, count: int, channels: int, size: tuple[int, int]) -> None:
        self.count, self._wanted = count, (channels, size)
        self._all: list[_Worker] = []
        weakref.finalize(self, _end, self._all)  # also when the command ends

    def begin(self, files: Sequence[Place]) -> list["Future[Pixels]"]:
        """Have these decoded, a share of them by each worker.

        Raises:
            ConfigError: a worker died, or cannot be begun.
        """
        if any(worker.dead for worker in self._all) or not self._all:
            _end(self._all)
            for _ in range(self.count):
                self._all.append(_Worker(*self._wanted))  # one by one: those that began are ended where another cannot
        share = -(-len(files) // self.count)
        parts = [files[at : at + share] for at in range(0, len(files), share)]
        return [worker.ask(part) for worker, part in zip(self._all, parts, strict=False)]

    @staticmethod
    def end(begun: Sequence["Future[Pixels]"]) -> Pixels:
        """What `begin` began, uint8 [n, height, width, channels], in its order.

        Raises:
            ConfigError: a picture cannot be used, the first of them in that order; or a worker died.
        """
        return np.concatenate([each.result() for each in begun])

    def read(self, files: Sequence[Place]) -> Pixels:
        """Decode, and wait for it; see `end`."""
        return self.end(self.begin(files)) if self.count else decoding.decoded(files, *self._wanted)


class _Worker:
    """One process, and the thread that hears it."""

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        self.dead, self._shape = False, (*size, channels)
        self._ear = ThreadPoolExecutor(1, "decoding")
        found = os.pathsep.join(os.path.abspath(path) for path in sys.path)  # noqa: PTH100 - "" is the folder one is in
        try:
            self.process = Popen(  # noqa: S603 - this Python, and numbers
                [sys.executable, "-P", "-m", "alx.decoding", str(channels), *map(str, size)],
                stdin=PIPE,
                stdout=PIPE,
                env=os.environ | {"PYTHONPATH": found},
                process_group=0,  # Ctrl-C is the parent's
            )
        except OSError as error:
            raise _dead() from error
        self._questions, self._answers = (
            cast("BufferedWriter", self.process.stdin),
            cast("BufferedReader", self.process.stdout),
        )
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with contextlib.suppress(OSError):  # a smaller one is slower, and that is all
                fcntl.fcntl(self._answers, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def ask(self, files: Sequence[Place]) -> "Future[Pixels]":
        """These pixels, when they are there."""
        try:
            self._questions.write(decoding.line(files))
            self._questions.flush()
        except OSError as error:
            self.dead = True
            raise _dead() from error
        return self._ear.submit(self._heard, len(files))

    def _heard(self, count: int) -> Pixels:
        if not threading.main_thread().is_alive():
            raise _dead()  # the command ends, and nobody waits for this
        made = np.empty((count, *self._shape), np.uint8)
        told = self._answers.readline()
        whole = told.endswith(b"\n") and (told != b"null\n" or self._answers.readinto(made.data.cast("B")) == made.nbytes)
        if not whole:
            self.dead = True
            raise _dead()
        if told != b"null\n":
            raise ConfigError(*json.loads(told))
        return made

    def end(self) -> None:
        """It holds nothing that could be lost."""
        self.process.kill()
        self._ear.shutdown(cancel_futures=True)
        for pipe in (self._questions, self._answers):
            with contextlib.suppress(BrokenPipeError):  # half a question was in it
                pipe.close()
        self.process.wait()


def _end(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().end()


def _dead() -> ConfigError:
    return ConfigError(
        "a worker that decodes pictures ended before it was done: killed, or out of memory",
        "the same command goes on from its last checkpoint; fewer workers, in [data] of site.toml, take less memory",
    )
