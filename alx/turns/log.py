"""The log of a turn's training, a record a step: JSON lines in a file, or what TensorBoard reads in a folder.

Knows numbers, and where they go. A log is a help: once training has begun, a disk that fails ends the log and not the
turn. Nothing in it travels; it is made of losses on one's own data, and lies where its owner says.
"""

import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from alx import files
from alx.errors import AlxError, UsageError, escape
from alx.records import finite

TENSORBOARD = "tensorboard:"  # before a folder's name
TAIL = 1 << 16  # bytes at the end of a log in which its last line is looked for; a line has some 150


class Record(NamedTuple):
    """One step.

    Attributes:
        step: from 1.
        loss: of training, the mean over the step's samples.
        rate: the learning rate; None where the trainer does not say it.
        validation: the mean loss over the validation samples, at the steps at which it is taken.
    """

    step: int
    loss: float
    rate: float | None
    validation: float | None


class Target(NamedTuple):
    """Where a log goes: a file, or a folder for TensorBoard."""

    path: Path
    board: bool

    @classmethod
    def of(cls, text: str) -> Self:
        """As a person names it: `FILE`, or `tensorboard:DIR`."""
        return cls(Path(text.removeprefix(TENSORBOARD)), text.startswith(TENSORBOARD))


class _Writer(Protocol):
    where: Path

    def put(self, record: Record) -> None: ...

    def close(self) -> None: ...


class Log:
    """All logs of a turn.

    Attributes:
        writers: one for each place that still can be written to.
        faults: of the others, what was the matter, in words.
    """

    def __init__(self) -> None:
        self.writers: list[_Writer] = []
        self.faults: list[str] = []

    def put(self, record: Record) -> None:
        """Write a record wherever that still can be done."""
        for writer in tuple(self.writers):
            self._try(writer, f"'{escape(str(writer.where), 200)}' ends before step {record.step}", writer.put, record)

    def close(self) -> None:
        """Write what is left."""
        for writer in tuple(self.writers):
            self._try(writer, f"the end of '{escape(str(writer.where), 200)}' is lost", writer.close)

    def _try(self, writer: _Writer, what: str, do: Any, *arguments: object) -> None:
        try:
            do(*arguments)
        except OSError as error:
            self.writers.remove(writer)
            self.faults.append(f"{what}: {escape(error.strerror or str(error))}")
            with contextlib.suppress(OSError):
                writer.close()


@contextlib.contextmanager
def opened(targets: Sequence[Target], turn: str) -> Iterator[Log]:
    """The logs of a turn, to be written to; each goes on where it ends.

    Args:
        targets: where to.
        turn: its name, which is its bundle's: a record of a step that is there already is not written again.

    Raises:
        UsageError: a file that is there is no log; tensorboard is not installed.
        SpaceError, StorageError: a place cannot be used.
    """
    log = Log()
    try:
        for path, board in targets:
            log.writers.append(_Board(path, turn) if board else _Lines(path, turn))
        yield log
    finally:
        log.close()


class _Lines:
    """JSON lines; each is handed to the operating system at once, so a killed command has lost none."""

    def __init__(self, path: Path, turn: str) -> None:
        self.where, self._turn = path, turn
        last, end = last_line(path)
        here = last.get("bundle") == turn
        self._done: int = last["step"] if here else 0
        self._before: float = last["seconds"] if here else 0.0
        with files.storage(path):
            self._file = path.open("ab", buffering=0)
            self._file.truncate(end)  # half a line, of a command that was killed
        self._began = time.monotonic()

    def put(self, record: Record) -> None:
        if record.step <= self._done:
            return
        line = {
            "bundle": self._turn,
            "step": record.step,
            "loss": record.loss,
            "lr": finite(record.rate),
            "validation": finite(record.validation),
            "seconds": round(self._before + time.monotonic() - self._began, 3),
        }
        data = f"{json.dumps(line, allow_nan=False)}\n".encode("ascii")
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        self._file.close()


def last_line(path: Path) -> tuple[dict[str, Any], int]:
    """The last record of a log, and where it ends; none, and 0, of a file that is empty or not there.

    Raises:
        UsageError: it is no log.
        StorageError: it cannot be read.
    """
    with files.storage(path):
        if not path.exists():
            return {}, 0
        if not path.is_file():
            raise _no_log(path)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            tail = file.read()
    whole, _, rest = tail.rpartition(b"\n")
    if not whole and size == len(tail) and (not rest or rest.startswith(b'{"bundle": "')):
        return {}, 0
    try:
        found = json.loads(whole.rpartition(b"\n")[2])
        good = isinstance(found["bundle"], str) and type(found["step"]) is int and math.isfinite(found["seconds"])
    except (ValueError, KeyError, TypeError, RecursionError):
        good = False
    if not good:
        raise _no_log(path)
    return found, size - len(rest)


def _no_log(path: Path) -> AlxError:
    return UsageError(f"'{escape(str(path), 200)}' exists, and is no log of train-local's", "name another file")


class _Board:
    """TensorBoard's own writer; each turn is a run, under its bundle's name."""

    def __init__(self, path: Path, turn: str) -> None:
        self.where = path / turn
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra, and seconds to import
        except ImportError as error:
            raise UsageError(
                "a log for TensorBoard needs tensorboard, which is not installed",
                "pip install 'alx[tensorboard]'; a FILE of JSON lines needs nothing",
            ) from error
        with files.storage(self.where):
            self.where.mkdir(parents=True, exist_ok=True)
        self._new: Any = SummaryWriter
        self._writer: Any = None

    def put(self, record: Record) -> None:
        if self._writer is None:  # what a killed command wrote of this step and later ones is not shown twice
            self._writer = self._new(str(self.where), purge_step=record.step)
        for name, value in (("loss", record.loss), ("lr", record.rate), ("validation", record.validation)):
            if value is not None:
                self._writer.add_scalar(name, value, record.step)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
