"""What was sent and accepted: append-only, each entry chained to the last (`chain.py`). No clock: the order is the chain's.

Knows the records of `entries.py`; knows no bundle's inside.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from alx.errors import LedgerError
from alx.site import entries
from alx.site.chain import Chain, Line
from alx.site.entries import LEDGER, Created, Record

LEDGER_NAME = "ledger.sqlite"
_CHAIN = Chain(
    "ledger",
    LEDGER,
    "a site without its ledger cannot tell an old bundle from a new one; restore the whole site from its "
    "backup, or, where there is none, alx reset-ledger",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: what it records, and the line that it is."""

    record: Record
    line: Line


def create(path: Path, *records: Record) -> list[Entry]:
    """Make a new ledger with its first entries; see `Chain.create`."""
    return _entries(path, _CHAIN.create(path, *_lines(records)))


def read(path: Path) -> list[Entry]:
    """All entries, their chain checked; see `Chain.read`.

    Raises:
        LedgerError: an entry does not hold what its kind holds, or the first is not that the site was made.
    """
    return _entries(path, _CHAIN.read(path))


def sound(path: Path) -> tuple[list[Entry], LedgerError | None]:
    """What of a damaged ledger still holds, and what is wrong with it, if anything is; see `Chain.sound`."""
    lines, fault = _CHAIN.sound(path)
    out: list[Entry] = []
    for line in lines:
        try:
            out.append(_entry(path, line))
        except LedgerError as error:
            return out, error
    return out, fault


def append(path: Path, *records: Record) -> list[Entry]:
    """Add entries in one transaction; all entries, as they are now. See `Chain.append`."""
    return _entries(path, _CHAIN.append(path, *_lines(records)))


def _lines(records: Sequence[Record]) -> list[tuple[str, str]]:
    return [(entries.kind(record), entries.text(record)) for record in records]


def _entries(path: Path, lines: Sequence[Line]) -> list[Entry]:
    return [_entry(path, line) for line in lines]


def _entry(path: Path, line: Line) -> Entry:
    try:
        made = Entry(cast("Record", entries.of(line.kind, json.loads(line.body))), line)
    except (TypeError, ValueError, AttributeError) as error:
        raise LedgerError(f"entry {line.number} of '{path}' is no '{line.kind}' of this version", _CHAIN.lost) from error
    if line.number == 1 and not isinstance(made.record, Created):
        raise LedgerError(f"entry 1 of '{path}' is '{line.kind}', expected 'created'", _CHAIN.lost)
    return made
