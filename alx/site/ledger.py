"""What was sent and accepted: append-only, in SQLite, each entry chained to the last by hash.

Knows entries; knows no bundle's inside. An entry's digest is the SHA-256 of
`number LF kind LF digest of the entry before LF body`; the first entry follows 64 zeros. No clock: the order is the
chain's.
"""

import contextlib
import errno
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from alx import files
from alx.errors import LedgerError

Kind = Literal["created", "paired", "sealed", "exported", "accepted", "selected"]
FIRST = "0" * 64
_LOST = "a site without its ledger cannot tell an old bundle from a new one; restore the whole site from its backup"
_SCHEMA = """
CREATE TABLE entries (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, previous TEXT NOT NULL, digest TEXT NOT NULL
) STRICT;
CREATE TRIGGER no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    number: int
    kind: Kind
    body: dict[str, Any]
    previous: str
    digest: str


def _digest(number: int, kind: str, previous: str, body: str) -> str:
    return hashlib.sha256(f"{number}\n{kind}\n{previous}\n{body}".encode()).hexdigest()


@contextlib.contextmanager
def _open(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
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
                raise OSError(errno.ENOSPC, f"no space for the ledger ({error})") from error
            if "no such" in str(error):  # a table or a column: an empty or foreign database
                raise LedgerError(f"'{path}' is not a ledger: {error}", _LOST) from error
            raise OSError(errno.EIO, f"the ledger: {error}") from error
        except sqlite3.DatabaseError as error:
            raise LedgerError(f"'{path}' is not a ledger: {error}", _LOST) from error


def create(path: Path, body: dict[str, Any]) -> None:
    """Make a new ledger with its first entry.

    Raises:
        SpaceError, StorageError: see `files.storage`.
    """
    with _open(path, "rwc") as connection:
        connection.executescript(f"BEGIN; {_SCHEMA}")
        _append(connection, "created", body)
        connection.execute("COMMIT")
    files.sync_folder(path.parent)


def read(path: Path) -> list[Entry]:
    """All entries, their chain checked.

    Raises:
        LedgerError: no ledger, or an entry that was changed, removed or put in.
    """
    with files.storage(path):
        if not path.is_file():
            raise LedgerError(f"the ledger '{path}' is missing", _LOST)
    # a journal left by a killed command is rolled back by whoever may write
    with _open(path, "rw" if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK) else "ro") as connection:
        return _entries(connection, path)


def _entries(connection: sqlite3.Connection, path: Path) -> list[Entry]:
    out: list[Entry] = []
    previous = FIRST
    for number, kind, body, before, digest in connection.execute(
        "SELECT number, kind, body, previous, digest FROM entries ORDER BY number"
    ):
        if (
            kind not in get_args(Kind)
            or number != len(out) + 1
            or before != previous
            or digest != _digest(number, kind, previous, body)
        ):
            raise LedgerError(f"the chain of '{path}' is broken at entry {number}", _LOST)
        out.append(Entry(number, kind, json.loads(body), before, digest))
        previous = digest
    if not out:
        raise LedgerError(f"the ledger '{path}' is empty", _LOST)
    return out


def append(path: Path, *entries: tuple[Kind, dict[str, Any]]) -> None:
    """Add entries in one transaction: after a crash all of them are there, or none.

    Args:
        path: the ledger's file.
        *entries: kind and body of each, in order.

    Raises:
        LedgerError: see `read`.
        SpaceError, StorageError: see `files.storage`.
    """
    if not path.is_file():
        raise LedgerError(f"the ledger '{path}' is missing", _LOST)
    with _open(path, "rw") as connection:
        connection.execute("BEGIN IMMEDIATE")
        _entries(connection, path)
        for kind, body in entries:
            _append(connection, kind, body)
        connection.execute("COMMIT")


def _append(connection: sqlite3.Connection, kind: Kind, body: dict[str, Any]) -> None:
    last = connection.execute("SELECT number, digest FROM entries ORDER BY number DESC LIMIT 1").fetchone()
    number, previous = (last[0] + 1, last[1]) if last else (1, FIRST)
    text = json.dumps(body, allow_nan=False)
    connection.execute(
        "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (number, kind, text, previous, _digest(number, kind, previous, text))
    )
