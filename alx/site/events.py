"""The site's security log: what its commands did, and what they refused and why; append-only, chained like the ledger.

Knows the ledger's entries and refusals; knows no bundle. Whatever the ledger records is recorded here too, with the time:
a command that was killed between the two is caught up with by the next one, so no event is lost. Beside that stands what
must not touch the ledger: refusals. The time is the machine's own clock; nothing in alx depends on it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alx.errors import AlxError, LedgerError, escape
from alx.site import ledger
from alx.site.chain import Chain, Entry

EVENTS_NAME = "events.sqlite"
# Every kind of event, and what it says beside `at`, the time. Those of the ledger also have `entry`, its digest there;
# those that a reset wrote anew have `by_reset`: they happened before, at a time that nobody knows.
KINDS = {
    "created": "the site was made: role, fingerprint of its key, digest of the plan",
    "paired": "a peer was pinned, after two people compared the words: digests of both identity files, key, sample count",
    "rotated": "this site's key was replaced: fingerprints of the old and the new one, digest of the rotation file",
    "peer-rotated": "the peer's new key was pinned, after two people compared its words: the same fields",
    "sealed": "a turn was trained and signed: round, bundle, digest",
    "exported": "a bundle was copied to a disk and read back from there: round, bundle, digest; of a part of it also "
    "request, the digest of what the peer asked for, and files, how many; parity, the share "
    "of files that it can rebuild",
    "accepted": "a bundle from the peer was verified whole and taken in: round, bundle, digest",
    "selected": "a snapshot out of it was chosen: round, label, global loss, and the flags that deserve a look",
    "restored": "the site was restored from a backup: number of entries that its ledger had, digest of the last",
    "reset": "a lost ledger was rebuilt from signed bundles, or a lost log begun anew: reason, what was wrong, bundles",
    "passphrase": "the private key's passphrase was set or changed, or removed: which",
    "backed-up": "the whole site, private key included, was copied into a folder: its name, number of files",
    "refused": "a command ended with a refusal and changed nothing: command, what it was about, error, exit code, message",
}
_CHAIN = Chain(
    "event log",
    KINDS,
    "what the site refused cannot be shown any more; restore the whole site from its backup, or, where there is none, "
    "alx reset-ledger",
)


def create(path: Path, entries: Sequence[Entry]) -> None:
    """Make a new log that begins with a ledger's entries; see `Chain.create`."""
    _CHAIN.create(path, *(_told(e, by_reset=e.number <= _rebuilt(entries)) for e in entries))


def read(path: Path) -> list[Entry]:
    """All events, their chain checked; see `Chain.read`."""
    return _CHAIN.read(path)


def catch_up(path: Path, ledger_path: Path) -> None:
    """Record what the ledger has and the log does not.

    Raises:
        LedgerError: see `missing` and `Chain.read`.
        SpaceError, StorageError: see `files.storage`.
    """
    entries = ledger.read(ledger_path)
    new = missing(read(path), entries)
    if new:
        rebuilt = _rebuilt(entries)
        _CHAIN.append(path, *(_told(e, by_reset=e.number <= rebuilt) for e in new))


def missing(log: Sequence[Entry], entries: Sequence[Entry]) -> list[Entry]:
    """The entries of the ledger that the log does not have yet: those of a command that was killed in between.

    Args:
        log: the security log.
        entries: the ledger.

    Raises:
        LedgerError: the log knows of entries that the ledger does not have: it is an older one.
    """
    known = {e.body["entry"] for e in log if "entry" in e.body}
    reset = next((e.digest for e in reversed(entries) if e.kind == "reset"), None)
    # what was recorded before the last reset belongs to the ledger that was lost
    begin = 0 if reset is None else next((i for i, e in enumerate(log) if e.body.get("entry") == reset), len(log))
    lost = len({e.body["entry"] for e in log[begin:] if "entry" in e.body} - {e.digest for e in entries})
    if lost:
        raise LedgerError(
            f"the ledger lacks {lost} of the entries that the event log has: it is an older one",
            "restore the whole site from its newest backup, never the ledger alone; where there is none, alx reset-ledger",
        )
    return [e for e in entries if e.digest not in known]


def refused(path: Path, command: str, about: str, error: AlxError) -> None:
    """Record a refusal.

    Args:
        path: the log's file.
        command: the command that was refused.
        about: what it was about: the name of a bundle's folder, or of a file.
        error: the refusal.
    """
    body = {
        "command": command, "about": escape(about), "error": type(error).__name__, "exit_code": error.exit_code,
        "message": escape(error.message, 2000),
    }  # fmt: skip
    _CHAIN.append(path, ("refused", _now() | body))


def record(path: Path, kind: str, **body: str | int | bool) -> None:
    """Record what leaves no trace in the ledger; see `KINDS`."""
    _CHAIN.append(path, (kind, _now() | body))


def _rebuilt(entries: Sequence[Entry]) -> int:
    """The number of entries that the last reset of a lost ledger made, out of what was signed."""
    resets = (e.body for e in reversed(entries) if e.kind == "reset" and e.body["bundles"] is not None)
    return int(next(resets, {"rebuilt": 0})["rebuilt"])


def _told(entry: Entry, *, by_reset: bool) -> tuple[str, dict[str, Any]]:
    """An entry of the ledger as an event: its plain values; the lists of losses stay where they are.

    What a reset made is marked: it happened before, and nobody knows when.
    """
    plain = {k: v for k, v in entry.body.items() if v is None or isinstance(v, str | int | float)}
    if by_reset and entry.kind != "reset":
        plain["by_reset"] = True
    return entry.kind, _now() | {"entry": entry.digest} | plain


def _now() -> dict[str, Any]:
    return {"at": datetime.now(UTC).isoformat(timespec="seconds")}
