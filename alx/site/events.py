"""The site's security log: what its commands did, and what they refused and why; append-only, chained like the ledger.

Knows the ledger's entries and refusals; knows no bundle. Whatever the ledger records is recorded here too, with the time:
a command that was killed between the two is caught up with by the next one, so no event is lost. Beside that stands what
must not touch the ledger: refusals. The time is the machine's own clock; nothing in alx depends on it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from alx.errors import AlxError, LedgerError, escape
from alx.records import Time
from alx.site import entries
from alx.site.chain import Chain, Line
from alx.site.entries import EVENTS, BackedUp, Described, Given, Leakage, Media, Passphrase, Refused, Reported, Reset
from alx.site.ledger import Entry

EVENTS_NAME = "events.sqlite"
_CHAIN = Chain(
    "event log",
    EVENTS,
    "what the site refused cannot be shown any more; restore the whole site from its backup, or, where there is none, "
    "alx reset-ledger",
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        record: what happened; of an entry of the ledger without its lists.
        line: in the log.
        at: the time, ISO 8601 in UTC, by the machine's clock.
        entry: digest of the ledger's entry, if it is one.
        by_reset: a reset wrote it: it happened before, at a time that nobody knows.
    """

    record: entries.Event
    line: Line
    at: str
    entry: str | None
    by_reset: bool


class _Stamp(NamedTuple):
    """What an event has beside its record; see `Event`."""

    at: Time
    entry: str | None = None
    by_reset: bool = False


def create(path: Path, ledger: Sequence[Entry]) -> None:
    """Make a new log that begins with a ledger's entries; see `Chain.create`."""
    _CHAIN.create(path, *_told(ledger, ledger))


def read(path: Path) -> list[Event]:
    """All events, their chain checked; see `Chain.read`.

    Raises:
        LedgerError: an event does not hold what its kind holds.
    """
    return [_event(path, line) for line in _CHAIN.read(path)]


def sound(path: Path) -> tuple[list[Event], LedgerError | None]:
    """What of a damaged log still holds, and what is wrong with it, if anything is; see `Chain.sound`."""
    lines, fault = _CHAIN.sound(path)
    out: list[Event] = []
    for line in lines:
        try:
            out.append(_event(path, line))
        except LedgerError as error:
            return out, error
    return out, fault


def _event(path: Path, line: Line) -> Event:
    try:
        values = json.loads(line.body)
        stamp = entries.checked(_Stamp, {name: values.pop(name) for name in _Stamp._fields if name in values})
        return Event(entries.of(line.kind, values), line, *stamp)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise LedgerError(f"event {line.number} of '{path}' is no '{line.kind}' of this version", _CHAIN.lost) from error


def catch_up(path: Path, ledger: Sequence[Entry]) -> None:
    """Record what the ledger has and the log does not.

    Raises:
        LedgerError: see `missing` and `Chain.read`.
        SpaceError, StorageError: see `files.storage`.
    """
    new = missing(read(path), ledger)
    if new:
        _CHAIN.append(path, *_told(new, ledger))


def missing(log: Sequence[Event], ledger: Sequence[Entry]) -> list[Entry]:
    """The entries of the ledger that the log does not have yet: those of a command that was killed in between.

    Args:
        log: the security log.
        ledger: all its entries.

    Raises:
        LedgerError: the log knows of entries that the ledger does not have: it is an older one.
    """
    known = {e.entry for e in log}
    reset = next((e.line.digest for e in reversed(ledger) if isinstance(e.record, Reset)), None)
    # what was recorded before the last reset belongs to the ledger that was lost
    begin = 0 if reset is None else next((i for i, e in enumerate(log) if e.entry == reset), len(log))
    lost = len({e.entry for e in log[begin:] if e.entry is not None} - {e.line.digest for e in ledger})
    if lost:
        raise LedgerError(
            f"the ledger lacks {lost} of the entries that the event log has: it is an older one",
            "restore the whole site from its newest backup, never the ledger alone; where there is none, alx reset-ledger",
        )
    return [e for e in ledger if e.line.digest not in known]


def refused(path: Path, command: str, about: str, error: AlxError) -> None:
    """Record a refusal.

    Args:
        path: the log's file.
        command: the command that was refused.
        about: what it was about: the name of a bundle's folder, or of a file.
        error: the refusal.
    """
    message = escape(error.message, 2000)
    made = Refused(command, escape(about), type(error).__name__, error.exit_code, message, error.to_come or None)
    record(path, made)


def record(path: Path, made: Refused | Passphrase | BackedUp | Described | Leakage | Reported | Media | Given) -> None:
    """Record what leaves no trace in the ledger."""
    _CHAIN.append(path, (entries.kind(made), json.dumps(_now() | entries.plain(made))))


def _told(some: Sequence[Entry], ledger: Sequence[Entry]) -> list[tuple[str, str]]:
    """Entries of the ledger as events: their plain values; the lists of losses stay where they are.

    What was there before the last reset is marked: nobody knows when it happened.
    """
    resets = ((e.line.number, e.record.rebuilt) for e in reversed(ledger) if isinstance(e.record, Reset))
    reset, rebuilt = next(resets, (0, 0))
    out = []
    for e in some:
        whole = entries.plain(e.record)
        plain = {k: v for k, v in whole.items() if v is None or isinstance(v, str | int | float) or k == "officers"}
        if e.line.number <= rebuilt and e.line.number != reset:
            plain["by_reset"] = True
        out.append((e.line.kind, json.dumps(_now() | {"entry": e.line.digest} | plain, allow_nan=False)))
    return out


def _now() -> dict[str, object]:
    return {"at": datetime.now(UTC).isoformat(timespec="seconds")}
