"""The turn in progress: snapshots and the last checkpoint, as bytes, each file whole or not there.

Knows names and bytes; knows no tensor. A turn that was killed goes on from here; what belongs to another turn is
thrown away. A snapshot is made durable by the checkpoint that follows it, all of them together: training goes on from
that checkpoint, and takes anew whatever a power cut lost behind it.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from alx import files
from alx.errors import CorruptError

_TURN = "turn.json"
CHECKPOINT = "checkpoint"
_LOSSES = "losses.json"
_PIECE = 1 << 20
_SNAPSHOT = re.compile(r"t([0-9]+)\.state")  # others are personal parts, and what the optimiser keeps


@dataclass(frozen=True, slots=True)
class Begun:
    """What a turn's folder says of itself.

    Attributes:
        round, plan, steps: of the turn, all of its steps.
        step: of the last snapshot that is kept; None before the first one.
    """

    round: int
    plan: str
    steps: int
    step: int | None


def begun(folder: Path) -> Begun | None:
    """The turn whose folder this is; None where there is none, or nothing of one can be read."""
    try:
        said = json.loads(_bytes(folder / _TURN) or b"")
        kept = [int(found[1]) for p in folder.iterdir() if (found := _SNAPSHOT.fullmatch(p.name))]
        return Begun(int(said["round"]), str(said["plan"]), int(said["steps"]), max(kept, default=None))
    except (ValueError, TypeError, KeyError):
        return None


class Work:
    """The work folder of one turn.

    Args:
        folder: its place.
        turn: what tells this turn from any other: round, start, plan, steps.
    """

    def __init__(self, folder: Path, turn: dict[str, str | int]) -> None:
        self._folder = folder
        self._not_durable: list[Path] = []
        text = json.dumps(turn, sort_keys=True).encode("utf-8")
        path = folder / _TURN
        if _bytes(path) != text:
            files.remove_tree(folder)
            files.make_folder(folder)
            files.sync_folder(folder.parent)  # or a power cut takes the folder, and hours of checkpoints in it
            files.replace(path, text)

    @property
    def bundle(self) -> Path:
        """Where the bundle is put together."""
        return self._folder / "bundle"

    def _state(self, label: str) -> Path:
        return self._folder / f"{label}.state"

    def put(self, label: str, state: bytes | memoryview) -> None:
        """Keep one flat state under a name made of letters, digits and `-`."""
        files.replace(self._state(label), state)

    def put_snapshot(self, label: str, state: bytes) -> None:
        """As `put`, durable with the next checkpoint: to wait for a disk at each snapshot can cost more than the steps."""
        files.replace(self._state(label), state, durable=False)
        self._not_durable.append(self._state(label))

    def get(self, label: str) -> bytes:
        """A kept state.

        Raises:
            CorruptError: it is gone.
        """
        state = _bytes(self._state(label))
        if state is None:
            self.refuse(self._state(label).name)
        return state

    def states(self, labels: Sequence[str], nbytes: int) -> Iterator[bytearray]:
        """Kept states of `nbytes` each, in order, in three buffers by turns: the third after one takes its place.

        Raises:
            CorruptError: one is gone, or of another size.
        """
        buffers = [bytearray(nbytes) for _ in labels[:3]]
        for i, label in enumerate(labels):
            if not self.has(label):
                self.refuse(self._state(label).name)
            path, buffer = self._state(label), buffers[i % 3]
            with files.storage(path), path.open("rb") as file:
                whole = file.readinto(buffer) == nbytes and not file.read(1)
            if not whole:
                self.refuse(path.name)
            yield buffer

    def refuse(self, name: str) -> NoReturn:
        """Say that one of the turn's own files is not what was written.

        Raises:
            StorageError: it cannot be read: that is no damage, and may go by.
            CorruptError: else.
        """
        path = self._folder / name
        with files.storage(path):
            if path.is_file():
                with path.open("rb") as file:
                    while file.read(_PIECE):
                        pass
        raise CorruptError(
            f"the turn's own file '{path}' is gone or damaged", f"remove '{self._folder}' to begin the turn anew"
        )

    def has(self, label: str) -> bool:
        """Whether a state of that name was kept."""
        return self._state(label).is_file()

    def put_checkpoint(self, data: bytes) -> None:
        """Replace the checkpoint, once all snapshots before it are durable."""
        with self.writing_checkpoint() as file:
            file.write(data)

    @contextlib.contextmanager
    def writing_checkpoint(self) -> Iterator[BinaryIO]:
        """As `put_checkpoint`, piece by piece: of a large model one is several states."""
        files.sync(self._not_durable)
        files.sync_folder(self._folder)
        self._not_durable.clear()
        with files.replacing(self._folder / CHECKPOINT) as file:
            yield file

    @contextlib.contextmanager
    def reading_checkpoint(self) -> Iterator[BinaryIO | None]:
        """The last checkpoint, or None where there was none."""
        path = self._folder / CHECKPOINT
        with files.storage(path):
            if not path.is_file():
                yield None
                return
            with path.open("rb") as file:
                yield file

    def put_losses(self, losses: dict[str, list[float]]) -> None:
        """Keep the losses measured so far."""
        files.replace(self._folder / _LOSSES, json.dumps(losses).encode("utf-8"))

    def losses(self) -> dict[str, list[float]]:
        """The losses measured so far: total and count by the state's name.

        Raises:
            CorruptError: the file is damaged.
        """
        try:
            found = json.loads(_bytes(self._folder / _LOSSES) or b"{}")
            return {label: [float(total), int(count)] for label, (total, count) in found.items()}
        except (ValueError, TypeError, AttributeError):
            self.refuse(_LOSSES)

    def remove(self) -> None:
        """The turn is sealed: throw everything away."""
        files.remove_tree(self._folder)


def _bytes(path: Path) -> bytes | None:
    with files.storage(path):
        return path.read_bytes() if path.is_file() else None
