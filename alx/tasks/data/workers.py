"""Processes that decode pictures while the model trains: they draw nothing at random, so their number changes no bit.

Knows pictures and processes; knows no model and no order. Each is `python -m alx.decoding`, asked and heard through its
pipes by a thread of its own. It holds nothing else that is open here, neither the site's lock nor a GPU.
"""

import contextlib
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

Pixels = NDArray[np.uint8]
Process = Popen[bytes]


class Workers:
    """Some of them, begun when first asked; none where `count` is 0, and all is done here.

    Args:
        count: processes.
        channels: 1 or 3.
        size: height, width.
    """

    def __init__(self, count: int, channels: int, size: tuple[int, int]) -> None:
        self.count, self._wanted = count, (channels, size)
        self._pool: ThreadPoolExecutor | None = None
        self._mine, self._all = threading.local(), list[Process]()
        weakref.finalize(self, _end, self._all)  # also when the command ends

    def begin(self, files: Sequence[Place]) -> list["Future[Pixels]"]:
        """Have these decoded, a share of them by each worker."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count, "decoding")
        share = -(-len(files) // self.count)
        parts = [files[at : at + share] for at in range(0, len(files), share)]
        return [self._pool.submit(_asked, self._mine, self._all, part, *self._wanted) for part in parts]

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


def _asked(
    mine: threading.local, every: list[Process], files: Sequence[Place], channels: int, size: tuple[int, int]
) -> Pixels:
    """In a thread: what this thread's process decodes."""
    if not threading.main_thread().is_alive():
        raise _dead()  # the command ends, and nobody waits for what is still asked for
    made = np.empty((len(files), *size, channels), np.uint8)
    try:
        if getattr(mine, "process", None) is None:
            mine.process = _started(channels, size)
            every.append(mine.process)
        process: Process = mine.process
        questions, answers = cast("BufferedWriter", process.stdin), cast("BufferedReader", process.stdout)
        questions.write(decoding.line(files))
        questions.flush()
        refused = json.loads(answers.readline())
        whole = refused is not None or answers.readinto(made.data.cast("B")) == made.nbytes
    except (OSError, ValueError) as error:  # a pipe that is shut; an answer that ends early; or it cannot be started
        mine.process = None
        raise _dead() from error
    if not whole:
        mine.process = None
        raise _dead()
    if refused is not None:
        raise ConfigError(*refused)
    return made


def _started(channels: int, size: tuple[int, int]) -> Process:
    found = os.pathsep.join(os.path.abspath(path) for path in sys.path)  # noqa: PTH100 - "" is the folder one is in
    return Popen(  # noqa: S603 - this Python, and numbers
        [sys.executable, "-P", "-m", "alx.decoding", str(channels), *map(str, size)],
        stdin=PIPE,
        stdout=PIPE,
        env=os.environ | {"PYTHONPATH": found},
        process_group=0,  # Ctrl-C is the parent's
    )


def _end(every: list[Process]) -> None:
    """They hold nothing that could be lost."""
    for process in every:
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # half a question was in it
                    pipe.close()
        process.wait()


def _dead() -> ConfigError:
    return ConfigError(
        "a worker that decodes pictures ended before it was done: killed, or out of memory",
        "the same command goes on from its last checkpoint; fewer workers, in [data] of site.toml, take less memory",
    )
