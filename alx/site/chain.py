"""An append-only table in SQLite, each entry chained to the last by hash: what the ledger and the event log are made of.

Knows entries; knows no bundle and no site. An entry's digest is the SHA-256 of
`number LF kind LF digest of the entry before LF body`; the first entry follows 64 zeros.
"""

import contextlib
import dataclasses
import errno
import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alx import files
from alx.errors import LedgerError, UsageError, escape

FIRST = "0" * 64
MAX_PATH_BYTES = 504  # SQLite's own limit is 512, and `-journal` has to fit in
_SCHEMA = """
CREATE TABLE entries (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, digest TEXT NOT NULL
) STRICT;
CREATE TRIGGER no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chain; its body is a JSON object, the very text that its digest covers."""

    number: int
    kind: str
    body: str
    previous: str
    digest: str


def _digest(number: int, kind: str, previous: str, body: str) -> str:
    return hashlib.sha256(f"{number}\n{kind}\n{previous}\n{body}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of one sort.

    Attributes:
        name: what it is, for messages.
        kinds: the words that an entry may have for its kind.
        lost: what to do where it is lost or broken.
    """

    name: str
    kinds: Collection[str]
    lost: str

    def create(self, path: Path, *entries: tuple[str, str]) -> list[Line]:
        """Make a new one with its first entries: kind and body of each.

        Raises:
            SpaceError, StorageError: see `files.storage`.
        """
        require_path(path)
        with files.storage(path):  # SQLite goes by the umask for a new file, and by the file for its journals
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with self._open(path, "rw") as connection:
            connection.executescript(f"BEGIN; {_SCHEMA}")
            lines = _appended(connection, [], entries)
            connection.execute("COMMIT")
        files.sync_folder(path.parent)
        return lines

    def read(self, path: Path) -> list[Line]:
        """All entries, their chain checked.

        Raises:
            LedgerError: it is gone, or an entry was changed, removed or put in.
        """
        self._require(path)
        with self._open(path, _mode(path)) as connection:
            return self._lines(connection, path)

    def append(self, path: Path, *entries: tuple[str, str]) -> list[Line]:
        """Add entries in one transaction: after a crash all of them are there, or none.

        Args:
            path: the chain's file.
            *entries: kind and body of each, in order.

        Returns:
            The whole chain, as it is now.

        Raises:
            LedgerError: see `read`.
            SpaceError, StorageError: see `files.storage`.
        """
        self._require(path)
        with self._open(path, "rw") as connection:
            connection.execute("BEGIN IMMEDIATE")
            lines = _appended(connection, self._lines(connection, path), entries)
            connection.execute("COMMIT")
        return lines

    def _require(self, path: Path) -> None:
        with files.storage(path):
            if not path.is_file():
                raise LedgerError(f"the {self.name} '{path}' is missing", self.lost)

    @contextlib.contextmanager
    def _open(self, path: Path, mode: str) -> Iterator[sqlite3.Connection]:
        require_path(path)
        with files.storage(path):
            try:
                connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
                try:
                    connection.execute("PRAGMA synchronous = EXTRA")
                    yield connection
                finally:
                    connection.close()
            except sqlite3.OperationalError as error:
                # SQLite's own words for what the operating system refused
                if "full" in str(error):
                    raise OSError(errno.ENOSPC, f"no space for the {self.name} ({error})") from error
                if "no such" in str(error):  # a table or a column: an empty or foreign database
                    raise LedgerError(f"'{path}' is no {self.name}: {error}", self.lost) from error
                raise OSError(errno.EIO, f"the {self.name}: {error}") from error
            except sqlite3.DatabaseError as error:
                if _is_sound(path, mode):
                    raise OSError(errno.EIO, f"the {self.name}: {error}") from error
                raise LedgerError(f"'{path}' is no {self.name}: {error}", self.lost) from error

    def sound(self, path: Path) -> tuple[list[Line], LedgerError | None]:
        """What of a damaged one still holds: its entries up to the first that does not, and the fault there is, if any.

        Raises:
            StorageError: see `files.storage`.
        """
        out: list[Line] = []
        try:
            self._require(path)
            with self._open(path, _mode(path)) as connection:
                for line in self._checked(connection, path):
                    out.append(line)  # noqa: PERF402 - what was read before a fault is kept
        except LedgerError as error:
            return out, error
        return out, None

    def _lines(self, connection: sqlite3.Connection, path: Path) -> list[Line]:
        return list(self._checked(connection, path))

    def _checked(self, connection: sqlite3.Connection, path: Path) -> Iterator[Line]:
        count, previous = 0, FIRST
        for number, kind, body, before, digest in connection.execute(
            "SELECT number, kind, body, previous, digest FROM entries ORDER BY number"
        ):
            count += 1
            if (
                kind not in self.kinds
                or number != count
                or before != previous
                or digest != _digest(number, kind, previous, body)
            ):
                raise LedgerError(f"the chain of '{path}' is broken at entry {number}", self.lost)
            yield Line(number, kind, body, before, digest)
            previous = digest
        if not count:
            raise LedgerError(f"the {self.name} '{path}' is empty", self.lost)


def _mode(path: Path) -> str:
    """How it is opened to be read: a journal left by a killed command is rolled back by whoever may write."""
    return "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro"


def require_path(path: Path) -> None:
    """Refuse a path that SQLite cannot open.

    Raises:
        UsageError: it is too long.
    """
    length = max(len(os.fsencode(p)) for p in (path.absolute(), os.path.realpath(path)))  # SQLite follows links first
    if length > MAX_PATH_BYTES:
        raise UsageError(
            f"the path '{escape(str(path), 200)}' has {length} bytes, and SQLite opens one of at most {MAX_PATH_BYTES}",
            "put the site into a folder with a shorter path",
        )


def _is_sound(path: Path, mode: str) -> bool:
    """Whether a database is whole after all: SQLite calls it damaged too where the disk failed to give a page."""
    path.read_bytes()  # raises where the disk fails still
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
            return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False


def _appended(connection: sqlite3.Connection, lines: list[Line], entries: Iterable[tuple[str, str]]) -> list[Line]:
    out = list(lines)
    for kind, body in entries:
        number, previous = len(out) + 1, out[-1].digest if out else FIRST
        out.append(Line(number, kind, body, previous, _digest(number, kind, previous, body)))
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", dataclasses.astuple(out[-1]))
    return out
